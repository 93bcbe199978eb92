package e2e

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/tidemark-db/tidemark/internal/rig"
)

// bigRows is the size of a big transaction; the soak has the full one.
const (
	bigRows     = 300_000
	fullBigRows = 5_000_000
	spilledRows = 30_000
)

// TestBigTransactions writes transactions larger than the bridge's memory: one of many rows, the same rolled back, and one
// of ten thousand subtransactions, half of them rolled back.
func TestBigTransactions(t *testing.T) {
	n := bigRows
	if soakMinutes(t) > 0 {
		n = fullBigRows
	}
	bigTransactions(t, n, "64MB")
}

// TestSpilledTransactions does the same with hardly any memory for PostgreSQL to decode in: it keeps transactions on disk, each
// subtransaction apart, and leaves out those that were rolled back when it reads them again.
func TestSpilledTransactions(t *testing.T) {
	t.Parallel()
	bigTransactions(t, spilledRows, "64kB")
}

// bigTransactions writes transactions of n rows while PostgreSQL has some memory for decoding.
func bigTransactions(t *testing.T, n int, memory string) {
	t.Helper()
	r := rig.New(t, servers, "CREATE TABLE big (id bigint PRIMARY KEY, d timestamptz NOT NULL DEFAULT now(), v text)", "CREATE PUBLICATION tidemark FOR TABLE big")
	execute(t, r, fmt.Sprintf("ALTER DATABASE %s SET logical_decoding_work_mem = '%s'", r.Name, memory))
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
		{"savepoints", savepoints(200)},
	} {
		t.Run(c.name, func(t *testing.T) {
			if _, err := r.PG.Exec(t.Context(), c.sql); err != nil {
				t.Fatal(err)
			}
			r.WaitLSNWithin(time.Hour, 1)
			compareBig(t, r)
			if strings.Contains(r.Log(), "the table is held") { // a load would repair whatever the tick did
				t.Errorf("the bridge said\n%s", r.Log())
			}
		})
	}
	awaitSpills(t, r, memory)
	if peak := peakMemory(t, p.Pid()); peak > maxMemory {
		t.Errorf("the bridge took %d MiB", peak>>20)
	} else {
		t.Logf("%d rows: the bridge took %d MiB", n, peak>>20)
	}
	if code := p.Terminate(); code != 0 {
		t.Errorf("exit code %d", code)
	}
}

// savepoints is a transaction that goes back to savepoints, outer and inner ones, after rows enough to be on disk by then.
func savepoints(n int) string {
	out := "BEGIN; "
	for i := range n {
		out += fmt.Sprintf("SAVEPOINT a; UPDATE big SET v = repeat('a', 100 + %[1]d) WHERE id BETWEEN %[1]d * 20 AND %[1]d * 20 + 30; SAVEPOINT b; DELETE FROM big WHERE id %% 1000 = %[1]d; ", i)
		out += []string{"ROLLBACK TO b; ", "ROLLBACK TO a; ", "RELEASE b; ROLLBACK TO a; ", "RELEASE a; "}[i%4]
	}
	return out + "COMMIT"
}

// awaitSpills waits until PostgreSQL counts transactions that it kept on disk while decoding, where it has to have some.
func awaitSpills(t *testing.T, r *rig.Rig, memory string) {
	t.Helper()
	if memory != "64kB" {
		return
	}
	r.Eventually(time.Minute, "spilled transactions", func(ctx context.Context) error {
		var n, bytes int64
		err := r.PG.QueryRow(ctx, "SELECT spill_txns, spill_bytes FROM pg_stat_replication_slots WHERE slot_name = $1", r.Name).Scan(&n, &bytes)
		if err == nil && n < 3 {
			err = fmt.Errorf("%d were", n)
		}
		if err == nil {
			t.Logf("%d transactions of %d MiB on disk", n, bytes>>20)
		}
		return err
	})
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
