package main

import (
	"context"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"
)

// mixed asks row and aggregate views at a steady rate and at a peak while 5k changes/s stream; beside it the same rate
// with nothing streaming.
func mixed(ctx context.Context, r *run) error {
	b, err := newBed(ctx, r)
	defer b.stop()
	if err != nil {
		return err
	}
	rows := r.rows(1_000_000)
	if err := b.fill(ctx, 0, rows, 25*time.Minute, 0); err != nil {
		return err
	}
	if err := b.fill(ctx, rows, rows, 20*24*time.Hour, 25*time.Hour); err != nil {
		return err
	}
	if err := b.runBridge(ctx, "{aggregates}", text("aggregates.yaml")); err != nil {
		return err
	}
	for i, l := range queryLoads {
		if err := b.mix(ctx, l.rate, max(r.wait(l.length), 2*time.Second), rows, firstProbe+int64(i)<<20); err != nil {
			return fmt.Errorf("%d queries/s: %w", l.rate, err)
		}
	}
	return nil
}

// queryLoads are the rates of queries, and how long each is kept up: where it is more than the machine answers, those that wait grow
// with every second, and the figures with them.
var queryLoads = []struct {
	rate   int // queries/s
	length time.Duration
}{{50, time.Minute}, {300, 10 * time.Second}}

// mixQueries are a query over the aggregate's view and two over the rows' view.
func mixQueries() []string {
	by := []string{"sales", "bench.sales", "by_minute", "bench.sales_by_minute", "point", "77"}
	return []string{text("queries/08_aggregate_view.sql", by...), text("queries/01_narrow_range.sql", by...), text("queries/06_point_lookup.sql", by...)}
}

func (b *bed) mix(ctx context.Context, rate int, length time.Duration, rows int, first int64) error {
	conn, err := connect(b.target, map[string]any{"max_threads": 1})
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	quiet, err := paced(ctx, conn, rate, length, mixQueries()...)
	if err != nil {
		return err
	}
	inner, finish := context.WithCancel(ctx)
	defer finish()
	group, inner := errgroup.WithContext(inner)
	prober := newProber(b, conn, "bench.sales", first)
	var fresh []time.Duration
	group.Go(func() (err error) {
		fresh, err = prober.sample(inner, 1<<20, func(ctx context.Context) error { _, err := b.load(ctx, 5000, rows); return err })
		return err
	})
	busy, err := paced(inner, conn, rate, length, mixQueries()...)
	finish()
	if waited := group.Wait(); waited != nil { // which then is why the queries ended
		err = waited
	}
	if err != nil {
		return err
	}
	b.addMix(rate, quiet, busy, fresh)
	return nil
}

func (b *bed) addMix(rate int, quiet, busy [][]time.Duration, fresh []time.Duration) {
	name := fmt.Sprintf("%d queries/s, 5000 changes/s", rate)
	for _, q := range []float64{.5, .99} {
		goal := (*Goal)(nil)
		if rate == 50 && q == .99 {
			goal = valueAtMost(150)
		}
		b.run.add(Row{
			Case: name, What: fmt.Sprintf("aggregate view, p%.0f", q*100), Value: millis(quantile(busy[0], q)), Unit: "ms",
			Against: "nothing streams", Other: millis(quantile(quiet[0], q)), Goal: goal,
		})
		b.run.add(Row{
			Case: name, What: fmt.Sprintf("row view, p%.0f", q*100), Value: millis(quantile(flatten(busy[1:]), q)), Unit: "ms",
			Against: "nothing streams", Other: millis(quantile(flatten(quiet[1:]), q)),
		})
		if len(fresh) > 0 {
			b.run.add(Row{Case: name, What: fmt.Sprintf("commit to visible, p%.0f", q*100), Value: quantile(fresh, q).Seconds(), Unit: "s"})
		}
	}
}
