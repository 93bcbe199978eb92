package main

import (
	"context"
	"fmt"
	"time"
)

// rebuild measures the tick that brings one transaction into RT, beside a bare INSERT SELECT of the rows that RT holds.
func rebuild(ctx context.Context, r *run) error {
	for _, full := range []int{100_000, 1_000_000, 3_000_000, 5_000_000} {
		for _, aggregates := range []int{0, 3} {
			if err := rebuildWith(ctx, r, full, aggregates); err != nil {
				return fmt.Errorf("%d rows, %d aggregates: %w", full, aggregates, err)
			}
		}
	}
	return rebuildMirrored(ctx, r)
}

// which rows a change touches, as a condition on ids below n: a share of 1/every of them.
var touches = []struct {
	name  string
	where func(n, every, turn int) string
}{
	{"recent minutes", func(n, every, _ int) string { return fmt.Sprintf("id >= %d AND id < %d", n-n/every, n) }},
	{"spread", func(n, every, turn int) string { return fmt.Sprintf("id < %d AND id %% %d = %d", n, every, turn%every) }},
}

func rebuildWith(ctx context.Context, r *run, full, aggregates int) error {
	b, err := newBed(ctx, r)
	defer b.stop()
	if err != nil {
		return err
	}
	n, declared := r.rows(full), ""
	if aggregates > 0 {
		declared = text("aggregates.yaml")
	}
	if err := b.fill(ctx, 0, n, 30*time.Minute, 0); err != nil {
		return err
	}
	if err := b.runBridge(ctx, "{aggregates}", declared); err != nil {
		return err
	}
	for _, every := range []int{1000, 100, 10} {
		for _, touch := range touches {
			took, bare, err := b.rebuilds(ctx, liveRT, func(turn int) string {
				return "UPDATE sales SET status = 'paid', qty = qty + 1 WHERE " + touch.where(n, every, turn)
			})
			if err != nil {
				return err
			}
			row := Row{
				Case: fmt.Sprintf("%d RT rows, %g%% changed, %s, %d aggregates", n, 100/float64(every), touch.name, aggregates),
				What: "tick", Value: took.Seconds(), Unit: "s", Against: "bare INSERT SELECT", Other: bare.Seconds(),
			}
			switch {
			case full == 5_000_000 && aggregates == 3 && every == 100 && touch.name == "recent minutes":
				row.Goal = valueAtMost(1)
			case aggregates == 0 && touch.name == "spread" && full > 100_000: // every chunk is touched
				row.Goal = ratioAtMost(1.2)
			}
			r.add(row)
		}
	}
	return nil
}

// liveRT reads the chunks of RT that the newest mark lists; others may still be on the disk.
const liveRT = `SELECT * FROM bench_tidemark.sales_chunks WHERE _chunk IN (SELECT arrayJoin(tables['sales'].rt) FROM (SELECT * FROM bench.split_date ORDER BY term DESC, epoch DESC LIMIT 1))`

// rebuilds returns the medians of ticks with one change each, and of copies of rows to a table like RT's.
func (b *bed) rebuilds(ctx context.Context, rows string, change func(turn int) string) (took, bare time.Duration, err error) {
	if err := b.query(ctx, "CREATE TABLE IF NOT EXISTS bench.bare AS bench_tidemark.sales_chunks", "ALTER TABLE bench.bare DROP INDEX IF EXISTS _key", "ALTER TABLE bench.bare DROP INDEX IF EXISTS _range"); err != nil {
		return 0, 0, err
	}
	var ticks, copies []time.Duration
	for turn := range b.run.runs + 1 { // the first warms up
		tick, err := b.ticking(ctx, change(turn))
		if err != nil {
			return 0, 0, err
		}
		began := time.Now()
		if err := b.query(ctx, "INSERT INTO bench.bare "+rows); err != nil {
			return 0, 0, err
		}
		if turn > 0 {
			ticks, copies = append(ticks, tick), append(copies, time.Since(began))
		}
		if err := b.query(ctx, "TRUNCATE TABLE bench.bare"); err != nil {
			return 0, 0, err
		}
	}
	return median(ticks), median(copies), nil
}

// rebuildMirrored changes a thousandth of a mirrored table per tick.
func rebuildMirrored(ctx context.Context, r *run) error {
	b, err := newBed(ctx, r)
	defer b.stop()
	if err != nil {
		return err
	}
	n := r.rows(2_000_000)
	if err := b.exec(ctx, fmt.Sprintf("INSERT INTO products SELECT g, 'product ' || g, 'category ' || g %% 20 FROM generate_series(1000, %d) g", n-1)); err != nil {
		return err
	}
	if err := b.runBridge(ctx); err != nil {
		return err
	}
	rows := "(id, status, _chunk) SELECT id, name, 1 FROM bench.products"
	took, bare, err := b.rebuilds(ctx, rows, func(turn int) string {
		return fmt.Sprintf("UPDATE products SET name = name || 'x' WHERE id %% 1000 = %d", turn)
	})
	if err != nil {
		return err
	}
	r.add(Row{
		Case: fmt.Sprintf("mirrored, %d rows, 0.1%% changed", n), What: "tick", Value: took.Seconds(), Unit: "s",
		Against: "bare INSERT SELECT", Other: bare.Seconds(),
	})
	return nil
}
