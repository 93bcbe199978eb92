package e2e

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/tidemark-db/tidemark/internal/bridge"
)

// slow is generous: a slow machine is no fault.
const slow = 3 * time.Minute

// aggregatesAre is the condition that the newest mark holds as many aggregates.
func (r *auditRig) aggregatesAre(want int) func(context.Context) error {
	query := fmt.Sprintf("SELECT length(aggregates) FROM %s.split_date ORDER BY term DESC, epoch DESC LIMIT 1", r.Name)
	return func(ctx context.Context) error {
		var n uint64
		if err := r.CH.QueryRow(ctx, query).Scan(&n); err != nil {
			return err
		}
		if n != uint64(want) {
			return fmt.Errorf("%d aggregates instead of %d", n, want)
		}
		return nil
	}
}

// aggregatedTables are those of lateTables with aggregates of every grain: finer than the steps of the split date (1 s),
// coarser, without time, and one group of all.
func aggregatedTables(names ...string) []audited {
	tables := lateTables(names...)
	for i := range tables {
		tables[i].aggregates = lateAggregates[tables[i].name]
	}
	return tables
}

// every is every kind of measure that has to be exact, over the columns of history.
var every = []column{
	{"n", "count()"},
	{"total", "sum(v)"},
	{"amounts", "sum(amount)"},
	{"least", "min(v)"},
	{"most", "max(note)"},
	{"some", "sumIf(v, v > 500000)"},
	{"notes", "uniq(note)"},
	{"ids", "uniqExact(id)"},
	{"p90", "quantileExact(0.9)(v)"},
	{"newest", "argMax(v, id)"},
}

const everyPostgres = `count(*) || '|' || sum(v) || '|' || coalesce(trim_scale(sum(amount))::text, '~') || '|' || min(v) || '|' || coalesce(max(note COLLATE "C"), '~')
	|| '|' || coalesce(sum(v) FILTER (WHERE v > 500000), 0) || '|' || count(DISTINCT note) || '|' || count(DISTINCT id)
	|| '|' || (array_agg(v ORDER BY v))[1 + floor(0.9 * count(*))::int] || '|' || (array_agg(v ORDER BY id DESC))[1]`

const minutePostgres = "coalesce(to_char(date_trunc('minute', d AT TIME ZONE 'UTC'), 'YYYY-MM-DD HH24:MI:SS'), '~')"

var lateAggregates = map[string][]declared{
	"history": {
		{
			name: "history_by_instant", keys: []column{{"at", "toUnixTimestamp64Milli(d)"}}, measures: []column{{"n", "count()"}, {"v", "sum(v)"}},
			postgres: "SELECT coalesce(floor(extract(epoch FROM d) * 1000)::bigint::text, '~') || '|' || count(*) || '|' || sum(v) FROM history GROUP BY floor(extract(epoch FROM d) * 1000)",
		},
		{
			name: "history_by_minute", keys: []column{{"minute", "toStartOfMinute(d)"}, {"status", "status"}}, measures: every, where: "v % 7 != 3",
			postgres: "SELECT " + minutePostgres + " || '|' || status || '|' || " + everyPostgres + " FROM history WHERE v % 7 <> 3 GROUP BY date_trunc('minute', d AT TIME ZONE 'UTC'), status",
		},
		{
			name: "history_by_day", keys: []column{{"day", "toDate(d, 'UTC')"}}, measures: every,
			postgres: "SELECT coalesce((d AT TIME ZONE 'UTC')::date::text, '~') || '|' || " + everyPostgres + " FROM history GROUP BY (d AT TIME ZONE 'UTC')::date",
		},
		{
			name: "history_by_status", keys: []column{{"status", "status"}}, measures: every,
			postgres: "SELECT status || '|' || " + everyPostgres + " FROM history GROUP BY status",
		},
		{
			name: "history_in_all", measures: every[:2], where: "v != 1",
			postgres: "SELECT count(*) || '|' || coalesce(sum(v), 0) FROM history WHERE v <> 1",
		},
	},
	"events": {{
		name: "events_by_hour", keys: []column{{"hour", "toStartOfHour(d)"}}, measures: []column{{"v", "sum(v)"}, {"n", "count()"}},
		postgres: "SELECT coalesce(to_char(date_trunc('hour', d AT TIME ZONE 'UTC'), 'YYYY-MM-DD HH24:MI:SS'), '~') || '|' || sum(v) || '|' || count(*) FROM events GROUP BY date_trunc('hour', d AT TIME ZONE 'UTC')",
	}},
	"products": {{
		name: "products_by_rest", keys: []column{{"rest", "id % 10"}}, measures: []column{{"v", "sum(v)"}, {"n", "count()"}, {"id", "max(id)"}},
		postgres: "SELECT id % 10 || '|' || sum(v) || '|' || count(*) || '|' || max(id) FROM products GROUP BY id % 10",
	}},
}

// TestAggregates changes rows of any age in every way while ticks, rolls and folds go on. Each read compares in one query
// every aggregate with the same aggregation over the view of the rows, and these with PostgreSQL.
func TestAggregates(t *testing.T) {
	tables := []string{"history", "events", "products"}
	r := newAuditRig(t, aggregatedTables(tables...)...)
	length := time.Duration(duration(t)) * time.Second
	w := r.start(seed(t))
	b := r.Run(r.config(lateSettings), bridge.Options{})
	r.await()
	r.awaitAggregates()
	readers := r.startReaders()
	w.heavy(length)
	r.until(length, b.Done())
	w.stop()
	r.compare()
	r.compareAggregates()
	readers.stop(int(length.Seconds()) / 2)
	_ = b.Stop()
	r.checkMarks(tables[0], int(length.Seconds())/4)
}
