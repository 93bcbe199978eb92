package main

import (
	"context"
	"fmt"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
)

// pressure is what else goes on while freshness is measured.
type pressure struct {
	changes
	threads int
}

func (p pressure) String() string {
	if p.threads == 0 {
		return p.changes.String()
	}
	return fmt.Sprintf("%s, %d query threads", p.changes, p.threads)
}

var (
	asGoal       = changes{rate: 10_000}
	asGoalRecent = changes{rate: 10_000, recent: true}
	pressures    = []pressure{
		{changes{rate: 1000}, 0},
		{asGoalRecent, 0},
		{asGoal, 0},
		{changes{rate: 30_000}, 0},
		{changes{rate: 1000}, 8},
		{asGoalRecent, 8},
		{asGoal, 8},
		{changes{rate: 30_000}, 8},
	}
)

// freshness measures commit → visible with 1M RT rows, first of the bridge and then, alone, of the peer.
func freshness(ctx context.Context, r *run) error {
	b, err := newBed(ctx, r)
	defer b.stop()
	if err != nil {
		return err
	}
	rows := r.rows(1_000_000)
	if err := b.fill(ctx, 0, rows, 25*time.Minute, 0); err != nil {
		return err
	}
	if err := b.runBridge(ctx); err != nil {
		return err
	}
	ours, err := b.underPressure(ctx, b.ch, "bench.sales", rows, firstProbe)
	if err != nil {
		return err
	}
	if _, err := b.stopBridge(); err != nil {
		return err
	}
	// Nobody reads its slot any more, and the peer shall find no more rows than the bridge did.
	if err := b.exec(ctx, "SELECT pg_drop_replication_slot('tidemark')", "TRUNCATE sales"); err != nil {
		return err
	}
	if err := b.fill(ctx, 0, rows, 25*time.Minute, 0); err != nil {
		return err
	}
	peer, err := startMaterialized(ctx, b)
	if peer != nil {
		defer func() { _ = peer.Stop(context.WithoutCancel(ctx)) }()
	}
	if err != nil {
		return err
	}
	conn, err := connect(peer, nil)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	theirs, err := b.underPressure(ctx, conn, "materialized.sales", rows, firstProbe)
	if err != nil {
		return err
	}
	for i, p := range pressures {
		b.addFreshness(p, ours[i], theirs[i])
	}
	return nil
}

// fresh is what was measured under one pressure.
type fresh struct {
	latencies []time.Duration
	rate      float64 // changes/s that the source managed
}

func (b *bed) underPressure(ctx context.Context, conn driver.Conn, table string, rows int, first int64) (out []fresh, err error) {
	for _, p := range pressures {
		prober, made := newProber(b, conn, table, first), 0
		load := []func(context.Context) error{func(ctx context.Context) (err error) {
			made, err = b.load(ctx, p.changes, rows)
			return err
		}}
		if p.threads > 0 {
			load = append(load, asking(conn, text("queries/01_narrow_range.sql", "sales", table), p.threads))
		}
		began := time.Now()
		latencies, err := prober.sample(ctx, b.run.samples(600), load...)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", p, err)
		}
		out = append(out, fresh{latencies, float64(made) / time.Since(began).Seconds()})
		// The rows that were inserted meanwhile go, so that the next pressure finds the same.
		if err := b.exec(ctx, fmt.Sprintf("DELETE FROM sales WHERE id >= %d", firstLoaded)); err != nil {
			return nil, err
		}
		first += 1 << 20
	}
	return out, nil
}

func (b *bed) addFreshness(p pressure, ours, theirs fresh) {
	goals := map[float64]*Goal{}
	if p.threads == 0 && p.rate == asGoal.rate {
		goals[.5], goals[.99] = valueAtMost(.7), valueAtMost(1.3)
	}
	for _, q := range []float64{.5, .99} {
		b.run.add(Row{
			Case: fmt.Sprintf("%s (managed %.0f, peer's %.0f)", p, ours.rate, theirs.rate), What: fmt.Sprintf("commit to visible, p%.0f", q*100),
			Value: quantile(ours.latencies, q).Seconds(), Unit: "s", Against: "MaterializedPostgreSQL", Other: quantile(theirs.latencies, q).Seconds(), Goal: goals[q],
		})
	}
}
