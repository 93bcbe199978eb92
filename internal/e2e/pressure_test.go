package e2e

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/jackc/pglogrepl"

	"github.com/tidemark-db/tidemark/internal/observe"
	"github.com/tidemark-db/tidemark/internal/rig"
	"github.com/tidemark-db/tidemark/splitdate"
)

// TestNoRoom leaves ClickHouse without room of one kind. The last state goes on being served, PostgreSQL keeps what is not in
// it, and the bridge asks less and less often; when there is room again, it goes on by itself, where it was.
func TestNoRoom(t *testing.T) {
	t.Parallel() // most of it is waiting
	settings := map[string]string{}
	s := ownServersWith(t, rig.Options{ClickHouseSettings: settings})
	r := newAuditRigOn(t, s, lateTables("history", "stock")...)
	file, url := listening(t, r.config("tick: 100ms"))
	p := r.Spawn(file)
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
		name     string
		code     int32 // of ClickHouse's error
		attempts float64
		settings map[string]string
	}{
		{"disk", 243, 4, map[string]string{"storage_configuration/disks/default/keep_free_space_bytes": "1000000000000000"}},
		{"parts", 252, 2, map[string]string{"merge_tree/max_parts_in_total": "1", "merge_tree/max_avg_part_size_for_too_many_parts": "0"}},
		{"memory", memoryLimit, 2, map[string]string{"users_config": frugal}},
	} {
		t.Run(c.name, func(t *testing.T) {
			before := r.store().newest(t)
			loads := metric(t, url, `tidemark_job_duration_seconds_count{kind="load"}`)
			restart(t, c.settings)
			from := r.end(t)
			r.run("UPDATE history SET v = v + 1 WHERE id > 2000; UPDATE stock SET v = v + 1")
			r.retries(t, url, c.attempts)
			r.keeps(t, from)
			r.saysWhy(t, url, fmt.Sprintf("code: %d", c.code), uint64(r.end(t)-from))
			if _, err := r.read(t.Context(), r.CH, ""); err != nil && !(c.code == memoryLimit && hasCode(err, memoryLimit)) { // nor is there any to read with
				t.Errorf("the last state: %v", err)
			}
			restart(t, nil)
			r.compare()
			r.awaitLog(i+1, `"recovered"`)
			if n := strings.Count(r.Log(), "interrupted;"); n != i+1 {
				t.Errorf("interrupted %d times, want %d", n, i+1)
			}
			if n := metric(t, url, `tidemark_job_duration_seconds_count{kind="load"}`); n != loads {
				t.Errorf("%v loads before, %v after", loads, n)
			}
			r.sameSettled(t, before)
			if len(observed(t, url).Failures) == 0 || !observed(t, url).Failures[0].Over {
				t.Error("the page does not say that it is over")
			}
		})
	}
	if code := p.Terminate(); code != 0 {
		t.Errorf("exit code %d", code)
	}
}

// memoryLimit is ClickHouse's code of an error for want of memory.
const memoryLimit = 241

// hasCode reports whether ClickHouse answered with that error.
func hasCode(err error, code int32) bool {
	var e *clickhouse.Exception
	return errors.As(err, &e) && e.Code == code
}

// failedSessions are those that ended because ClickHouse refused something.
const failedSessions = `tidemark_errors_total{kind="clickhouse"}`

// retries waits until the bridge has failed as often as that, and counts how often it does in that time: each pause has to be
// twice the one before, of a second at the least, since the restart has taken the first one of half a second. The time is that
// from before the first failure to after the last one, so a slow machine cannot make too many of them.
func (r *auditRig) retries(t *testing.T, url string, attempts float64) {
	t.Helper()
	first := metric(t, url, failedSessions)
	began, failed := time.Now(), 0.0
	r.Eventually(3*time.Minute, "failures", func(context.Context) error {
		asked := time.Now()
		failed = metric(t, url, failedSessions) - first
		if failed == 0 {
			began = asked
		}
		if failed < attempts {
			return fmt.Errorf("%v", failed)
		}
		return nil
	})
	took := time.Since(began)
	if most := 1 + math.Log2(1+took.Seconds()); failed > most {
		t.Errorf("%v attempts in %v, want %.1f at most", failed, took, most)
	}
}

// keeps makes sure that the slot holds all that was written since a position.
func (r *auditRig) keeps(t *testing.T, since pglogrepl.LSN) {
	t.Helper()
	var confirmed, status string
	var kept bool
	err := r.PG.QueryRow(t.Context(), "SELECT confirmed_flush_lsn::text, wal_status, confirmed_flush_lsn <= $1::pg_lsn AND restart_lsn <= $1::pg_lsn FROM pg_replication_slots WHERE slot_name = $2", since.String(), r.Name).
		Scan(&confirmed, &status, &kept)
	if err != nil || !kept || status != "reserved" {
		t.Errorf("the slot stands at %s, %s, after %s: %v", confirmed, status, since, err)
	}
}

// saysWhy waits until the page tells of the interruption, and of the WAL that the slot keeps.
func (r *auditRig) saysWhy(t *testing.T, url, why string, kept uint64) {
	t.Helper()
	r.Eventually(time.Minute, "the page to say "+why, func(context.Context) error {
		s := observed(t, url)
		if s.State != "interrupted" || len(s.Failures) == 0 || s.Source == nil {
			return fmt.Errorf("it says %s, and of %d failures", s.State, len(s.Failures))
		}
		f := s.Failures[0]
		if f.Kind != "clickhouse" || f.Over || !strings.Contains(f.Error, why) || uint64(s.Source.RetainedBytes) < kept {
			return fmt.Errorf("%d bytes are kept, want %d; %+v", s.Source.RetainedBytes, kept, f)
		}
		return nil
	})
}

// sameSettled makes sure that a mark still lists some of the chunks of HISTORIC that another did: a load makes all of them anew.
func (r *auditRig) sameSettled(t *testing.T, before splitdate.Mark) {
	t.Helper()
	was, is := before.Tables["history"].Historic(), r.store().newest(t).Tables["history"].Historic()
	if !slices.ContainsFunc(was, func(c splitdate.Chunk) bool { return slices.Contains(is, c) }) {
		t.Errorf("none of the chunks %v is left, there are %v", was, is)
	}
}

// end is where PostgreSQL's WAL ends now.
func (r *auditRig) end(t *testing.T) pglogrepl.LSN {
	t.Helper()
	var text string
	must(t, r.PG.QueryRow(t.Context(), "SELECT pg_current_wal_insert_lsn()::text").Scan(&text))
	lsn, err := pglogrepl.ParseLSN(text)
	must(t, err)
	return lsn
}

// observed is what the page shows.
func observed(t *testing.T, url string) (s observe.Snapshot) {
	t.Helper()
	must(t, json.Unmarshal([]byte(fetchText(t, url+"/status.json")), &s))
	return s
}

// metric is the value of one series.
func metric(t *testing.T, url, series string) float64 {
	t.Helper()
	for line := range strings.Lines(fetchText(t, url+"/metrics")) {
		if text, ok := strings.CutPrefix(line, series+" "); ok {
			value, err := strconv.ParseFloat(strings.TrimSpace(text), 64)
			must(t, err)
			return value
		}
	}
	t.Fatalf("no %s", series)
	return 0
}

// frugalUsers leave a query next to no memory.
const frugalUsers = `<clickhouse>
<profiles><default><max_memory_usage>1000000</max_memory_usage><max_untracked_memory>10000</max_untracked_memory></default></profiles>
<users><default><password></password><profile>default</profile><quota>default</quota></default></users>
<quotas><default></default></quotas>
</clickhouse>`
