package e2e

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tidemark-db/tidemark/internal/bridge"
	"github.com/tidemark-db/tidemark/internal/rig"
)

// pieceRows is the size of a table that is loaded in pieces.
const pieceRows = 6_000

// pieceTable makes the table; long notes are TOAST, which an UPDATE of other columns leaves out of the WAL.
func pieceTable(note string) []string {
	return []string{
		`CREATE TABLE sales (id int PRIMARY KEY, at timestamptz, price numeric(10, 2), note text)`,
		`ALTER TABLE sales ALTER note SET STORAGE EXTERNAL`,
		fmt.Sprintf(`INSERT INTO sales SELECT g, now() - g %% 5 * interval '1 day', g / 7.0, %s FROM generate_series(1, %d) g`, note, pieceRows),
		`CREATE PUBLICATION tidemark FOR TABLE sales`,
	}
}

const pieceConfig = `tick: 100ms
limits: {max_snapshot_age: 1s, copy_workers: 2, copy_rows_per_second: 3000}
schedule: {roll: "@every 1s", resync: "@every 1h"}
tables: {public.sales: {date_column: at}}
`

// TestLoadResumes stops a bridge in the middle of a first snapshot that takes several pieces and barriers, while the table
// changes: the next bridge goes on with the next piece, and the table is right.
func TestLoadResumes(t *testing.T) {
	t.Parallel()
	for name, note := range map[string]string{
		"short rows": "'note ' || g",
		"TOAST":      "CASE WHEN g % 50 = 0 THEN repeat(md5(g::text), 80) ELSE 'note ' || g END",
	} {
		t.Run(name, func(t *testing.T) {
			r := rig.New(t, servers, pieceTable(note)...)
			file := r.ConfigFile(pieceConfig)
			stop := changePieces(t, r, note)
			first := r.Run(file, bridge.Options{PiecePages: 8})
			pages := awaitPages(t, r, 10)
			_ = first.Stop()
			kept := awaitPages(t, r, pages)
			second := r.Run(file, bridge.Options{PiecePages: 8, CheckInvariants: true})
			if next := awaitPages(t, r, kept+1); next > 0 && next < kept {
				t.Errorf("pages went back from %d to %d", kept, next)
			}
			r.Eventually(3*time.Minute, "the table", func(ctx context.Context) error {
				var n uint64
				return r.CH.QueryRow(ctx, fmt.Sprintf("SELECT count() FROM %s.sales", r.Name)).Scan(&n)
			})
			stop()
			r.WaitLSN(1)
			comparePieces(t, r)
			parts, err := second.Verify(t.Context(), bridge.Request{})
			must(t, err)
			if kinds, keys := tally(parts); len(parts) == 0 || len(kinds) > 0 {
				t.Errorf("%d parts, %v: %v", len(parts), kinds, keys)
			}
		})
	}
}

// awaitPages waits until the newest mark keeps a load that has read so many pages, and returns how many.
func awaitPages(t *testing.T, r *rig.Rig, least int64) (pages int64) {
	t.Helper()
	query := fmt.Sprintf("SELECT JSONExtractInt(loads, 'sales', 'pages'), mapContains(tables, 'sales') FROM %s.split_date ORDER BY term DESC, epoch DESC LIMIT 1", r.Name)
	r.Eventually(3*time.Minute, "a piece", func(ctx context.Context) error {
		var there uint8
		if err := r.CH.QueryRow(ctx, query).Scan(&pages, &there); err != nil {
			return err
		}
		if pages < least && there == 0 {
			return fmt.Errorf("%d pages are read", pages)
		}
		return nil
	})
	return pages
}

// changePieces changes the table in all ways until the returned function is called.
func changePieces(t *testing.T, r *rig.Rig, note string) (stop func()) {
	ctx, cancel := context.WithCancel(t.Context())
	var group sync.WaitGroup
	random := rand.New(rand.NewPCG(seed(t), 5))
	group.Go(func() { // ends with stop
		next := pieceRows + 1
		for ctx.Err() == nil {
			id := random.IntN(pieceRows) + 1
			statement := []string{
				fmt.Sprintf("UPDATE sales SET price = price + 1 WHERE id BETWEEN %d AND %d", id, id+random.IntN(40)),
				fmt.Sprintf("UPDATE sales SET at = now() WHERE id = %d", id),
				fmt.Sprintf("UPDATE sales SET note = 'x' || %s FROM generate_series(%d, %d) g WHERE g = id", note, id, id),
				fmt.Sprintf("DELETE FROM sales WHERE id BETWEEN %d AND %d", id, id+random.IntN(5)),
				fmt.Sprintf("INSERT INTO sales VALUES (%d, now() - interval '2 days', 1, (SELECT %s FROM generate_series(0, 0) g))", next, note),
				fmt.Sprintf("UPDATE sales SET id = %d WHERE id = %d", next+1_000_000, id),
			}[random.IntN(6)]
			next++
			if _, err := r.PG.Exec(ctx, statement); err != nil && ctx.Err() == nil {
				t.Errorf("%s: %v", statement, err)
				return
			}
		}
	})
	t.Cleanup(func() { cancel(); group.Wait() })
	return func() { cancel(); group.Wait() }
}

func comparePieces(t *testing.T, r *rig.Rig) {
	t.Helper()
	var want, got string
	err := r.PG.QueryRow(t.Context(), `SELECT concat_ws(' ', count(*), sum(id::bigint), sum(price), sum(octet_length(note)), sum((extract(epoch FROM at) * 1000000)::bigint % 1000003)) FROM sales`).Scan(&want)
	must(t, err)
	err = r.CH.QueryRow(t.Context(), fmt.Sprintf(`SELECT concatWithSeparator(' ', count(), sum(toInt64(id)), toDecimalString(sum(price), 2), sum(length(note)), sum(toUnixTimestamp64Micro(assumeNotNull(at)) %% 1000003)) FROM %s.sales`, r.Name)).Scan(&got)
	must(t, err)
	if got != want {
		t.Errorf("the view has %s, PostgreSQL %s", got, want)
	}
}

// TestRowsBetweenSnapshots deletes a row after the snapshot of a load beside the ticks, and within the tick that brought it:
// the load has the row, so the tick must tell that it is gone.
func TestRowsBetweenSnapshots(t *testing.T) {
	r := rig.New(t, servers, pieceTable("'note ' || g")...)
	b := r.Run(r.ConfigFile(strings.Replace(pieceConfig, "tick: 100ms", "tick: 8s", 1)), bridge.Options{CheckInvariants: true})
	r.WaitLSN(1)
	execPostgres(t, r, "INSERT INTO sales VALUES (100001, now() - interval '2 days', 1, 'short')")
	var group sync.WaitGroup
	group.Go(func() { // ends with the load
		if _, err := b.Reload(t.Context(), bridge.Request{Table: "sales"}); err != nil {
			t.Error(err)
		}
	})
	r.Eventually(time.Minute, "the snapshot", func(ctx context.Context) error {
		var n int
		err := r.PG.QueryRow(ctx, "SELECT count(*) FROM pg_replication_slots WHERE temporary AND confirmed_flush_lsn IS NOT NULL AND database = current_database()").Scan(&n)
		if err == nil && n == 0 {
			err = fmt.Errorf("there is none")
		}
		return err
	})
	execPostgres(t, r, "DELETE FROM sales WHERE id = 100001")
	group.Wait()
	r.WaitLSN(1)
	comparePieces(t, r)
}

// TestChangesUnderALoad writes more to a table than a bridge keeps in memory before anything of the table is loaded: the changes
// lie in ClickHouse by then.
func TestChangesUnderALoad(t *testing.T) {
	t.Parallel()
	r := rig.New(t, servers, "CREATE TABLE big (id bigint PRIMARY KEY, d timestamptz NOT NULL DEFAULT now(), v text)",
		"INSERT INTO big VALUES (0)", "CREATE PUBLICATION tidemark FOR TABLE big")
	reached, release := make(chan struct{}), make(chan struct{})
	var once sync.Once
	b := r.Run(r.ConfigFile("tick: 200ms\ntables: {public.big: {date_column: d}}"), bridge.Options{Hook: func(ctx context.Context, statement string, after bool) error {
		if statement != "insert_chunk" || after {
			return nil
		}
		once.Do(func() { close(reached) })
		select {
		case <-release:
		case <-ctx.Done():
		}
		return nil
	}})
	<-reached
	for i := range 10 { // of 5 MB each: none goes in pieces because of its own size
		execPostgres(t, r, fmt.Sprintf("INSERT INTO big SELECT g, now(), repeat('v', 5000) FROM generate_series(%d, %d) g", i*1000+1, i*1000+1000))
	}
	r.Eventually(time.Minute, "a piece of changes", func(ctx context.Context) error {
		var n uint64
		err := r.CH.QueryRow(ctx, "SELECT count() FROM "+r.Name+"_tidemark.big_changes").Scan(&n)
		if err == nil && n == 0 {
			err = fmt.Errorf("there is none")
		}
		return err
	})
	close(release)
	r.WaitLSN(1)
	compareBig(t, r)
	if err := b.Stop(); err != nil {
		t.Error(err)
	}
}
