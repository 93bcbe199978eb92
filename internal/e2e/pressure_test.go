package e2e

import (
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tidemark-db/tidemark/internal/engine"
	"github.com/tidemark-db/tidemark/internal/rig"
)

// TestNoRoom leaves ClickHouse without room of one kind. The last state goes on being served and PostgreSQL keeps what is
// not in it; when there is room again, the bridge goes on by itself.
func TestNoRoom(t *testing.T) {
	settings := map[string]string{}
	s := ownServersWith(t, rig.Options{ClickHouseSettings: settings})
	r := newAuditRigOn(t, s, lateTables("history", "stock")...)
	p := r.Spawn(r.config("tick: 100ms"))
	r.await()
	restart := func(t *testing.T, with map[string]string) {
		t.Helper()
		clear(settings)
		maps.Copy(settings, with)
		if err := s.ClickHouse.Restart(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	frugal := filepath.Join(t.TempDir(), "users.xml")
	if err := os.WriteFile(frugal, []byte(frugalUsers), 0o600); err != nil {
		t.Fatal(err)
	}
	for i, c := range []struct {
		name, error string
		settings    map[string]string
	}{
		{"disk", "NOT_ENOUGH_SPACE", map[string]string{"storage_configuration/disks/default/keep_free_space_bytes": "1000000000000000"}},
		{"parts", "TOO_MANY_PARTS", map[string]string{"merge_tree/max_parts_in_total": "1", "merge_tree/max_avg_part_size_for_too_many_parts": "0"}},
		{"memory", "MEMORY_LIMIT_EXCEEDED", map[string]string{"users_config": frugal}},
	} {
		t.Run(c.name, func(t *testing.T) {
			restart(t, c.settings)
			before := complaints(t, s.ClickHouse, c.error)
			r.run("UPDATE history SET v = v + 1 WHERE id > 2000; UPDATE stock SET v = v + 1")
			r.Eventually(time.Minute, c.error, func(context.Context) error {
				if n := complaints(t, s.ClickHouse, c.error); n <= before {
					return fmt.Errorf("said %d times", n)
				}
				return nil
			})
			if _, err := r.read(t.Context(), r.CH, ""); err != nil && c.name != "memory" { // nor is there any to read with
				t.Errorf("the last state: %v", err)
			}
			restart(t, nil)
			r.compare()
			r.awaitLog(i+1, `"recovered"`)
			if n := strings.Count(r.Log(), "interrupted;"); n != i+1 {
				t.Errorf("interrupted %d times, want %d", n, i+1)
			}
		})
	}
	if code := p.Terminate(); code != 0 {
		t.Errorf("exit code %d", code)
	}
}

// frugalUsers leave a query next to no memory.
const frugalUsers = `<clickhouse>
<profiles><default><max_memory_usage>1000000</max_memory_usage><max_untracked_memory>10000</max_untracked_memory></default></profiles>
<users><default><password></password><profile>default</profile><quota>default</quota></default></users>
<quotas><default></default></quotas>
</clickhouse>`

// complaints is how often the server has logged an error.
func complaints(t *testing.T, server *engine.ClickHouse, name string) int {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(server.Dir(), "clickhouse.log"))
	if err != nil {
		t.Fatal(err)
	}
	return strings.Count(string(text), "("+name+")")
}
