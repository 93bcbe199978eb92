package main

import (
	"context"
	"fmt"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"github.com/jackc/pgx/v5"
	"github.com/rs/zerolog"
	"golang.org/x/sync/errgroup"

	"github.com/tidemark-db/tidemark/internal/bridge"
)

// resync measures what happens to settled rows: queries before, with and after late rows in two of twenty days, the fold
// of these against a bare rewrite of the two, comparisons of a day while its rows change, aggregates that are declared
// while the bridge runs, and masses of late changes.
func resync(ctx context.Context, r *run) error {
	b, err := newBed(ctx, r)
	defer b.stop()
	if err != nil {
		return err
	}
	s := &settled{bed: b, rows: r.rows(40_000_000), late: r.rows(50_000)}
	s.newest = time.Now().UTC().Truncate(24*time.Hour).AddDate(0, 0, -2)
	if s.reader, err = connect(b.target, clickhouse.Settings{"max_threads": 1}); err != nil {
		return err
	}
	defer func() { _ = s.reader.Close() }()
	for _, step := range []func(context.Context) error{s.prepare, s.fold, s.verify, s.backfill, s.masses} {
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
	newest     time.Time   // day
	reader     driver.Conn // of one thread
}

func (s *settled) prepare(ctx context.Context) error {
	from := s.newest.AddDate(0, 0, 1-days)
	err := s.exec(ctx, fmt.Sprintf("CALL fill(0, %d, '%s', '%s')", s.rows, from.Format(time.RFC3339), s.newest.AddDate(0, 0, 1).Format(time.RFC3339)),
		"CREATE INDEX ON sales (created_at)", "VACUUM ANALYZE sales")
	if err != nil {
		return err
	}
	if err := s.query(ctx, append(statements(text("tables/plain.sql")), "CREATE TABLE bench.rewritten AS bench.plain_sales")...); err != nil {
		return err
	}
	if err := s.runBridge(ctx); err != nil {
		return err
	}
	return s.read(ctx, "before late rows")
}

// read times queries that read many rows, of the view and of a plain table with the same rows.
func (s *settled) read(ctx context.Context, state string) error {
	if err := s.copyPlain(ctx); err != nil {
		return err
	}
	for _, name := range []string{"02_wide_range", "03_one_store", "07_full_scan"} {
		ask := func(table string) func() error {
			return func() error { return drain(ctx, s.reader, text("queries/"+name+".sql", "sales", table)) }
		}
		took, err := race(s.run.runs, ask("bench.sales"), ask("bench.plain_sales"))
		if err != nil {
			return err
		}
		s.run.add(Row{Case: state, What: name, Value: millis(took[0]), Unit: "ms", Against: "plain MergeTree", Other: millis(took[1])})
	}
	return nil
}

// rewrite copies rows as a statement without the bridge does.
func (s *settled) rewrite(ctx context.Context, where string) (time.Duration, error) {
	if err := s.query(ctx, "TRUNCATE TABLE bench.rewritten"); err != nil {
		return 0, err
	}
	began := time.Now()
	err := s.query(ctx, "INSERT INTO bench.rewritten SELECT * FROM bench.sales WHERE "+where)
	return time.Since(began), err
}

// fold changes rows of the oldest and of the newest day and folds them, beside a bare rewrite of the two days.
func (s *settled) fold(ctx context.Context) error {
	half := s.late / 2
	twoDays := fmt.Sprintf("toDate(created_at) IN ('%s', '%s')", s.newest.Format(time.DateOnly), s.newest.AddDate(0, 0, 1-days).Format(time.DateOnly))
	var folds, bares []time.Duration
	for turn := range s.run.runs {
		if err := s.change(ctx, fmt.Sprintf("UPDATE sales SET status = 'cancelled', qty = qty + 1 WHERE id < %d OR id >= %d", half, s.rows-half)); err != nil {
			return err
		}
		if turn == 0 {
			if err := s.read(ctx, fmt.Sprintf("with %d late rows", s.late)); err != nil {
				return err
			}
		}
		bare, err := s.rewrite(ctx, twoDays)
		if err != nil {
			return err
		}
		bares = append(bares, bare)
		began := time.Now()
		if _, err := bridge.ResyncNow(ctx, s.cfg, zerolog.Nop(), bridge.Request{Table: "public.sales"}, nil); err != nil {
			return err
		}
		folds = append(folds, time.Since(began))
	}
	s.run.add(Row{
		Case: fmt.Sprintf("%d late rows in two of %d days of %d rows", s.late, days, s.rows/days), What: "fold", Value: median(folds).Seconds(), Unit: "s",
		Against: "bare rewrite of the two days", Other: median(bares).Seconds(),
	})
	return s.read(ctx, "after the fold")
}

// verify compares half a day again and again while its rows change.
func (s *settled) verify(ctx context.Context) error {
	const times, rate = 50, 5000
	inner, stop := context.WithCancel(ctx)
	defer stop()
	group, inner := errgroup.WithContext(inner)
	group.Go(func() error { return s.churn(inner, rate) })
	noon, until := s.newest.Add(12*time.Hour), s.newest.AddDate(0, 0, 1)
	rows, alarms := uint64(0), 0
	var busy time.Duration
	for range times {
		asked := time.Now()
		parts, err := bridge.VerifyNow(ctx, s.cfg, zerolog.Nop(), bridge.Request{Table: "public.sales", From: &noon, To: &until}, nil)
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
		Case: fmt.Sprintf("%d comparisons of half a day that changes, %d false alarms", times, alarms), What: "verify", Value: float64(rows) / busy.Seconds(), Unit: "rows/s",
		Against: "COPY to nowhere", Other: float64(s.rows) / bare.Seconds(),
	})
	return nil
}

// backfill declares three aggregates while rows change, and drops them again.
func (s *settled) backfill(ctx context.Context) error {
	began := time.Now()
	for _, a := range measured {
		keys, selected, where, err := handMade(a)
		if err != nil {
			return err
		}
		if err := s.query(ctx, createHandMade(a.Name, keys, selected, where)); err != nil {
			return err
		}
	}
	bare := time.Since(began)
	inner, stop := context.WithCancel(ctx)
	defer stop()
	group, inner := errgroup.WithContext(inner)
	group.Go(func() error { return s.churn(inner, 1000) })
	count, took, err := s.ticks(ctx)
	if err != nil {
		return err
	}
	began = time.Now()
	if err := s.reconfigure(ctx, "{aggregates}", text("aggregates.yaml")); err != nil {
		return err
	}
	all := time.Since(began)
	counted, taken, err := s.ticks(ctx)
	if err != nil {
		return err
	}
	stop()
	if err := group.Wait(); err != nil {
		return err
	}
	s.run.add(Row{
		Case: "three aggregates declared on SIGHUP, 1000 changes/s", What: "backfill, until a mark shows them", Value: all.Seconds(), Unit: "s",
		Against: "three INSERT SELECT by hand", Other: bare.Seconds(),
	})
	s.run.add(Row{Case: "three aggregates declared on SIGHUP, 1000 changes/s", What: "mean tick meanwhile", Value: millis((taken - took) / time.Duration(max(1, counted-count))), Unit: "ms"})
	return s.reconfigure(ctx)
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
	if err := s.exec(ctx, "DROP INDEX sales_created_at_idx"); err != nil { // it doubles the WAL
		return err
	}
	for _, m := range []struct {
		name, statement string
		rows            int
	}{
		{"update of all rows in one transaction", "UPDATE sales SET qty = qty + 1", s.rows},
		{"delete of a fortieth in one transaction", fmt.Sprintf("DELETE FROM sales WHERE id < %d", s.rows/40), s.rows / 40},
	} {
		if err := s.mass(ctx, m.name, m.statement, m.rows); err != nil {
			return fmt.Errorf("%s: %w", m.name, err)
		}
	}
	return nil
}

func (s *settled) mass(ctx context.Context, name, statement string, rows int) error {
	add := func(what string, value float64, unit, against string, other float64) {
		s.run.add(Row{Case: fmt.Sprintf("%s: %d of %d", name, rows, s.rows), What: what, Value: value, Unit: unit, Against: against, Other: other})
	}
	forgetPeak(s.target.Pid())
	before := peakMiB(s.target.Pid())
	began := time.Now()
	if err := s.exec(ctx, statement); err != nil {
		return err
	}
	written := time.Since(began)
	if _, err := s.caughtUp(ctx); err != nil {
		return err
	}
	add("visible after it began", time.Since(began).Seconds(), "s", "PostgreSQL alone", written.Seconds())
	add("ClickHouse, peak RSS", float64(peakMiB(s.target.Pid())), "MiB", "before", float64(before))
	var late, plain uint64
	size := "SELECT sumIf(bytes_on_disk, database = 'bench_tidemark' AND (table = 'sales_masks' OR table = 'sales_chunks' AND startsWith(partition_id, '0-'))), sumIf(bytes_on_disk, database = 'bench' AND table = 'plain_sales') FROM system.parts WHERE active"
	if err := s.ch.QueryRow(ctx, size).Scan(&late, &plain); err != nil {
		return fmt.Errorf("read sizes: %w", err)
	}
	add("RT, LATE and masks on disk", float64(late)/(1<<20), "MiB", "all rows in a plain MergeTree", float64(plain)/(1<<20))
	if err := s.same(ctx); err != nil {
		return err
	}
	bare, err := s.rewrite(ctx, "1")
	if err != nil {
		return err
	}
	began = time.Now()
	if _, err := bridge.ResyncNow(ctx, s.cfg, zerolog.Nop(), bridge.Request{}, nil); err != nil {
		return err
	}
	add("fold", time.Since(began).Seconds(), "s", "bare rewrite of all rows", bare.Seconds())
	return s.same(ctx)
}

// same compares the view's rows with PostgreSQL's while nothing is written.
func (s *settled) same(ctx context.Context) error {
	var there, here struct {
		rows uint64
		qty  int64
	}
	if err := s.pg.QueryRow(ctx, "SELECT count(*), sum(qty) FROM sales").Scan(&there.rows, &there.qty); err != nil {
		return fmt.Errorf("count in PostgreSQL: %w", err)
	}
	if err := s.ch.QueryRow(ctx, "SELECT count(), sum(qty) FROM bench.sales").Scan(&here.rows, &here.qty); err != nil {
		return fmt.Errorf("count in the view: %w", err)
	}
	if there != here {
		return fmt.Errorf("the view has %+v, PostgreSQL %+v", here, there)
	}
	return nil
}
