package main

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/tidemark-db/tidemark/internal/bridge"
)

// snapshot measures the first load, from the start of the bridge to the mark with every table, beside a COPY of the same
// table to nowhere and ClickHouse's own reading of it.
func snapshot(ctx context.Context, r *run) error {
	b, err := newBed(ctx, r)
	defer b.stop()
	if err != nil {
		return err
	}
	n := r.rows(10_000_000)
	if err := b.fill(ctx, 0, n, 20*24*time.Hour, 25*time.Hour); err != nil {
		return err
	}
	if err := b.exec(ctx, "VACUUM ANALYZE sales"); err != nil {
		return err
	}
	if err := b.query(ctx, statements(text("tables/plain.sql"))...); err != nil {
		return err
	}
	var loads, copies, reads []time.Duration
	for range r.runs {
		for _, c := range []struct {
			measure func(context.Context) (time.Duration, error)
			list    *[]time.Duration
		}{{b.copyToNowhere, &copies}, {b.readPostgres, &reads}, {b.firstLoad, &loads}} {
			took, err := c.measure(ctx)
			if err != nil {
				return err
			}
			*c.list = append(*c.list, took)
		}
	}
	row := Row{Case: fmt.Sprintf("%d rows", n), What: "first load", Value: float64(n) / median(loads).Seconds(), Unit: "rows/s"}
	row.Against, row.Other, row.Goal = "COPY to nowhere", float64(n)/median(copies).Seconds(), ratioAtLeast(.6)
	r.add(row)
	row.Against, row.Other, row.Goal = "INSERT SELECT FROM postgresql()", float64(n)/median(reads).Seconds(), nil
	r.add(row)
	return nil
}

// firstLoad starts a bridge that has never run, and leaves nothing of it.
func (b *bed) firstLoad(ctx context.Context) (time.Duration, error) {
	began := time.Now()
	if err := b.runBridge(ctx); err != nil {
		return 0, err
	}
	took := time.Since(began)
	if _, err := b.stopBridge(); err != nil {
		return 0, err
	}
	return took, bridge.Uninstall(ctx, b.cfg, true, true)
}

func (b *bed) copyToNowhere(ctx context.Context) (time.Duration, error) {
	conn, err := pgx.Connect(ctx, b.source.DSN("postgres"))
	if err != nil {
		return 0, fmt.Errorf("connect: %w", err)
	}
	defer conn.Close(ctx)
	began := time.Now()
	if _, err := conn.PgConn().CopyTo(ctx, io.Discard, "COPY sales TO STDOUT"); err != nil {
		return 0, fmt.Errorf("copy to nowhere: %w", err)
	}
	return time.Since(began), nil
}

func (b *bed) readPostgres(ctx context.Context) (time.Duration, error) {
	began := time.Now()
	insert := fmt.Sprintf("INSERT INTO bench.plain_sales SELECT * FROM postgresql('127.0.0.1:%d', 'postgres', 'sales', 'postgres', '')", b.source.Port())
	if err := b.query(ctx, insert); err != nil {
		return 0, err
	}
	return time.Since(began), b.query(ctx, "TRUNCATE TABLE bench.plain_sales")
}
