package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
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

// aggregates measures the views of three aggregates against the same questions asked of AggregatingMergeTree tables made by
// hand, which no update could ever correct; what their states take on disk; and what they add to a tick. The chunks are
// written by the bridge's own statements, without a PostgreSQL.
func aggregates(ctx context.Context, r *run) (err error) {
	server, err := engine.StartClickHouse(ctx, engine.ClickHouseOptions{Progress: os.Stderr})
	if err != nil {
		return fmt.Errorf("start ClickHouse: %w", err)
	}
	defer func() { err = errors.Join(err, server.Stop(context.WithoutCancel(ctx))) }()
	b := &aggregateBench{run: r, dsn: server.DSN("bench"), historic: uint64(r.rows(40_000_000)), rt: uint64(r.rows(1_000_000)), customers: uint64(r.rows(1_000_000))}
	if err := b.open(ctx); err != nil {
		return err
	}
	defer b.db.Close()
	if b.reader, err = connect(server, clickhouse.Settings{"max_threads": 1}); err != nil {
		return err
	}
	defer func() { _ = b.reader.Close() }()
	for _, step := range []func(context.Context) error{b.fill, b.declare, b.compute, b.byHand, b.ask, b.sizes, b.tick} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	return nil
}

// aggregateBench is a table with aggregates, as a mark lists them.
type aggregateBench struct {
	run                     *run
	dsn                     string
	reader                  driver.Conn // as a dashboard's, with one thread
	historic, rt, customers uint64      // rows, and different customers
	db                      *warehouse.Conn
	store                   *splitdate.Store
	numbers                 *splitdate.Numbers
	table                   *sql.Table
	declared                []*sql.Aggregate
	states                  *aggregate.States
	mark                    splitdate.Mark
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
	if b.mark, _, err = b.store.Claim(ctx, splitdate.Mark{LSN: 1, CommitTime: time.Now()}); err != nil {
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
func (b *aggregateBench) rowsText(c splitdate.Chunk, first, n uint64, from time.Time, length time.Duration) sql.Statement {
	return sql.Statement{Name: "fill", Text: fmt.Sprintf(`%s SELECT %[3]d + number,
		fromUnixTimestamp64Micro(%[5]d + intDiv(number * %[6]d, %[4]d), 'UTC'), cityHash64(number, 1) %% 50, cityHash64(%[3]d + number, 2) %% %[7]d,
		['new', 'paid', 'shipped', 'cancelled'][1 + cityHash64(number, 3) %% 4], 1 + cityHash64(number, 4) %% 4, toDecimal64(cityHash64(number, 5) %% 10000, 2) / 100, %[2]d
		FROM numbers(%[4]d)`, b.table.InsertChunk().Text, c, first, n, from.UnixMicro(), length.Microseconds(), b.customers)}
}

// fill writes the chunks and has a mark list them.
func (b *aggregateBench) fill(ctx context.Context) error {
	state := splitdate.Table{Chunks: map[splitdate.Chunk]splitdate.Meta{}}
	split := firstDay.AddDate(0, 0, days)
	state.Split = splitdate.InstantOf(split)
	each := b.historic / uint64(days)
	for i := range days {
		c := b.numbers.Next().Settled()
		state.Clean = append(state.Clean, c)
		if err := b.db.Exec(ctx, b.rowsText(c, uint64(i)*each, each, firstDay.AddDate(0, 0, i), 24*time.Hour), nil); err != nil {
			return err
		}
	}
	rt := b.numbers.Next()
	state.RT = []splitdate.Chunk{rt}
	if err := b.db.Exec(ctx, b.rowsText(rt, b.historic, b.rt, split, 30*time.Minute), nil); err != nil {
		return err
	}
	var err error
	if state.Chunks, err = splitdate.CountChunks(ctx, b.db, b.table, state.Listed()); err != nil {
		return err
	}
	if err := b.publish(ctx, splitdate.Step{Add: map[string]splitdate.Table{"sales": state}}); err != nil {
		return err
	}
	return b.db.Exec(ctx, b.table.CreateView(), nil)
}

func (b *aggregateBench) publish(ctx context.Context, step splitdate.Step) error {
	step.LSN = b.mark.LSN
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
		b.run.add(Row{Case: fmt.Sprintf("%d rows", b.historic), What: "backfill of " + a.Name, Value: time.Since(begin).Seconds(), Unit: "s"})
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
	to := b.numbers.Next()
	states, err := b.states.Merge(ctx, a, plan, to)
	if err != nil || states == 0 {
		return err
	}
	var step splitdate.Step
	step.Aggregates.Merged = map[string]map[splitdate.Chunk]splitdate.Merged{a.Name: {to: {States: states, Of: plan.Of}}}
	return b.publish(ctx, step)
}

// byHand makes what people make without tidemark: an AggregatingMergeTree of states for each aggregate, wholly merged; and,
// for the sizes, one with the chunk added to its key.
func (b *aggregateBench) byHand(ctx context.Context) error {
	for _, c := range measured {
		keys, selected, where, err := handMade(c)
		if err != nil {
			return err
		}
		for _, text := range []string{
			createHandMade(c.Name, keys, selected, where),
			fmt.Sprintf("OPTIMIZE TABLE bench.hand_%s FINAL", c.Name),
			fmt.Sprintf("CREATE TABLE bench.chunked_%s ENGINE = AggregatingMergeTree ORDER BY (%s, _chunk) AS SELECT %s, _chunk FROM bench_tidemark.sales_chunks WHERE bitTest(_chunk, %[5]d) AND (%[4]s) GROUP BY %[2]s, _chunk", c.Name, keys, selected, where, sql.SettledBit),
			fmt.Sprintf("OPTIMIZE TABLE bench.chunked_%s FINAL", c.Name),
		} {
			if err := b.db.Exec(ctx, sql.Statement{Name: "by hand", Text: text}, nil); err != nil {
				return err
			}
		}
	}
	return nil
}

// handMade returns the lists of an aggregate's statement without tidemark.
func handMade(c config.Aggregate) (keys, selected, where string, err error) {
	var names, list []string
	for _, k := range c.By {
		names = append(names, k.Name)
		list = append(list, k.Expr+" AS "+k.Name)
	}
	for _, m := range c.Measures {
		call, err := sql.ParseCall(m.Expr)
		if err != nil {
			return "", "", "", fmt.Errorf("measure %s: %w", m.Name, err)
		}
		list = append(list, call.State()+" AS "+m.Name)
	}
	return strings.Join(names, ", "), strings.Join(list, ", "), cmp.Or(c.Where, "1"), nil
}

func createHandMade(name, keys, selected, where string) string {
	return fmt.Sprintf("CREATE TABLE bench.hand_%s ENGINE = AggregatingMergeTree ORDER BY (%s) AS SELECT %s FROM bench.sales WHERE %s GROUP BY %[2]s", name, keys, selected, where)
}

// question is a file of sql/aggregates: the texts for the view of the aggregate, for the table made by hand, and for the
// view of the rows.
func question(name string) (title string, texts []string, err error) {
	texts = statements(text("aggregates/" + name))
	if len(texts) != 3 {
		return "", nil, fmt.Errorf("%s holds %d statements, want 3", name, len(texts))
	}
	return strings.ReplaceAll(strings.TrimSuffix(name, ".sql"), "_", " "), texts, nil
}

func (b *aggregateBench) ask(ctx context.Context) error {
	entries, err := files.ReadDir("sql/aggregates")
	if err != nil {
		return err
	}
	for _, e := range entries {
		title, texts, err := question(e.Name())
		if err != nil {
			return err
		}
		var asking []func() error
		for _, text := range texts {
			asking = append(asking, func() error { return drain(ctx, b.reader, text) })
		}
		took, err := race(b.run.runs, asking...)
		if err != nil {
			return fmt.Errorf("%s: %w", title, err)
		}
		for i, against := range []string{"by hand", "rows' view"} {
			b.run.add(Row{Case: "one thread", What: title, Value: millis(took[0]), Unit: "ms", Against: against, Other: millis(took[1+i])})
		}
	}
	return nil
}

// sizes compares what the states of HISTORIC take with a bare aggregate that has the chunk in its key.
func (b *aggregateBench) sizes(ctx context.Context) error {
	for _, a := range b.declared {
		var size [2]uint64
		var merged uint64
		for i, where := range []string{
			fmt.Sprintf("table = '%s' AND toUInt64(partition_id) IN %s", a.RegionName(sql.Chunks), warehouse.Array(b.mark.Tables["sales"].Clean)),
			fmt.Sprintf("table = 'chunked_%s'", a.Name),
		} {
			err := b.db.Query(ctx, sizeText(where), nil, func(r warehouse.Rows) error { return r.Scan(&size[i]) })
			if err != nil {
				return err
			}
		}
		err := b.db.Query(ctx, sizeText(fmt.Sprintf("table = '%s' AND toUInt64(partition_id) NOT IN %s", a.RegionName(sql.Chunks), warehouse.Array(b.mark.Tables["sales"].RT))), nil, func(r warehouse.Rows) error { return r.Scan(&merged) })
		if err != nil {
			return err
		}
		const mb = 1e6
		b.run.add(Row{
			Case: a.Name, What: "states of HISTORIC", Value: float64(size[0]) / mb, Unit: "MB", Against: "by hand, with the chunk in its key", Other: float64(size[1]) / mb,
		})
		b.run.add(Row{Case: a.Name, What: "merged level", Value: float64(merged-size[0]) / mb, Unit: "MB"})
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
	for range b.run.runs {
		to := b.numbers.Next()
		begin := time.Now()
		err := b.db.Exec(ctx, b.table.Rewrite(sql.RT, false), warehouse.Params{
			"from": warehouse.Array(from), "to": warehouse.U64(to), "fresh": warehouse.U64(to), "pieces": "[]", "split": warehouse.I64(b.mark.Tables["sales"].Split),
		})
		if err == nil {
			_, err = splitdate.CountChunks(ctx, b.db, b.table, []splitdate.Chunk{to})
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
	b.run.add(Row{
		Case: fmt.Sprintf("%d rows of RT rewritten", b.rt), What: fmt.Sprintf("tick with %d aggregates", len(b.declared)), Value: millis(median(all)), Unit: "ms",
		Against: "without", Other: millis(median(rewrites)),
	})
	return nil
}
