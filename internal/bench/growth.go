package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/rs/zerolog"

	"github.com/tidemark-db/tidemark/internal/bridge"
	"github.com/tidemark-db/tidemark/internal/warehouse"
	"github.com/tidemark-db/tidemark/splitdate"
	"github.com/tidemark-db/tidemark/sql"
)

// growth measures whether what is always done grows with what lies there.
func growth(ctx context.Context, r *run) error {
	if err := growthOfHistoric(ctx, r); err != nil {
		return err
	}
	return growthOfTables(ctx, r)
}

// chores are what is done at each size.
type chores struct{ tick, late, roll, fold time.Duration }

func growthOfHistoric(ctx context.Context, r *run) error {
	var first chores
	for _, full := range []int{1_000_000, 10_000_000, 100_000_000} {
		n := r.rows(full)
		c, err := choresAt(ctx, r, n)
		if err != nil {
			return fmt.Errorf("%d HISTORIC rows: %w", n, err)
		}
		if first == (chores{}) {
			first = c
		}
		goal := func() *Goal {
			if full < 100_000_000 {
				return nil
			}
			return ratioAtMost(1.1)
		}
		against := fmt.Sprintf("at %d", r.rows(1_000_000))
		for _, m := range []struct {
			what       string
			took, then time.Duration
			goal       *Goal
		}{
			{"tick that changes RT", c.tick, first.tick, goal()},
			{"tick that changes HISTORIC", c.late, first.late, nil},
			{"roll", c.roll, first.roll, goal()},
			{"fold", c.fold, first.fold, nil},
		} {
			r.add(Row{Case: fmt.Sprintf("%d HISTORIC rows", n), What: m.what, Value: millis(m.took), Unit: "ms", Against: against, Other: millis(m.then), Goal: m.goal})
		}
	}
	return nil
}

// oldRows are those of HISTORIC that PostgreSQL has too, so that they can change.
const oldRows = 10_000

// choresAt measures with so many more rows in HISTORIC, in one chunk for each of twenty days.
func choresAt(ctx context.Context, r *run, n int) (c chores, err error) {
	b, err := newBed(ctx, r)
	defer b.stop()
	if err != nil {
		return c, err
	}
	if err := b.fill(ctx, 0, oldRows, 30*24*time.Hour, 25*24*time.Hour); err != nil {
		return c, err
	}
	// Rows settle soon after they came, but only when told to.
	window := []string{"rt_window: 24h", "rt_window: 2s\nsplit_step: 1s", `schedule: {`, `schedule: {roll: "", `}
	if err := b.runBridge(ctx, window...); err != nil {
		return c, err
	}
	if _, err := b.stopBridge(); err != nil {
		return c, err
	}
	if err := b.addHistoric(ctx, n, 20); err != nil {
		return c, err
	}
	if err := b.startBridge(ctx, window...); err != nil {
		return c, err
	}
	return b.chores(ctx, r.rows(100_000))
}

// chores does each one a few times and returns the medians. RT gets so many rows before each roll.
func (b *bed) chores(ctx context.Context, rows int) (c chores, err error) {
	var ticks, lates, rolls, folds []time.Duration
	for turn := range b.run.runs + 1 { // the first warms up
		first := oldRows + turn*rows
		if err := b.change(ctx, fmt.Sprintf("CALL fill(%d, %d, now() - interval '1 s', now())", first, rows)); err != nil {
			return c, err
		}
		tick, err := b.ticking(ctx, fmt.Sprintf("UPDATE sales SET qty = qty + 1 WHERE id >= %d AND id %% 10 = %d", first, turn%10))
		if err != nil {
			return c, err
		}
		late, err := b.ticking(ctx, fmt.Sprintf("UPDATE sales SET qty = qty + 1 WHERE id < %d AND id %% 10 = %d", oldRows, turn%10))
		if err != nil {
			return c, err
		}
		select { // until the rows are old enough
		case <-ctx.Done():
			return c, ctx.Err()
		case <-time.After(4 * time.Second):
		}
		roll, err := b.timedRoll(ctx)
		if err != nil {
			return c, err
		}
		began := time.Now()
		if _, err := bridge.ResyncNow(ctx, b.cfg, zerolog.Nop(), bridge.Request{Table: "public.sales"}, nil); err != nil {
			return c, err
		}
		if turn > 0 {
			ticks, lates, rolls, folds = append(ticks, tick), append(lates, late), append(rolls, roll), append(folds, time.Since(began))
		}
	}
	return chores{median(ticks), median(lates), median(rolls), median(folds)}, nil
}

// timedRoll rolls what has settled, which must be something. A quiet source does not move the clock that rows settle by, so
// a transaction comes first.
func (b *bed) timedRoll(ctx context.Context) (time.Duration, error) {
	if err := b.change(ctx, "UPDATE stores SET name = name || '.' WHERE id = 1"); err != nil {
		return 0, err
	}
	began := time.Now()
	rolled, err := bridge.RollNow(ctx, b.cfg, zerolog.Nop())
	if err == nil && (len(rolled) == 0 || rolled[0].Rows == 0) {
		err = fmt.Errorf("nothing was rolled: %+v", rolled)
	}
	return time.Since(began), err
}

// addHistoric writes chunks that PostgreSQL knows nothing of, and a mark that lists them: loading so many rows would take
// hours and say nothing about the ticks after it.
func (b *bed) addHistoric(ctx context.Context, rows, chunks int) error {
	db, err := bridge.OpenWarehouse(ctx, b.cfg, bridge.Options{})
	if err != nil {
		return err
	}
	defer db.Close()
	store := splitdate.NewStore(db)
	newest, _, err := store.Newest(ctx)
	if err != nil {
		return err
	}
	mark, _, err := store.Claim(ctx, newest)
	if err != nil {
		return err
	}
	numbers, delta := splitdate.NewNumbers(mark.Term), splitdate.Delta{Written: map[splitdate.Chunk]splitdate.Meta{}}
	today := time.Now().UTC().Truncate(24 * time.Hour)
	for i := range chunks {
		chunk, each, day := numbers.Next().Settled(), rows/chunks, today.AddDate(0, 0, -2-i)
		if err := db.Exec(ctx, historicRows(chunk, i*each, each, day), nil); err != nil {
			return err
		}
		meta, err := metaOf(ctx, db, chunk)
		if err != nil {
			return err
		}
		delta.AddHistoric, delta.Written[chunk] = append(delta.AddHistoric, chunk), meta
	}
	next, err := mark.Next(splitdate.Step{LSN: mark.LSN, CommitTime: mark.CommitTime, Deltas: map[string]splitdate.Delta{"sales": delta}})
	if err != nil {
		return err
	}
	_, err = store.Publish(ctx, mark, next)
	return err
}

func historicRows(chunk splitdate.Chunk, first, n int, day time.Time) sql.Statement {
	const firstID = 1_000_000_000 // no id of PostgreSQL's
	return sql.Statement{Name: "fill", Text: fmt.Sprintf(`INSERT INTO bench_tidemark.sales_chunks (id, created_at, store_id, customer_id, product_id, status, qty, price, note, _chunk)
SELECT %d + number, fromUnixTimestamp64Micro(%d + intDiv(number * 86000000000, %d), 'UTC'), cityHash64(number, 1) %% 32, cityHash64(number, 2) %% 1000000, cityHash64(number, 3) %% 512,
    ['new', 'paid', 'shipped', 'cancelled'][1 + cityHash64(number, 4) %% 4], 1 + cityHash64(number, 5) %% 4, toDecimal64(cityHash64(number, 6) %% 8192, 2) / 100, NULL, %d
FROM numbers(%d)`, firstID+first, day.UnixMicro(), n, chunk, n)}
}

func metaOf(ctx context.Context, db *warehouse.Conn, chunk splitdate.Chunk) (meta splitdate.Meta, err error) {
	var from, to int64
	st := sql.Statement{Name: "count", Text: fmt.Sprintf("SELECT count(), toUnixTimestamp64Micro(min(created_at)), toUnixTimestamp64Micro(max(created_at)) FROM bench_tidemark.sales_chunks WHERE _chunk = %d", chunk)}
	err = db.Query(ctx, st, nil, func(r warehouse.Rows) error { return r.Scan(&meta.Rows, &from, &to) })
	meta.From, meta.To = splitdate.Instant(from), splitdate.Instant(to)
	return meta, err
}

func growthOfTables(ctx context.Context, r *run) error {
	count := func(full int) int { return max(1, int(float64(full)*min(1, 3*r.scale))) }
	few, err := tickOfTables(ctx, r, count(30), count(30))
	if err != nil {
		return err
	}
	for _, full := range []int{1, 50, 300} {
		tables := count(full)
		changing := max(1, tables/10)
		took, err := tickOfTables(ctx, r, tables, changing)
		if err != nil {
			return err
		}
		row := Row{
			Case: fmt.Sprintf("%d tables, %d changing", tables, changing), What: "tick", Value: millis(took), Unit: "ms",
			Against: fmt.Sprintf("%d tables, all changing", count(30)), Other: millis(few),
		}
		if full == 300 {
			row.Goal = ratioAtMost(1.2)
		}
		r.add(row)
	}
	return nil
}

// tickOfTables measures a tick that changes 100 of 1000 rows in some of the tables.
func tickOfTables(ctx context.Context, r *run, tables, changing int) (time.Duration, error) {
	b, err := newBed(ctx, r)
	defer b.stop()
	if err != nil {
		return 0, err
	}
	var configured, changes strings.Builder
	for i := range tables {
		name := fmt.Sprintf("branch_%d", i)
		if err := b.exec(ctx, "CREATE TABLE "+name+" (LIKE sales INCLUDING ALL)", "ALTER PUBLICATION tidemark ADD TABLE "+name); err != nil {
			return 0, err
		}
		fmt.Fprintf(&configured, "  public.%s: {date_column: created_at}\n", name)
	}
	err = b.exec(ctx, "CALL fill(0, 1000, now() - interval '1 h', now())", fmt.Sprintf("DO $$ BEGIN FOR i IN 0 .. %d LOOP EXECUTE format('INSERT INTO branch_%%s SELECT * FROM sales', i); END LOOP; END $$", tables-1))
	if err != nil {
		return 0, err
	}
	if err := b.runBridge(ctx, "  public.products: {}", "  public.products: {}\n"+strings.TrimSuffix(configured.String(), "\n")); err != nil {
		return 0, err
	}
	fmt.Fprintf(&changes, "DO $$ BEGIN FOR i IN 0 .. %d LOOP EXECUTE format('UPDATE branch_%%s SET qty = qty + 1 WHERE id < 100', i); END LOOP; END $$", changing-1)
	var took []time.Duration
	for turn := range r.runs + 1 { // the first warms up
		tick, err := b.ticking(ctx, changes.String())
		if err != nil {
			return 0, err
		}
		if turn > 0 {
			took = append(took, tick)
		}
	}
	return median(took), nil
}
