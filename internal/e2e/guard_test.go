package e2e

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/ClickHouse/clickhouse-go/v2"

	"github.com/tidemark-db/tidemark/internal/bridge"
	"github.com/tidemark-db/tidemark/internal/rig"
	"github.com/tidemark-db/tidemark/splitdate"
	"github.com/tidemark-db/tidemark/sql"
)

// guardTables have rows of two months that settle, 1 to 100 and 201 to 300, and fresh ones, 101 to 200. Once guardChanges are
// done, there are rows in LATE, and masks, also of row 10, which is no more.
var guardTables = []string{
	"CREATE TABLE rows (id int PRIMARY KEY, d timestamptz NOT NULL, v bigint NOT NULL)",
	"INSERT INTO rows SELECT g, CASE WHEN g > 200 THEN '2026-04-01 12:00Z' WHEN g > 100 THEN now() ELSE '2026-03-01 12:00Z' END, g FROM generate_series(1, 300) g",
	"CREATE PUBLICATION tidemark FOR TABLE rows",
}

const (
	guardConfig  = "tick: 50ms\nschedule: {roll: \"\", resync: \"\"}\ntables: {public.rows: {date_column: d, aggregates: {sums: {by: {rest: v % 10}, measures: {n: count(), total: sum(v)}}}}}\n"
	guardChanges = "UPDATE rows SET v = v + 1000 WHERE id < 10; DELETE FROM rows WHERE id = 10"
)

// guardLosses take a part of one region away. What stands in views has to fail.
var guardLosses = []struct {
	name, region, where string
	views               []string
}{
	{"RT", "rows_chunks", "id = 150", []string{"rows"}},
	{"LATE", "rows_chunks", "id = 5 AND v > 1000", []string{"rows"}},
	{"clean HISTORIC", "rows_chunks", "id = 250", []string{"rows"}},
	{"dirty HISTORIC", "rows_chunks", "id = 50", []string{"rows", "sums"}},
	{"masks", "rows_masks", "1", []string{"rows", "sums"}},
	{"a mask", "rows_masks", "id = 10", []string{"rows", "sums"}},
	{"states of RT", "sums_chunks", "rest = 3 AND NOT bitTest(_chunk, 39)", []string{"sums"}},
	{"states of HISTORIC", "sums_chunks", "rest = 3 AND bitTest(_chunk, 39)", []string{"sums"}},
}

// guardQuestions need all of a view: one row less could be seen.
var guardQuestions = map[string][]string{
	"rows": {
		"SELECT count() FROM {}.rows", "SELECT sum(v) FROM {}.rows", "SELECT count() FROM {}.rows WHERE id = -1", "SELECT id FROM {}.rows WHERE id = -1 LIMIT 1",
		"SELECT id FROM {}.rows ORDER BY id LIMIT 1", "SELECT count() FROM (SELECT 1 FROM {}.rows LIMIT 1000)", "SELECT exists(SELECT 1 FROM {}.rows WHERE id = -1)",
	},
	"sums": {
		"SELECT count() FROM {}.sums", "SELECT sum(total) FROM {}.sums", "SELECT total FROM {}.sums WHERE rest = 5", "SELECT total FROM {}.sums WHERE rest = -1 LIMIT 1",
		"SELECT 1 FROM {}.sums LIMIT 1", "SELECT rest FROM {}.sums ORDER BY rest LIMIT 1",
	},
}

// guardLimits end with the first row or group that comes, which must not be one that there never was: a dead row whose mask is
// gone, or a group without some of its states. (One row of a chunk of masks, taken out by hand, is seen by what reads all.)
var guardLimits = map[string][]string{
	"masks":              {"SELECT id FROM {}.rows WHERE id = 10 LIMIT 1", "SELECT total FROM {}.sums LIMIT 1"},
	"a mask":             {"SELECT total FROM {}.sums LIMIT 1"},
	"dirty HISTORIC":     {"SELECT total FROM {}.sums LIMIT 1"},
	"states of RT":       {"SELECT total FROM {}.sums LIMIT 1"},
	"states of HISTORIC": {"SELECT total FROM {}.sums LIMIT 1"},
}

// guardTries is how often a query is tried that ends with the first row it finds: which branch of a view is the first to
// bring one is chance.
const guardTries = 10

// TestGuard takes rows from each region behind the bridge's back. Queries of the views fail instead of showing one row less, and
// one that wants just any row gets one that there is.
func TestGuard(t *testing.T) {
	t.Parallel()
	r := rig.New(t, servers, guardTables...)
	b := r.Run(r.ConfigFile(guardConfig), bridge.Options{})
	r.WaitLSN(1)
	execute(t, r, guardChanges)
	r.WaitLSN(1)
	r.Eventually(slow, "the aggregate", func(ctx context.Context) error {
		return r.CH.Exec(ctx, "SELECT * FROM "+r.Name+".sums FORMAT Null")
	})
	_ = b.Stop()
	for _, c := range guardLosses {
		t.Run(c.name, func(t *testing.T) {
			giveBack := takeAway(t, r, c.region, c.where)
			for _, view := range c.views {
				for _, question := range guardQuestions[view] {
					outlives(t, r, question)
				}
			}
			for range guardTries {
				id, err := anyRow(t, r)
				if err == nil && id == 10 && c.name != "a mask" || err != nil && !isOutlived(err) {
					t.Errorf("any row is %d, %v", id, err)
				}
				for _, question := range guardLimits[c.name] {
					outlives(t, r, question)
				}
			}
			giveBack()
			for _, question := range slices.Concat(guardQuestions["rows"], guardQuestions["sums"]) {
				must(t, r.CH.Exec(t.Context(), strings.ReplaceAll(question, "{}", r.Name)+" FORMAT Null"))
			}
		})
	}
}

// outlives asks a question that the guard has to end.
func outlives(t *testing.T, r *rig.Rig, question string) {
	t.Helper()
	if err := r.CH.Exec(t.Context(), strings.ReplaceAll(question, "{}", r.Name)+" FORMAT Null"); !isOutlived(err) {
		t.Errorf("%s: %v", question, err)
	}
}

func anyRow(t *testing.T, r *rig.Rig) (id int32, err error) {
	t.Helper()
	err = r.CH.QueryRow(t.Context(), "SELECT id FROM "+r.Name+".rows LIMIT 1").Scan(&id)
	return id, err
}

// takeAway deletes rows of an internal table, and returns what inserts them again.
func takeAway(t *testing.T, r *rig.Rig, region, where string) (giveBack func()) {
	t.Helper()
	table := r.Name + "_tidemark." + region
	kept := table + "_kept"
	must(t, r.CH.Exec(t.Context(), fmt.Sprintf("CREATE TABLE %s ENGINE = Memory AS SELECT * FROM %s WHERE %s", kept, table, where)))
	var n uint64
	must(t, r.CH.QueryRow(t.Context(), "SELECT count() FROM "+kept).Scan(&n))
	if n == 0 {
		t.Fatalf("%s has nothing where %s", region, where)
	}
	damage(t, r, []string{"ALTER TABLE {}." + region + " DELETE WHERE " + where})
	return func() {
		t.Helper()
		must(t, r.CH.Exec(t.Context(), fmt.Sprintf("INSERT INTO %s SELECT * FROM %s", table, kept)))
		must(t, r.CH.Exec(t.Context(), "DROP TABLE "+kept))
	}
}

// gapLosses are rows of caseTables, one in each region.
var gapLosses = []struct {
	region string
	id     int
	where  string
}{{"RT", 150, "id = 150"}, {"HISTORIC", 50, "id = 50"}, {"LATE", 7, "id = 7 AND v = 0"}}

// TestGap takes a row away behind the bridge's back that PostgreSQL then updates, but for its TOAST value, which the stream leaves
// out. Nobody knows the value: the table is held, and says so, until it is loaded again.
func TestGap(t *testing.T) {
	t.Parallel()
	for _, c := range gapLosses {
		t.Run(c.region, func(t *testing.T) {
			r := newAuditRig(t, caseTables()[0])
			file, url := listening(t, r.config("tick: 50ms\nrt_window: 1h\nschedule: {roll: \"\"}"))
			b := r.Run(file, bridge.Options{})
			r.await()
			r.commit("UPDATE rows SET v = 0 WHERE id = 7")
			_ = b.Stop()
			b = r.Run(file, bridge.Options{NoLoads: true}) // what is held, stays so
			r.await()
			takeAway(t, r.Rig, "rows_chunks", c.where)
			r.run(fmt.Sprintf("UPDATE rows SET v = -1 WHERE id = %d", c.id))
			r.Eventually(commandPatience, "the alarm", func(ctx context.Context) error { return r.alarmed(ctx, t, url) })
			if n := metric(t, url, `tidemark_errors_total{kind="gap"}`); n != 1 {
				t.Errorf("%v gaps", n)
			}
			_ = b.Stop()
			b = r.Run(file, bridge.Options{CheckInvariants: true})
			r.await()
			r.compare()
			_ = b.Stop()
		})
	}
}

// alarmed returns nil once the page says that rows are missing in the table, and its view that it is held. The view must not
// answer after the update by then.
func (r *auditRig) alarmed(ctx context.Context, t *testing.T, url string) error {
	t.Helper()
	var n uint64
	err := r.CH.QueryRow(ctx, "SELECT count() FROM "+r.Name+".rows WHERE v = -1").Scan(&n)
	switch {
	case err == nil && n > 0:
		t.Fatal("the view shows the row")
	case err == nil:
		return errors.New("the view answers")
	case isOutlived(err): // by the guard, before the update came
		return err
	case !hasCode(err, throwIfTrue) || !strings.Contains(err.Error(), "public.rows") || !strings.Contains(err.Error(), "held"):
		return err
	}
	for _, table := range observed(t, url).Tables {
		if h := table.Held; h != nil && table.Table == "public.rows" && h.Kind == "gap" && strings.Contains(h.Error, "public.rows") && strings.Contains(h.Try, "loads the table again") {
			return nil
		}
	}
	return errors.New("the page says nothing of it")
}

// TestUnlikeEmpty has the empty table lack a column of the chunks, and have one more: partitions go all the same, and the next
// session makes both alike again where a column is missing.
func TestUnlikeEmpty(t *testing.T) {
	t.Parallel()
	for _, unlike := range []string{"rows_chunks", "rows_empty"} {
		t.Run(unlike, func(t *testing.T) {
			t.Parallel()
			r := rig.New(t, servers, guardTables...)
			file := r.ConfigFile("tick: 50ms\nschedule: {roll: \"\", resync: \"\"}\ntables: {public.rows: {date_column: d}}\n")
			b := r.Run(file, bridge.Options{})
			r.WaitLSN(1)
			must(t, r.CH.Exec(t.Context(), fmt.Sprintf("ALTER TABLE %s_tidemark.%s ADD COLUMN extra Int64", r.Name, unlike)))
			dropsChunks(t, r)
			_ = b.Stop()
			b = r.Run(file, bridge.Options{})
			r.WaitLSN(1)
			dropsChunks(t, r)
			var empty, chunks uint64
			must(t, r.CH.QueryRow(t.Context(), "SELECT countIf(table = 'rows_empty'), countIf(table = 'rows_chunks') FROM system.columns WHERE database = ? AND name = 'extra'", r.Name+"_tidemark").Scan(&empty, &chunks))
			if empty == 0 || (chunks > 0) != (unlike == "rows_chunks") {
				t.Errorf("the column is %d times in the empty table, %d times in the chunks", empty, chunks)
			}
			_ = b.Stop()
		})
	}
}

// dropsChunks changes a row until chunks of before are gone.
func dropsChunks(t *testing.T, r *rig.Rig) {
	t.Helper()
	partitions := func(ctx context.Context) (ids []string, err error) {
		err = r.CH.QueryRow(ctx, "SELECT groupUniqArray(partition_id) FROM system.parts WHERE active AND rows > 0 AND database = ? AND table = 'rows_chunks' AND startsWith(partition_id, '0-')", r.Name+"_tidemark").Scan(&ids)
		return ids, err
	}
	before, err := partitions(t.Context())
	must(t, err)
	r.Eventually(slow, "chunks to be dropped", func(ctx context.Context) error {
		execute(t, r, "UPDATE rows SET v = v + 1 WHERE id > 100 AND id < 201")
		now, err := partitions(ctx)
		if err == nil && slices.ContainsFunc(before, func(id string) bool { return slices.Contains(now, id) }) {
			err = fmt.Errorf("%v are there, of %v", now, before)
		}
		return err
	})
}

// TestDropsLeaveMerges drops partitions, as the bridge does, while a large one is merged. The control is DROP PARTITION, which
// breaks the merge off.
func TestDropsLeaveMerges(t *testing.T) {
	t.Parallel()
	r := rig.New(t, servers, guardTables...)
	b := r.Run(r.ConfigFile("tables: {public.rows: {date_column: d}}\n"), bridge.Options{})
	r.WaitLSN(1)
	_ = b.Stop()
	table, err := sql.NewTable(sql.TableConfig{Database: sql.Database(r.Name), Source: "public.rows", Name: "rows", Key: []string{"id"}})
	must(t, err)
	settled := splitdate.Chunk(1).Settled()
	for range 2 {
		must(t, r.CH.Exec(t.Context(), fmt.Sprintf("INSERT INTO %s_tidemark.rows_chunks (id, d, v, _chunk) SELECT number, '2020-01-01', number, %d FROM numbers(3000000)", r.Name, settled)))
	}
	ctx := clickhouse.Context(t.Context(), clickhouse.WithSettings(clickhouse.Settings{"allow_replace_partition_from_empty_source": 1}))
	for _, c := range []struct {
		name   string
		drop   func(sql.Region, []string) sql.Statement
		breaks bool
	}{{"DROP PARTITION", table.DropPlainly, true}, {"the bridge's", table.DropPartitions, false}} {
		done := make(chan error, 1)
		go func() { // ends with the merge, which is awaited
			done <- r.CH.Exec(t.Context(), fmt.Sprintf("OPTIMIZE TABLE %s_tidemark.rows_chunks PARTITION ID '20200101-%d' FINAL", r.Name, settled))
		}()
		var merged error
		dropped := 0
		for ended := false; !ended; dropped++ {
			must(t, r.CH.Exec(ctx, fmt.Sprintf("INSERT INTO %s_tidemark.rows_chunks (id, d, v, _chunk) VALUES (1, '2020-01-01', 1, %d)", r.Name, dropped+1)))
			must(t, r.CH.Exec(ctx, c.drop(sql.Chunks, []string{fmt.Sprintf("0-%d", dropped+1)}).Text))
			select {
			case merged = <-done:
				ended = true
			default:
			}
		}
		if hasCode(merged, aborted) != c.breaks || !c.breaks && merged != nil {
			t.Errorf("%s, %d times: the merge ended with %v", c.name, dropped, merged)
		}
	}
}

// aborted is ClickHouse's code for a merge that was broken off.
const aborted = 236
