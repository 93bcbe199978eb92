package main

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/rs/zerolog"
	"golang.org/x/sync/errgroup"

	"github.com/tidemark-db/tidemark/internal/bridge"
)

// resync measures what happens to settled rows: the fold of late rows in two of twenty days against a bare rewrite of the
// two, comparisons of a day while its rows change, and masses of late changes.
func resync(ctx context.Context, r *run) error {
	b, err := newBed(ctx, r)
	defer b.stop()
	if err != nil {
		return err
	}
	s := &settled{bed: b, rows: r.rows(40_000_000), late: r.rows(50_000)}
	s.newest = time.Now().UTC().Truncate(24*time.Hour).AddDate(0, 0, -2)
	for _, step := range []func(context.Context) error{s.prepare, s.fold, s.verify, s.masses} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	return nil
}

// settled is a table whose rows all lie in HISTORIC, the same number in each of twenty whole days.
type settled struct {
	*bed
	rows, late int
	newest     time.Time // day
}

func (s *settled) prepare(ctx context.Context) error {
	from := s.newest.AddDate(0, 0, 1-days)
	err := s.exec(ctx, fmt.Sprintf("CALL fill(0, %d, '%s', '%s')", s.rows, from.Format(time.RFC3339), s.newest.AddDate(0, 0, 1).Format(time.RFC3339)),
		"CREATE INDEX ON sales (created_at)", "VACUUM ANALYZE sales")
	if err != nil {
		return err
	}
	if err := s.query(ctx, statements(text("tables/plain.sql"))...); err != nil {
		return err
	}
	return s.runBridge(ctx)
}

// fold changes rows of the oldest and of the newest day and folds them, beside a bare rewrite of the two days.
func (s *settled) fold(ctx context.Context) error {
	half := s.late / 2
	var folds, bares []time.Duration
	for range s.run.runs {
		if err := s.change(ctx, fmt.Sprintf("UPDATE sales SET status = 'cancelled', qty = qty + 1 WHERE id < %d OR id >= %d", half, s.rows-half)); err != nil {
			return err
		}
		began := time.Now()
		rewrite := fmt.Sprintf("INSERT INTO bench.plain_sales SELECT * FROM bench.sales WHERE toDate(created_at) IN ('%s', '%s')",
			s.newest.Format(time.DateOnly), s.newest.AddDate(0, 0, 1-days).Format(time.DateOnly))
		if err := s.query(ctx, rewrite); err != nil {
			return err
		}
		bares = append(bares, time.Since(began))
		began = time.Now()
		if _, err := bridge.ResyncNow(ctx, s.cfg, zerolog.Nop(), bridge.Request{Table: "public.sales"}, nil); err != nil {
			return err
		}
		folds = append(folds, time.Since(began))
	}
	s.run.add(Row{
		Case: fmt.Sprintf("%d late rows in two of %d days of %d rows", s.late, days, s.rows/days), What: "fold", Value: median(folds).Seconds(), Unit: "s",
		Against: "bare rewrite of the two days", Other: median(bares).Seconds(),
	})
	return nil
}

// verify compares one day again and again while its rows change.
func (s *settled) verify(ctx context.Context) error {
	const times, rate = 10, 5000
	inner, stop := context.WithCancel(ctx)
	defer stop()
	group, inner := errgroup.WithContext(inner)
	group.Go(func() error { return s.churn(inner, rate) })
	until := s.newest.AddDate(0, 0, 1)
	rows, alarms := uint64(0), 0
	var busy time.Duration
	for range times {
		asked := time.Now()
		parts, err := bridge.VerifyNow(ctx, s.cfg, zerolog.Nop(), bridge.Request{Table: "public.sales", From: &s.newest, To: &until}, nil)
		if err != nil {
			return err
		}
		busy += time.Since(asked)
		for _, p := range parts {
			rows += p.Rows
			if !p.Equal {
				alarms++
			}
		}
	}
	stop()
	if err := group.Wait(); err != nil {
		return err
	}
	bare, err := s.copyToNowhere(ctx)
	if err != nil {
		return err
	}
	s.run.add(Row{
		Case: fmt.Sprintf("%d comparisons of a day that changes, %d false alarms", times, alarms), What: "verify", Value: float64(rows) / busy.Seconds(), Unit: "rows/s",
		Against: "COPY to nowhere", Other: float64(s.rows) / bare.Seconds(),
	})
	return nil
}

// churn updates rows of the newest day until ctx ends.
func (s *settled) churn(ctx context.Context, rate int) error {
	conn, err := pgx.Connect(ctx, s.source.DSN("postgres"))
	if err != nil {
		return fmt.Errorf("connect: %w", err)
	}
	defer conn.Close(context.WithoutCancel(ctx))
	const perTransaction = 50
	ticker := time.NewTicker(time.Second * perTransaction / time.Duration(rate))
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
		_, err := conn.Exec(ctx, "UPDATE sales SET qty = qty + 1 WHERE id IN (SELECT $1::bigint - (random() * $2)::bigint FROM generate_series(1, $3))", s.rows-1, s.rows/days-1, perTransaction)
		if err != nil && ctx.Err() == nil {
			return fmt.Errorf("change rows: %w", err)
		}
	}
}

// masses updates every row in one transaction, and then deletes a fortieth of them, as purges do at night.
func (s *settled) masses(ctx context.Context) error {
	for _, m := range []struct{ name, statement string }{
		{"update of all rows in one transaction", "UPDATE sales SET qty = qty + 1"},
		{"delete of a fortieth in one transaction", fmt.Sprintf("DELETE FROM sales WHERE id < %d", s.rows/40)},
	} {
		began := time.Now()
		if err := s.exec(ctx, m.statement); err != nil {
			return err
		}
		written := time.Since(began)
		if _, err := s.caughtUp(ctx); err != nil {
			return err
		}
		s.run.add(Row{
			Case: fmt.Sprintf("%d rows", s.rows), What: m.name + ", visible after it began", Value: time.Since(began).Seconds(), Unit: "s",
			Against: "PostgreSQL alone", Other: written.Seconds(),
		})
		if _, err := bridge.ResyncNow(ctx, s.cfg, zerolog.Nop(), bridge.Request{}, nil); err != nil {
			return err
		}
	}
	return nil
}
