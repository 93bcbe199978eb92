package main

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
)

// query asks the twelve queries of the views, of plain tables with the same rows, and of the peer's tables, which got the
// same changes.
func query(ctx context.Context, r *run) error {
	b, err := newBed(ctx, r)
	defer b.stop()
	if err != nil {
		return err
	}
	q := &queries{bed: b, historic: r.rows(40_000_000), recent: r.rows(1_000_000), late: r.rows(50_000)}
	defer q.close()
	for _, step := range []func(context.Context) error{q.prepare, q.ingest, q.afterIngestion, q.withLateRows} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	return nil
}

type queries struct {
	*bed
	historic, recent, late int
	view, final            driver.Conn // one thread each; final reads every table with FINAL and without deleted rows
	version                int         // of the peer's rows
	ingested               time.Time
}

const days = 20

// prepare loads the settled rows and gives the peer the same.
func (q *queries) prepare(ctx context.Context) (err error) {
	if q.view, err = connect(q.target, clickhouse.Settings{"max_threads": 1}); err != nil {
		return err
	}
	q.final, err = connect(q.target, clickhouse.Settings{
		"max_threads": 1, "final": 1,
		"additional_table_filters": "{'bench.peer_sales': '_peerdb_is_deleted = 0', 'bench.peer_stores': '_peerdb_is_deleted = 0', 'bench.peer_products': '_peerdb_is_deleted = 0'}",
	})
	if err != nil {
		return err
	}
	if err := q.fill(ctx, 0, q.historic, (days+1)*24*time.Hour, 25*time.Hour); err != nil {
		return err
	}
	if err := q.runBridge(ctx, "{aggregates}", text("aggregates.yaml")); err != nil {
		return err
	}
	if err := q.query(ctx, append(statements(text("tables/plain.sql")), statements(text("tables/peerdb.sql"))...)...); err != nil {
		return err
	}
	for _, table := range []string{"stores", "products"} {
		if err := q.feed(ctx, table, "1"); err != nil {
			return err
		}
		if err := q.query(ctx, "INSERT INTO bench.plain_"+table+" SELECT * FROM bench."+table); err != nil {
			return err
		}
	}
	// The peer takes a snapshot in partitions of so many rows.
	const partition = 1_000_000
	for first := 0; first < q.historic; first += partition {
		if err := q.feed(ctx, "sales", fmt.Sprintf("id >= %d AND id < %d", first, first+partition)); err != nil {
			return err
		}
	}
	return nil
}

// feed gives the peer the rows as they are now, as a batch of its own.
func (q *queries) feed(ctx context.Context, table, where string) error {
	q.version++
	return q.query(ctx, fmt.Sprintf("INSERT INTO bench.peer_%s SELECT *, now64(), 0, %d FROM bench.%[1]s WHERE %[3]s", table, q.version, where))
}

// ingest has the recent rows come and change in batches.
func (q *queries) ingest(ctx context.Context) error {
	const batches = 10
	each := q.recent / batches
	for i := range batches {
		first := q.historic + i*each
		changes := []struct{ statement, where string }{
			{fmt.Sprintf("CALL fill(%d, %d, now() - interval '%d m', now() - interval '%d m')", first, each, 10*(batches-i), 10*(batches-i-1)), fmt.Sprintf("id >= %d AND id < %d", first, first+each)},
			{fmt.Sprintf("UPDATE sales SET status = 'paid', qty = qty + 1 WHERE id >= %d AND id < %d AND id %% 2 = 0", q.historic, first+each), fmt.Sprintf("id >= %d AND id < %d AND id %% 2 = 0", q.historic, first+each)},
		}
		for _, c := range changes {
			if err := q.change(ctx, c.statement); err != nil {
				return err
			}
			if err := q.feed(ctx, "sales", c.where); err != nil {
				return err
			}
		}
	}
	q.ingested = time.Now()
	return q.copyPlain(ctx)
}

// copyPlain makes the plain table hold what the view holds, merged to the end.
func (b *bed) copyPlain(ctx context.Context) error {
	return b.query(ctx, "TRUNCATE TABLE bench.plain_sales", "INSERT INTO bench.plain_sales SELECT * FROM bench.sales", "OPTIMIZE TABLE bench.plain_sales FINAL")
}

// afterIngestion compares without late rows, with the peer as it is at once, a minute and ten minutes after its last batch.
func (q *queries) afterIngestion(ctx context.Context) error {
	for _, minutes := range []int{0, 1, 10} {
		until := q.ingested.Add(q.run.wait(time.Duration(minutes) * time.Minute))
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(time.Until(until)):
		}
		if err := q.ask(ctx, "no late rows", minutes); err != nil {
			return err
		}
	}
	return nil
}

// withLateRows changes rows of the newest and of the oldest of the days.
func (q *queries) withLateRows(ctx context.Context) error {
	half := q.late / 2
	where := fmt.Sprintf("(id < %d OR id >= %d AND id < %d)", half, q.historic-half, q.historic)
	if err := q.change(ctx, "UPDATE sales SET status = 'cancelled', qty = qty + 1 WHERE "+where); err != nil {
		return err
	}
	if err := q.feed(ctx, "sales", where); err != nil {
		return err
	}
	if err := q.copyPlain(ctx); err != nil {
		return err
	}
	return q.ask(ctx, fmt.Sprintf("%d late rows", q.late), 0)
}

// asked is one query's texts and what was measured.
type asked struct {
	name              string
	view, plain, peer string
	took              []time.Duration // of the view, the plain table and the peer
	read              int64           // rows that the view's query read
}

func (q *queries) texts(name string) asked {
	raw := "queries/" + name + ".sql"
	point := strconv.Itoa(q.historic / 3)
	on := func(prefix, byMinute string) string {
		return text(raw, "sales", "bench."+prefix+"sales", "stores", "bench."+prefix+"stores", "products", "bench."+prefix+"products", "point", point, "by_minute", byMinute)
	}
	rows := func(prefix string) string { return text("by_minute.sql", "sales", "bench."+prefix+"sales") }
	return asked{name: name, view: on("", "bench.sales_by_minute"), plain: on("plain_", rows("plain_")), peer: on("peer_", rows("peer_"))}
}

// twelve are the names of the queries' files.
func twelve() (names []string, err error) {
	entries, err := files.ReadDir("sql/queries")
	for _, e := range entries {
		if name := strings.TrimSuffix(e.Name(), ".sql"); name != "nothing" {
			names = append(names, name)
		}
	}
	return names, err
}

// ask measures every query and adds its rows; the plain tables alone have no minutes.
func (q *queries) ask(ctx context.Context, state string, minutes int) error {
	names, err := twelve()
	if err != nil {
		return err
	}
	var toPlain, ofPeer []float64
	worst := 0.0
	for _, name := range names {
		a := q.texts(name)
		if err := q.time(ctx, &a); err != nil {
			return err
		}
		ratio := a.took[0].Seconds() / a.took[1].Seconds()
		if a.read > int64(q.run.rows(1_000_000)) {
			toPlain, worst = append(toPlain, ratio), max(worst, ratio)
		}
		ofPeer = append(ofPeer, a.took[2].Seconds()/a.took[0].Seconds())
		if minutes == 0 {
			q.run.add(Row{Case: state, What: name, Value: millis(a.took[0]), Unit: "ms", Against: "plain MergeTree", Other: millis(a.took[1])})
		}
		q.run.add(Row{Case: fmt.Sprintf("%s, %d min after", state, minutes), What: "FINAL, " + name, Value: millis(a.took[2]), Unit: "ms", Against: "view", Other: millis(a.took[0])})
	}
	q.summarize(state, minutes, toPlain, worst, ofPeer)
	return q.askNothing(ctx, state, minutes)
}

func (q *queries) summarize(state string, minutes int, toPlain []float64, worst float64, ofPeer []float64) {
	mean := func(what string, v float64, against string, goal *Goal) {
		q.run.add(Row{Case: fmt.Sprintf("%s, %d min after", state, minutes), What: what, Value: v, Unit: "ratio", Against: against, Other: 1, Goal: goal})
	}
	goal, most := ratioAtMost(1.1), ratioAtMost(1.25)
	if state != "no late rows" {
		goal, most = ratioAtMost(1.4), nil
	}
	if minutes == 0 && len(toPlain) > 0 {
		mean("view, geometric mean of queries that read > 1M rows of the plain table", geometricMean(toPlain), "plain MergeTree", goal)
		mean("view, worst query that reads > 1M rows of the plain table", worst, "plain MergeTree", most)
	}
	var least *Goal
	if minutes == 1 {
		least = ratioAtLeast(5)
	}
	mean("ReplacingMergeTree FINAL, geometric mean", geometricMean(ofPeer), "view", least)
}

// askNothing measures what a view adds to a query that has nothing to read.
func (q *queries) askNothing(ctx context.Context, state string, minutes int) error {
	a := q.texts("nothing")
	if err := q.time(ctx, &a); err != nil {
		return err
	}
	most := 10.
	if state != "no late rows" {
		most = 15
	}
	q.run.add(Row{Case: fmt.Sprintf("%s, %d min after", state, minutes), What: "fixed extra of a view", Value: millis(a.took[0] - a.took[1]), Unit: "ms", Against: "plain MergeTree takes", Other: millis(a.took[1]), Goal: valueAtMost(most)})
	return nil
}

func (q *queries) time(ctx context.Context, a *asked) (err error) {
	counted := clickhouse.Context(ctx, clickhouse.WithProgress(func(p *clickhouse.Progress) { a.read += int64(p.Rows) }))
	if err := drain(counted, q.view, a.plain); err != nil { // what it answers from metadata reads no rows
		return err
	}
	a.took, err = race(
		q.run.runs,
		func() error { return drain(ctx, q.view, a.view) },
		func() error { return drain(ctx, q.view, a.plain) },
		func() error { return drain(ctx, q.final, a.peer) },
	)
	return err
}

func (q *queries) close() {
	for _, conn := range []driver.Conn{q.view, q.final} {
		if conn != nil {
			_ = conn.Close()
		}
	}
}
