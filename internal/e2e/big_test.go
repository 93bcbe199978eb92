package e2e

import (
	"fmt"
	"testing"
	"time"

	"github.com/tidemark-db/tidemark/internal/rig"
)

// bigRows is the size of a big transaction; the soak has the full one.
const (
	bigRows     = 300_000
	fullBigRows = 5_000_000
)

// TestBigTransactions writes transactions larger than the bridge's memory: one of many rows, the same rolled back, and one
// of ten thousand subtransactions, half of them rolled back.
func TestBigTransactions(t *testing.T) {
	n := bigRows
	if soakMinutes(t) > 0 {
		n = fullBigRows
	}
	r := rig.New(t, servers, "CREATE TABLE big (id bigint PRIMARY KEY, d timestamptz NOT NULL DEFAULT now(), v text)", "CREATE PUBLICATION tidemark FOR TABLE big")
	p := r.Spawn(r.ConfigFile("tick: 200ms\ntables: {public.big: {date_column: d}}"))
	r.WaitLSN(1)
	insert := fmt.Sprintf("INSERT INTO big SELECT g, now() - g * interval '1 ms', repeat('v', 100) FROM generate_series(1, %d) g", n)
	for _, c := range []struct{ name, sql string }{
		{"rolled back", "BEGIN; " + insert + "; ROLLBACK"},
		{"committed", "BEGIN; " + insert + "; UPDATE big SET v = 'changed' WHERE id % 100 = 0; DELETE FROM big WHERE id % 101 = 0; COMMIT"},
		{"subtransactions", `DO $$ BEGIN
			FOR i IN 1..10000 LOOP
				BEGIN
					UPDATE big SET v = 'sub' || i WHERE id = i;
					INSERT INTO big VALUES (10000000 + i, now(), 'sub');
					IF i % 2 = 0 THEN RAISE EXCEPTION 'undo'; END IF;
				EXCEPTION WHEN raise_exception THEN NULL;
				END;
			END LOOP; END $$`},
	} {
		t.Run(c.name, func(t *testing.T) {
			if _, err := r.PG.Exec(t.Context(), c.sql); err != nil {
				t.Fatal(err)
			}
			r.WaitLSNWithin(time.Hour, 1)
			compareBig(t, r)
		})
	}
	if peak := peakMemory(t, p.Pid()); peak > maxMemory {
		t.Errorf("the bridge took %d MiB", peak>>20)
	} else {
		t.Logf("%d rows: the bridge took %d MiB", n, peak>>20)
	}
	if code := p.Terminate(); code != 0 {
		t.Errorf("exit code %d", code)
	}
}

func compareBig(t *testing.T, r *rig.Rig) {
	t.Helper()
	var want, got string
	err := r.PG.QueryRow(t.Context(), "SELECT concat_ws(' ', count(*), coalesce(sum(id), 0), coalesce(sum(length(v) * (id % 1000)), 0), count(*) FILTER (WHERE v = 'changed')) FROM big").Scan(&want)
	if err == nil {
		err = r.CH.QueryRow(t.Context(), "SELECT concatWithSeparator(' ', count(), ifNull(sum(id), 0), ifNull(sum(length(v) * (id % 1000)), 0), countIf(v = 'changed')) FROM "+r.Name+".big").Scan(&got)
	}
	if err != nil || want != got {
		t.Errorf("PostgreSQL has %s, the view %s, %v", want, got, err)
	}
}
