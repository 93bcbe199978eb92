package e2e

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"github.com/tidemark-db/tidemark/internal/bridge"
	"github.com/tidemark-db/tidemark/internal/rig"
)

// schemaRows is how many rows the table has whose columns come and go. Their values of v sum up to 0 in every state, and
// those of a column that comes to the number of rows: the transaction that adds it sets it.
const schemaRows = 400

func comingColumn(t *testing.T) *rig.Rig {
	t.Helper()
	return rig.New(t, servers, "CREATE TABLE accounts (id int PRIMARY KEY, at timestamptz NOT NULL, v int NOT NULL)",
		fmt.Sprintf("INSERT INTO accounts SELECT g, now() - g * interval '1 min', 0 FROM generate_series(1, %d) g", schemaRows),
		"CREATE PUBLICATION tidemark FOR ALL TABLES")
}

const comingConfig = "tick: 50ms\nrt_window: 1h\nschedule: {roll: \"\", resync: \"\"}\ntables:\n  public.accounts: {date_column: at}\n"

func addAndFill(column string) string {
	return fmt.Sprintf("BEGIN; ALTER TABLE accounts ADD %s int DEFAULT 0; UPDATE accounts SET %[1]s = 1; COMMIT", column)
}

// watch reads the table until the returned function is called, which tells how often. What a query knows by name must never
// break; and a column that comes is seen with its values or not at all.
func watch(t *testing.T, r *rig.Rig, columns []string) (stop func() int) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	reads := make([]int, 1+len(columns))
	read := func(i int, column string, wanted bool) {
		conn := r.Reader(nil)
		for ctx.Err() == nil {
			var n uint64
			var sum int64
			err := conn.QueryRow(context.WithoutCancel(ctx), fmt.Sprintf("SELECT count(), toInt64(sum(%s)) FROM %s.accounts", column, r.Name)).Scan(&n, &sum)
			switch {
			case err != nil && !wanted && (strings.Contains(err.Error(), "Unknown expression") || strings.Contains(err.Error(), "changed while this query was planned")):
			case err != nil:
				t.Errorf("read of %s: %v", column, err)
				return
			case n != schemaRows || wanted && sum != 0 || !wanted && sum != schemaRows:
				t.Errorf("%d rows, %s sums up to %d", n, column, sum)
				return
			default:
				reads[i]++
			}
		}
	}
	wg.Go(func() { read(0, "v", true) }) // ends with ctx, as the others
	for i, column := range columns {
		wg.Go(func() { read(1+i, column, false) })
	}
	return func() (n int) {
		cancel()
		wg.Wait()
		for i, of := range reads {
			if n += of; of == 0 && i == 0 {
				t.Error("nothing was read")
			}
		}
		return n
	}
}

// TestRemakeCrash kills a bridge before and after each step in which the internals of a table are made anew, because
// PostgreSQL rewrote its rows.
func TestRemakeCrash(t *testing.T) {
	t.Parallel()
	r := comingColumn(t)
	file := r.ConfigFile(comingConfig)
	p := r.SpawnPuppet(file, rig.Point{}, rig.PuppetOptions{})
	r.WaitLSN(1)
	for i, statement := range []string{"hold_view", "drop_table", "create_chunks", "create_masks"} {
		for _, after := range []bool{false, true} {
			at := rig.Point{Statement: statement, After: after}
			if err := p.Arm(at); err != nil {
				t.Fatal(err)
			}
			execute(t, r, fmt.Sprintf("ALTER TABLE accounts ADD c%d_%t int DEFAULT (random() * 100)::int", i, after))
			if err := p.Await(holdPatience); err != nil {
				t.Fatalf("%s: %v\n%s", at, err, r.Log())
			}
			p.Kill()
			p = r.SpawnPuppet(file, rig.Point{}, rig.PuppetOptions{})
			sameAsSource(t, r, "accounts")
		}
	}
	p.Terminate()
}

// TestSchemaCrash kills a bridge before and after each step of a schema change, while readers look.
func TestSchemaCrash(t *testing.T) {
	t.Parallel()
	r := comingColumn(t)
	file := r.ConfigFile(comingConfig)
	p := r.SpawnPuppet(file, rig.Point{}, rig.PuppetOptions{})
	r.WaitLSN(1)
	steps := []string{"add_columns", "insert_shape", "insert_mark", "create_view"}
	var columns []string
	for i := range 2 * len(steps) {
		columns = append(columns, fmt.Sprintf("c%d", i))
	}
	stop := watch(t, r, columns)
	for i, column := range columns {
		at := rig.Point{Statement: steps[i/2], After: i%2 == 1}
		execute(t, r, "UPDATE accounts SET v = CASE id WHEN 1 THEN 7 WHEN 2 THEN -7 ELSE v END WHERE id < 3")
		r.WaitLSN(1)
		if err := p.Arm(at); err != nil {
			t.Fatal(err)
		}
		execute(t, r, addAndFill(column), "UPDATE accounts SET v = 0")
		if err := p.Await(holdPatience); err != nil {
			t.Fatalf("%s: %v\n%s", at, err, r.Log())
		}
		p.Kill()
		p = r.SpawnPuppet(file, rig.Point{}, rig.PuppetOptions{})
		sameAsSource(t, r, "accounts")
		if i%2 == 1 { // a column that goes, in between
			execute(t, r, "BEGIN; ALTER TABLE accounts DROP "+column+"; UPDATE accounts SET v = -v; COMMIT")
			sameAsSource(t, r, "accounts")
		}
	}
	t.Logf("%d reads", stop())
	p.Terminate()
}

// TestSchemaViewGuard has the mark go back to before a change, and the view to before another one, as a query sees them
// that is planned across it: both are refused. Without the guard both show what never was.
func TestSchemaViewGuard(t *testing.T) {
	t.Parallel()
	r := comingColumn(t)
	b := r.Run(r.ConfigFile(comingConfig), bridge.Options{})
	r.WaitLSN(1)
	execute(t, r, addAndFill("c"))
	sameAsSource(t, r, "accounts")
	withColumn := viewText(t, r, "accounts")
	var before uint64 // an epoch whose mark names the new columns, and does not hold the transaction
	if err := r.CH.QueryRow(t.Context(), fmt.Sprintf("SELECT min(epoch) FROM (SELECT epoch FROM %[1]s.split_date WHERE tables['accounts'].shape = (SELECT argMax(tables['accounts'].shape, epoch) FROM %[1]s.split_date))", r.Name)).Scan(&before); err != nil {
		t.Fatal(err)
	}
	execute(t, r, "BEGIN; ALTER TABLE accounts DROP c; UPDATE accounts SET v = -v; COMMIT")
	sameAsSource(t, r, "accounts")
	_ = b.Stop()

	guarded(t, r, "an old view over a new mark", withColumn)
	republish := fmt.Sprintf("INSERT INTO %[1]s.split_date SELECT * REPLACE((SELECT max(epoch) FROM %[1]s.split_date) + 1 AS epoch, (SELECT max(term) FROM %[1]s.split_date) AS term) FROM %[1]s.split_date WHERE epoch = %d", r.Name, before)
	if err := r.CH.Exec(t.Context(), republish); err != nil {
		t.Fatal(err)
	}
	guarded(t, r, "a new view over an old mark", withColumn)
}

// guarded creates a view by its text, with its guard and without, and reads the column that has no value in this state.
func guarded(t *testing.T, r *rig.Rig, what, view string) {
	t.Helper()
	end := strings.Index(view, "planned; run it again'") + len("planned; run it again')")
	at := strings.LastIndex(view[:end], " OR throwIf(")
	if at < 0 {
		t.Fatalf("no guard in %s", view)
	}
	read := func(text string) (sum int64, err error) {
		err = createAndSum(t, r.CH, r.Name, text, &sum)
		return sum, err
	}
	if sum, err := read(view); err == nil || !strings.Contains(err.Error(), "changed while this query was planned") {
		t.Errorf("%s: %d, %v", what, sum, err)
	}
	if sum, err := read(view[:at] + view[end:]); err != nil || sum == schemaRows {
		t.Errorf("%s, without the guard: %d, %v; the test shows nothing", what, sum, err)
	}
}

func createAndSum(t *testing.T, conn driver.Conn, database, view string, sum *int64) error {
	t.Helper()
	if err := conn.Exec(t.Context(), strings.Replace(view, "CREATE VIEW", "CREATE OR REPLACE VIEW", 1)); err != nil {
		t.Fatal(err)
	}
	return conn.QueryRow(t.Context(), "SELECT toInt64(sum(c)) FROM "+database+".accounts").Scan(sum)
}

func viewText(t *testing.T, r *rig.Rig, view string) (text string) {
	t.Helper()
	if err := r.CH.QueryRow(t.Context(), "SELECT create_table_query FROM system.tables WHERE database = ? AND name = ?", r.Name, view).Scan(&text); err != nil {
		t.Fatal(err)
	}
	return text
}
