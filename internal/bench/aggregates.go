package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"github.com/tidemark-db/tidemark/internal/aggregate"
	"github.com/tidemark-db/tidemark/internal/config"
	"github.com/tidemark-db/tidemark/internal/engine"
	"github.com/tidemark-db/tidemark/internal/warehouse"
	"github.com/tidemark-db/tidemark/splitdate"
	"github.com/tidemark-db/tidemark/sql"
)

// aggregateOptions of one run.
type aggregateOptions struct {
	historic, rt, customers uint64
	chunks, runs            int
}

// aggregates measures the views of three aggregates against the same queries over the view of the rows and over hand-made
// AggregatingMergeTree tables, which no update could ever correct; what their states take on disk; and what they add to a
// tick. The chunks are written by the bridge's own statements, without a PostgreSQL.
func aggregates(ctx context.Context, args []string) (err error) {
	var o aggregateOptions
	flags := flag.NewFlagSet("aggregates", flag.ContinueOnError)
	flags.Uint64Var(&o.historic, "historic-rows", 40_000_000, "rows in HISTORIC")
	flags.Uint64Var(&o.rt, "rt-rows", 1_000_000, "rows in RT, in one chunk")
	flags.Uint64Var(&o.customers, "customers", 1_000_000, "customers")
	flags.IntVar(&o.chunks, "chunks", 20, "chunks of HISTORIC, one a day")
	flags.IntVar(&o.runs, "runs", 5, "runs of each query; the median counts")
	if err := flags.Parse(args); err != nil {
		return fmt.Errorf("read flags: %w", err)
	}
	server, err := engine.StartClickHouse(ctx, engine.ClickHouseOptions{Progress: os.Stderr})
	if err != nil {
		return fmt.Errorf("start ClickHouse: %w", err)
	}
	defer func() { err = errors.Join(err, server.Stop(context.WithoutCancel(ctx))) }()
	b := &aggregateBench{o: o, dsn: server.DSN("bench")}
	if err := b.open(ctx); err != nil {
		return err
	}
	defer b.db.Close()
	for _, step := range []func(context.Context) error{b.fill, b.declare, b.compute, b.byHand, b.ask, b.sizes, b.tick} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	return nil
}

// aggregateBench is a table with aggregates, as a mark lists them.
type aggregateBench struct {
	o        aggregateOptions
	dsn      string
	db       *warehouse.Conn
	store    *splitdate.Store
	numbers  *splitdate.Numbers
	table    *sql.Table
	declared []*sql.Aggregate
	states   *aggregate.States
	mark     splitdate.Mark
}

func (b *aggregateBench) open(ctx context.Context) (err error) {
	if b.db, err = warehouse.Open(warehouse.Options{DSN: b.dsn}); err != nil {
		return err
	}
	b.store = splitdate.NewStore(b.db)
	b.table, err = sql.NewTable(sql.TableConfig{
		Database: "bench", Source: "public.sales", Name: "sales", Key: []string{"id"}, Date: "created_at", OrderBy: []string{"store_id", "created_at"}, Columns: salesColumns(),
	})
	if err != nil {
		return err
	}
	names := b.db.Database()
	for _, st := range slices.Concat(names.CreateDatabases(), names.CreateMarks(), b.table.CreateTables()) {
		if err := b.db.Exec(ctx, st, nil); err != nil {
			return err
		}
	}
	if b.mark, _, err = b.store.Claim(ctx, splitdate.Mark{CommitTime: time.Now()}); err != nil {
		return err
	}
	b.db.SetTerm(uint64(b.mark.Term))
	b.numbers = splitdate.NewNumbers(b.mark.Term)
	return nil
}

func salesColumns() (out []sql.Column) {
	for _, c := range [][2]string{
		{"id", "Int64"},
		{"created_at", "DateTime64(6, 'UTC')"},
		{"store_id", "Int32"},
		{"customer_id", "Int32"},
		{"status", "LowCardinality(String)"},
		{"qty", "Int32"},
		{"price", "Decimal(12, 2)"},
	} {
		out = append(out, sql.Column{Name: c[0], Type: sql.Type{Name: c[1], Kind: sql.KindTimestampTZ, Zone: time.UTC}})
	}
	return out
}

// firstDay is the day of the oldest rows.
var firstDay = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// rowsText fills a chunk with rows spread evenly over a time.
func (b *aggregateBench) rowsText(r sql.Region, c splitdate.Chunk, first, n uint64, from time.Time, length time.Duration) sql.Statement {
	return sql.Statement{Name: "fill", Text: fmt.Sprintf(`%s SELECT %[3]d + number,
		fromUnixTimestamp64Micro(%[5]d + intDiv(number * %[6]d, %[4]d), 'UTC'), cityHash64(number, 1) %% 50, cityHash64(%[3]d + number, 2) %% %[7]d,
		['new', 'paid', 'shipped', 'cancelled'][1 + cityHash64(number, 3) %% 4], 1 + cityHash64(number, 4) %% 4, toDecimal64(cityHash64(number, 5) %% 10000, 2) / 100, %[2]d
		FROM numbers(%[4]d)`, b.table.InsertChunk(r).Text, c, first, n, from.UnixMicro(), length.Microseconds(), b.o.customers)}
}

// fill writes the chunks and has a mark list them.
func (b *aggregateBench) fill(ctx context.Context) error {
	state := splitdate.Table{Chunks: map[splitdate.Chunk]splitdate.Meta{}}
	split := firstDay.AddDate(0, 0, b.o.chunks)
	state.Split = splitdate.InstantOf(split)
	each := b.o.historic / uint64(b.o.chunks)
	for i := range b.o.chunks {
		c := b.numbers.Next()
		state.Clean = append(state.Clean, c)
		if err := b.db.Exec(ctx, b.rowsText(sql.Historic, c, uint64(i)*each, each, firstDay.AddDate(0, 0, i), 24*time.Hour), nil); err != nil {
			return err
		}
	}
	rt := b.numbers.Next()
	state.RT = []splitdate.Chunk{rt}
	if err := b.db.Exec(ctx, b.rowsText(sql.RT, rt, b.o.historic, b.o.rt, split, 30*time.Minute), nil); err != nil {
		return err
	}
	for _, r := range []sql.Region{sql.Historic, sql.RT} {
		metas, err := splitdate.CountChunks(ctx, b.db, b.table, r, state.In(r))
		if err != nil {
			return err
		}
		for c, meta := range metas {
			state.Chunks[c] = meta
		}
	}
	if err := b.publish(ctx, splitdate.Step{Add: map[string]splitdate.Table{"sales": state}}); err != nil {
		return err
	}
	return b.db.Exec(ctx, b.table.CreateView(), nil)
}

func (b *aggregateBench) publish(ctx context.Context, step splitdate.Step) error {
	next, err := b.mark.Next(step)
	if err != nil {
		return err
	}
	_, err = b.store.Publish(ctx, b.mark, next)
	b.mark = next
	return err
}

// measured are the aggregates of the demo.
var measured = []config.Aggregate{
	{
		Name: "sales_by_minute", By: []config.NamedExpr{{Name: "minute", Expr: "toStartOfMinute(created_at)"}, {Name: "store_id", Expr: "store_id"}},
		Measures: []config.NamedExpr{{Name: "revenue", Expr: "sum(price * qty)"}, {Name: "sales", Expr: "count()"}, {Name: "customers", Expr: "uniq(customer_id)"}}, Where: "status != 'cancelled'",
	},
	{
		Name: "customers_by_day", By: []config.NamedExpr{{Name: "day", Expr: "toDate(created_at)"}},
		Measures: []config.NamedExpr{{Name: "customers", Expr: "uniq(customer_id)"}, {Name: "sales", Expr: "count()"}},
	},
	{
		Name: "revenue_per_customer", By: []config.NamedExpr{{Name: "customer_id", Expr: "customer_id"}},
		Measures: []config.NamedExpr{{Name: "revenue", Expr: "sum(price * qty)"}},
	},
}

func (b *aggregateBench) declare(ctx context.Context) error {
	for _, c := range measured {
		a, faults := aggregate.Describe(ctx, b.db, b.table, c)
		if len(faults) > 0 {
			return errors.Join(faults...)
		}
		b.declared = append(b.declared, a)
		for _, st := range append(a.CreateTables(), a.CreateView()) {
			if err := b.db.Exec(ctx, st, nil); err != nil {
				return err
			}
		}
	}
	b.states = aggregate.NewStates(b.db, b.declared)
	return nil
}

// compute writes the states as a backfill does, and merges what a running bridge would.
func (b *aggregateBench) compute(ctx context.Context) error {
	state := b.mark.Tables["sales"]
	for _, a := range b.declared {
		begin := time.Now()
		for r, chunks := range map[sql.Region][]splitdate.Chunk{sql.Historic: state.Clean, sql.RT: state.RT} {
			for _, c := range chunks {
				if err := b.states.Write(ctx, aggregate.Todo{a: {r: {c}}}); err != nil {
					return err
				}
			}
		}
		var step splitdate.Step
		step.Aggregates.Add = map[string]splitdate.Aggregate{a.Name: {Table: "sales", Definition: a.Definition()}}
		step.Aggregates.Written = map[string]map[splitdate.Chunk]uint64{a.Name: b.states.Written(a)}
		if err := b.publish(ctx, step); err != nil {
			return err
		}
		fmt.Printf("backfill of %s over %d rows: %s\n", a.Name, b.o.historic, time.Since(begin).Round(time.Millisecond))
		if err := b.merge(ctx, a); err != nil {
			return err
		}
	}
	return nil
}

func (b *aggregateBench) merge(ctx context.Context, a *sql.Aggregate) error {
	plan, ok := aggregate.Plan(b.mark.Aggregates[a.Name], b.mark.Tables["sales"])
	if !ok {
		return nil
	}
	begin, to := time.Now(), b.numbers.Next()
	states, err := b.states.Merge(ctx, a, plan, to)
	if err != nil || states == 0 {
		return err
	}
	fmt.Printf("merged %d states of %s to %d: %s\n", plan.Before, a.Name, states, time.Since(begin).Round(time.Millisecond))
	var step splitdate.Step
	step.Aggregates.Merged = map[string]map[splitdate.Chunk]splitdate.Merged{a.Name: {to: {States: states, Of: plan.Of}}}
	return b.publish(ctx, step)
}

// byHand makes what people make without tidemark: an AggregatingMergeTree of states for each aggregate, wholly merged; and,
// for the sizes, one with the chunk added to its key.
func (b *aggregateBench) byHand(ctx context.Context) error {
	for _, c := range measured {
		var keys, selected []string
		for _, k := range c.By {
			keys = append(keys, k.Name)
			selected = append(selected, k.Expr+" AS "+k.Name)
		}
		for _, m := range c.Measures {
			call, err := sql.ParseCall(m.Expr)
			if err != nil {
				return fmt.Errorf("measure %s: %w", m.Name, err)
			}
			selected = append(selected, call.State()+" AS "+m.Name)
		}
		where := "1"
		if c.Where != "" {
			where = c.Where
		}
		key, list := strings.Join(keys, ", "), strings.Join(selected, ", ")
		for _, text := range []string{
			fmt.Sprintf("CREATE TABLE bench.hand_%s ENGINE = AggregatingMergeTree ORDER BY (%s) AS SELECT %s FROM bench.sales WHERE %s GROUP BY %[2]s", c.Name, key, list, where),
			fmt.Sprintf("OPTIMIZE TABLE bench.hand_%s FINAL", c.Name),
			fmt.Sprintf("CREATE TABLE bench.chunked_%s ENGINE = AggregatingMergeTree ORDER BY (%s, _chunk) AS SELECT %s, _chunk FROM bench_tidemark.sales_historic WHERE %s GROUP BY %[2]s, _chunk", c.Name, key, list, where),
			fmt.Sprintf("OPTIMIZE TABLE bench.chunked_%s FINAL", c.Name),
		} {
			if err := b.db.Exec(ctx, sql.Statement{Name: "by hand", Text: text}, nil); err != nil {
				return err
			}
		}
	}
	return nil
}

// questions are asked of the aggregate's view, of the hand-made table and of the rows' view.
var questions = []struct{ title, view, hand, rows string }{
	{
		"two days by hour",
		"SELECT toStartOfHour(minute) AS h, sum(revenue), sum(sales) FROM bench.sales_by_minute WHERE minute >= '2026-01-08' AND minute < '2026-01-10' GROUP BY h",
		"SELECT toStartOfHour(minute) AS h, sumMerge(revenue), countMerge(sales) FROM bench.hand_sales_by_minute WHERE minute >= '2026-01-08' AND minute < '2026-01-10' GROUP BY h",
		"SELECT toStartOfHour(created_at) AS h, sum(price * qty), count() FROM bench.sales WHERE status != 'cancelled' AND created_at >= '2026-01-08' AND created_at < '2026-01-10' GROUP BY h",
	},
	{
		"revenue of all stores",
		"SELECT store_id, sum(revenue) FROM bench.sales_by_minute GROUP BY store_id",
		"SELECT store_id, sumMerge(revenue) FROM bench.hand_sales_by_minute GROUP BY store_id",
		"SELECT store_id, sum(price * qty) FROM bench.sales WHERE status != 'cancelled' GROUP BY store_id",
	},
	{
		"customers by day",
		"SELECT day, customers FROM bench.customers_by_day",
		"SELECT day, uniqMerge(customers) FROM bench.hand_customers_by_day GROUP BY day",
		"SELECT toDate(created_at) AS day, uniq(customer_id) FROM bench.sales GROUP BY day",
	},
	{
		"percentile of a customer",
		"WITH (SELECT revenue FROM bench.revenue_per_customer WHERE customer_id = 42) AS mine SELECT countIf(revenue < mine) / count() FROM bench.revenue_per_customer",
		"WITH (SELECT sumMerge(revenue) FROM bench.hand_revenue_per_customer WHERE customer_id = 42) AS mine SELECT countIf(r < mine) / count() FROM (SELECT sumMerge(revenue) AS r FROM bench.hand_revenue_per_customer GROUP BY customer_id)",
		"WITH (SELECT sum(price * qty) FROM bench.sales WHERE customer_id = 42) AS mine SELECT countIf(r < mine) / count() FROM (SELECT sum(price * qty) AS r FROM bench.sales GROUP BY customer_id)",
	},
}

func (b *aggregateBench) ask(ctx context.Context) error {
	conn, err := b.reader()
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	out := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(out, "one thread\taggregate's view\tby hand\tratio\trows' view\t")
	for _, q := range questions {
		var took [3]time.Duration
		for i, text := range []string{q.view, q.hand, q.rows} {
			if took[i], err = b.median(ctx, conn, text); err != nil {
				return fmt.Errorf("%s: %w", q.title, err)
			}
		}
		fmt.Fprintf(out, "%s\t%s\t%s\t%.2f\t%s\t\n", q.title, ms(took[0]), ms(took[1]), float64(took[0])/float64(took[1]), ms(took[2]))
	}
	return out.Flush()
}

func ms(d time.Duration) string { return fmt.Sprintf("%.1f ms", float64(d.Microseconds())/1000) }

// reader connects as a dashboard would, with one thread.
func (b *aggregateBench) reader() (driver.Conn, error) {
	opts, err := clickhouse.ParseDSN(b.dsn)
	if err != nil {
		return nil, fmt.Errorf("parse DSN: %w", err)
	}
	opts.Settings = clickhouse.Settings{"max_threads": 1}
	return clickhouse.Open(opts)
}

// median runs a query once to warm up, and then as often as was asked.
func (b *aggregateBench) median(ctx context.Context, conn driver.Conn, query string) (time.Duration, error) {
	var took []time.Duration
	for i := range b.o.runs + 1 {
		begin := time.Now()
		if err := conn.Exec(ctx, query); err != nil {
			return 0, err
		}
		if i > 0 {
			took = append(took, time.Since(begin))
		}
	}
	slices.Sort(took)
	return took[len(took)/2], nil
}

// sizes compares what the states of HISTORIC take with a bare aggregate that has the chunk in its key.
func (b *aggregateBench) sizes(ctx context.Context) error {
	for _, a := range b.declared {
		var size [2]uint64
		var merged uint64
		for i, where := range []string{
			fmt.Sprintf("table = '%s' AND toUInt64(partition_id) IN %s", a.RegionName(sql.Historic), warehouse.Array(b.mark.Tables["sales"].Clean)),
			fmt.Sprintf("table = 'chunked_%s'", a.Name),
		} {
			err := b.db.Query(ctx, sizeText(where), nil, func(r warehouse.Rows) error { return r.Scan(&size[i]) })
			if err != nil {
				return err
			}
		}
		err := b.db.Query(ctx, sizeText(fmt.Sprintf("table = '%s'", a.RegionName(sql.Historic))), nil, func(r warehouse.Rows) error { return r.Scan(&merged) })
		if err != nil {
			return err
		}
		fmt.Printf("%s: states of HISTORIC %.1f MB, bare with the chunk in its key %.1f MB (%+.1f%%), merged level %.1f MB\n", a.Name,
			float64(size[0])/1e6, float64(size[1])/1e6, 100*(float64(size[0])/float64(size[1])-1), float64(merged-size[0])/1e6)
	}
	return nil
}

func sizeText(where string) sql.Statement {
	return sql.Statement{Name: "size", Text: "SELECT sum(bytes_on_disk) FROM system.parts WHERE active AND database IN ('bench', 'bench_tidemark') AND " + where}
}

// tick rewrites the chunk of RT as a tick does whose changes touch it, and then computes its states.
func (b *aggregateBench) tick(ctx context.Context) error {
	from := b.mark.Tables["sales"].RT
	var rewrites, all []time.Duration
	for range b.o.runs {
		to := b.numbers.Next()
		begin := time.Now()
		err := b.db.Exec(ctx, b.table.Rewrite(sql.RT), warehouse.Params{
			"to": warehouse.U64(to), "from": warehouse.Array(from), "pieces": "[]", "split": warehouse.I64(b.mark.Tables["sales"].Split),
		})
		if err == nil {
			_, err = splitdate.CountChunks(ctx, b.db, b.table, sql.RT, []splitdate.Chunk{to})
		}
		if err != nil {
			return err
		}
		rewrites = append(rewrites, time.Since(begin))
		todo := aggregate.Todo{}
		for _, a := range b.declared {
			todo[a] = map[sql.Region][]splitdate.Chunk{sql.RT: {to}}
		}
		if err := b.states.Write(ctx, todo); err != nil {
			return err
		}
		all = append(all, time.Since(begin))
	}
	slices.Sort(rewrites)
	slices.Sort(all)
	fmt.Printf("tick that rewrites %d rows of RT: %s without aggregates, %s with %d\n", b.o.rt, ms(rewrites[len(rewrites)/2]), ms(all[len(all)/2]), len(b.declared))
	return nil
}
