package e2e

import (
	"fmt"
	"strings"
	"testing"

	"github.com/tidemark-db/tidemark/internal/bridge"
	"github.com/tidemark-db/tidemark/internal/rig"
)

// TestPostgres15 does the changes of TestIdentities, with a load, late changes and a fold, on the older of the two versions
// that CI runs; `make matrix` runs more on others.
func TestPostgres15(t *testing.T) {
	t.Parallel()
	older, err := rig.Start(t.Context(), rig.Options{PostgresVersion: "15"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(older.Stop)
	r := newAuditRigOn(t, older, identityTable("by_default", identityKeys["by_default"].columns, "DEFAULT"),
		identityTable("by_row", identityKeys["by_row"].columns, "FULL"))
	file := r.config("tick: 200ms\nrt_window: 1h\nschedule: {roll: \"\", resync: \"\"}")
	command(t, file, "check").works(t)
	b := r.Run(file, bridge.Options{CheckInvariants: true})
	r.await()
	var version string
	if err := r.PG.QueryRow(t.Context(), "SHOW server_version").Scan(&version); err != nil || !strings.HasPrefix(version, "15.") {
		t.Fatalf("PostgreSQL %s, %v", version, err)
	}
	for _, step := range identitySteps {
		r.each(step.apply)
	}
	r.compare()
	r.fold(b)
	_ = b.Stop()
}

// TestHugeText sends a text of 100 MB through the snapshot, an insert, an update of it and one that leaves it.
func TestHugeText(t *testing.T) {
	t.Parallel()
	const huge = "repeat('0123456789', 10 * 1000 * 1000)"
	r := rig.New(t, servers, "CREATE TABLE docs (id int PRIMARY KEY, v int, body text)", "ALTER TABLE docs ALTER body SET STORAGE EXTERNAL",
		"INSERT INTO docs VALUES (1, 1, "+huge+")", "CREATE PUBLICATION tidemark FOR TABLE docs")
	b := r.Run(r.ConfigFile("tables: {public.docs: {}}"), bridge.Options{})
	exec := func(statement string) {
		if _, err := r.PG.Exec(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
	}
	compare := func(step string) {
		r.WaitLSN(1)
		var want, got string
		if err := r.PG.QueryRow(t.Context(), "SELECT string_agg(concat_ws(' ', id, v, length(body), md5(body)), ', ' ORDER BY id) FROM docs").Scan(&want); err != nil {
			t.Fatal(err)
		}
		err := r.CH.QueryRow(t.Context(), fmt.Sprintf("SELECT arrayStringConcat(arraySort(groupArray(concatWithSeparator(' ', toString(id), toString(v), toString(length(body)), lower(hex(MD5(body)))))), ', ') FROM %s.docs", r.Name)).Scan(&got)
		if err != nil || got != want {
			t.Errorf("after %s: the view has %s, %v; want %s", step, got, err, want)
		}
	}
	compare("the snapshot")
	exec("INSERT INTO docs SELECT 2, 2, 'x' || body FROM docs")
	compare("an insert")
	exec("UPDATE docs SET v = 3")
	compare("an update that leaves it")
	exec("UPDATE docs SET body = reverse(body) WHERE id = 1")
	compare("an update")
	_ = b.Stop()
}
