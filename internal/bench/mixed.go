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
	for i, m := range mixes {
		if err := b.mix(ctx, m, rows, firstProbe+int64(i)<<20); err != nil {
			return fmt.Errorf("%s: %w", m, err)
		}
	}
	return nil
}

// mix is a rate of queries beside changes, and how long it is kept up: where it is more than the machine answers, those that
// wait grow with every second, and the figures with them.
type mix struct {
	rate   int // queries/s
	length time.Duration
	changes
}

func (m mix) String() string { return fmt.Sprintf("%d queries/s, %s", m.rate, m.changes) }

var mixes = []mix{
	{20, time.Minute, changes{rate: 5000, recent: true}},
	{20, time.Minute, changes{rate: 5000}},
	{50, time.Minute, changes{rate: 5000, recent: true}},
	{300, 10 * time.Second, changes{rate: 5000, recent: true}},
}

// mixQueries are a query over the aggregate's view and two over the rows' view.
func mixQueries() []string {
	by := []string{"sales", "bench.sales", "by_minute", "bench.sales_by_minute", "point", "77"}
	return []string{text("queries/08_aggregate_view.sql", by...), text("queries/01_narrow_range.sql", by...), text("queries/06_point_lookup.sql", by...)}
}

func (b *bed) mix(ctx context.Context, m mix, rows int, first int64) error {
	length := max(b.run.wait(m.length), 2*time.Second)
	conn, err := connect(b.target, map[string]any{"max_threads": 1})
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	if _, err := b.caughtUp(ctx); err != nil { // with what the last mix left
		return err
	}
	quiet, err := paced(ctx, conn, m.rate, length, mixQueries()...)
	if err != nil {
		return err
	}
	inner, finish := context.WithCancel(ctx)
	defer finish()
	group, inner := errgroup.WithContext(inner)
	prober := newProber(b, conn, "bench.sales", first)
	var fresh []time.Duration
	group.Go(func() (err error) {
		fresh, err = prober.sample(inner, 1<<20, func(ctx context.Context) error { _, err := b.load(ctx, m.changes, rows); return err })
		return err
	})
	busy, err := paced(inner, conn, m.rate, length, mixQueries()...)
	finish()
	if waited := group.Wait(); waited != nil { // which then is why the queries ended
		err = waited
	}
	if err != nil {
		return err
	}
	b.addMix(m, quiet, busy, fresh)
	return nil
}

func (b *bed) addMix(m mix, quiet, busy [][]time.Duration, fresh []time.Duration) {
	for _, q := range []float64{.5, .99} {
		goal := (*Goal)(nil)
		if m.rate == 50 && q == .99 {
			goal = valueAtMost(150)
		}
		b.run.add(Row{
			Case: m.String(), What: fmt.Sprintf("aggregate view, p%.0f", q*100), Value: millis(quantile(busy[0], q)), Unit: "ms",
			Against: "nothing streams", Other: millis(quantile(quiet[0], q)), Goal: goal,
		})
		b.run.add(Row{
			Case: m.String(), What: fmt.Sprintf("row view, p%.0f", q*100), Value: millis(quantile(flatten(busy[1:]), q)), Unit: "ms",
			Against: "nothing streams", Other: millis(quantile(flatten(quiet[1:]), q)),
		})
		if len(fresh) > 0 {
			b.run.add(Row{Case: m.String(), What: fmt.Sprintf("commit to visible, p%.0f", q*100), Value: quantile(fresh, q).Seconds(), Unit: "s"})
		}
	}
}
