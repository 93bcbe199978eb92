package main

import (
	"context"
	"fmt"
)

// footprint measures what the bridge takes to catch up, beside a loop that only decodes, and what a row takes on disk.
func footprint(ctx context.Context, r *run) error {
	w, err := newWAL(ctx, r)
	defer w.stop()
	if err != nil {
		return err
	}
	loop := w.bareLoop(ctx)
	if loop.err != nil {
		return loop.err
	}
	ours := w.tidemark(ctx)
	if ours.err != nil {
		return ours.err
	}
	n := 2 * r.rows(1_000_000)
	millions := float64(n) / 1e6
	name := fmt.Sprintf("%d changes", n)
	r.add(Row{
		Case: name, What: "bridge, processor time per million changes", Value: ours.cpu.Seconds() / millions, Unit: "s",
		Against: "bare pglogrepl loop", Other: loop.cpu.Seconds() / millions,
	})
	r.add(Row{
		Case: name, What: "ClickHouse, processor time per million changes", Value: ours.target.Seconds() / millions, Unit: "s",
		Against: "bare pglogrepl loop", Other: loop.cpu.Seconds() / millions,
	})
	r.add(Row{Case: name, What: "bridge, peak RSS", Value: float64(ours.peak), Unit: "MiB", Goal: valueAtMost(300)})
	r.add(Row{Case: fmt.Sprintf("%s, %d marks", name, ours.marks), What: "time in ticks", Value: ours.ticking.Seconds(), Unit: "s", Against: "the whole catch-up", Other: ours.took.Seconds()})
	return bytesPerRow(ctx, w.bed, r.rows(1_000_000))
}

// bytesPerRow compares the view's rows with the same in a plain table and in PostgreSQL.
func bytesPerRow(ctx context.Context, b *bed, rows int) error {
	if err := b.query(ctx, append(statements(text("tables/plain.sql")), "INSERT INTO bench.plain_sales SELECT * FROM bench.sales", "OPTIMIZE TABLE bench.plain_sales FINAL")...); err != nil {
		return err
	}
	var size [2]float64
	for i, where := range []string{"database = 'bench_tidemark' AND table IN ('sales_chunks', 'sales_masks')", "database = 'bench' AND table = 'plain_sales'"} {
		// A row may be there twice: chunks that no mark lists any more are kept for a while.
		err := b.ch.QueryRow(ctx, "SELECT sum(bytes_on_disk) / sum(rows) FROM system.parts WHERE active AND "+where).Scan(&size[i])
		if err != nil {
			return fmt.Errorf("read sizes: %w", err)
		}
	}
	var heap int64
	if err := b.pg.QueryRow(ctx, "SELECT pg_total_relation_size('sales')").Scan(&heap); err != nil {
		return fmt.Errorf("read size: %w", err)
	}
	row := Row{Case: fmt.Sprintf("%d rows", rows), What: "ClickHouse, bytes per row", Value: size[0], Unit: "bytes"}
	for against, other := range map[string]float64{"plain MergeTree": size[1], "PostgreSQL": float64(heap) / float64(rows)} {
		row.Against, row.Other = against, other
		b.run.add(row)
	}
	return nil
}
