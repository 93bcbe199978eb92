package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/jackc/pgx/v5"
	"golang.org/x/sync/errgroup"

	"github.com/tidemark-db/tidemark/internal/bridge"
)

// resyncOptions of one run.
type resyncOptions struct {
	rows, days, late int
	verifies, rate   int
	runs             int
}

// resync measures what happens to settled rows: the first load against a COPY to nowhere, queries before, with and after
// late rows in two of the days against a plain MergeTree with the same rows, the fold against a bare rewrite of the two days,
// comparisons under changes, and masses of late changes.
func resync(ctx context.Context, args []string) error {
	var o resyncOptions
	flags := flag.NewFlagSet("resync", flag.ContinueOnError)
	flags.IntVar(&o.rows, "rows", 40_000_000, "settled rows")
	flags.IntVar(&o.days, "days", 20, "days that they lie in")
	flags.IntVar(&o.late, "late", 50_000, "rows that change late, in two of the days")
	flags.IntVar(&o.verifies, "verifies", 50, "comparisons of a day while it changes")
	flags.IntVar(&o.rate, "rate", 5000, "changes per second meanwhile")
	flags.IntVar(&o.runs, "runs", 5, "runs of each query; the median counts")
	if err := flags.Parse(args); err != nil {
		return fmt.Errorf("read flags: %w", err)
	}
	const table = `CREATE TABLE sales (id bigint PRIMARY KEY, created_at timestamptz NOT NULL, store_id int NOT NULL, status text NOT NULL, amount numeric(12,2) NOT NULL);
CREATE PUBLICATION tidemark FOR TABLE sales;`
	fill := fmt.Sprintf(`INSERT INTO sales SELECT g, date_trunc('day', now()) - interval '1 day' * (1 + g * %d::bigint / %d) + random() * interval '23 hours', g %% 50, 'paid', (g %% 10000) / 100.0 FROM generate_series(0, %d) g`,
		o.days, o.rows, o.rows-1)
	r, err := startRig(ctx, fixture{
		setup: []string{table, fill, "CREATE INDEX ON sales (created_at)", "VACUUM ANALYZE sales"}, table: "sales", rows: uint64(o.rows), patience: time.Hour,
		config: "schedule: {resync: \"@monthly\", verify: \"@monthly\"}\nlimits: {late_rows: 1000000000}\n",
	})
	defer r.stop()
	if err != nil {
		return err
	}
	b := &resyncBench{rig: r, o: o, out: tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)}
	for _, step := range []func(context.Context) error{b.load, b.plain, b.lateRows, b.verify, b.masses} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	return b.out.Flush()
}

type resyncBench struct {
	*rig
	o   resyncOptions
	out *tabwriter.Writer
}

func (b *resyncBench) row(name, format string, args ...any) {
	fmt.Fprintf(b.out, "%s\t%s\n", name, fmt.Sprintf(format, args...))
	_ = b.out.Flush() // the last one is looked at
}

// load compares the first load, which has just ended, with a COPY that throws the rows away.
func (b *resyncBench) load(ctx context.Context) error {
	took := time.Since(b.began)
	conn, err := pgx.Connect(ctx, b.postgres.DSN("postgres"))
	if err != nil {
		return fmt.Errorf("connect: %w", err)
	}
	defer conn.Close(ctx)
	begin := time.Now()
	if _, err := conn.PgConn().CopyTo(ctx, io.Discard, "COPY sales TO STDOUT"); err != nil {
		return fmt.Errorf("copy to nowhere: %w", err)
	}
	bare := time.Since(begin)
	b.row("load", "%d rows in %s, %.0f rows/s; COPY to nowhere %.0f rows/s; ratio %.2f", b.o.rows, took.Round(time.Millisecond),
		float64(b.o.rows)/took.Seconds(), float64(b.o.rows)/bare.Seconds(), bare.Seconds()/took.Seconds())
	return nil
}

const plainTable = `CREATE TABLE bench.plain (id Int64, created_at DateTime64(6, 'UTC'), store_id Int32, status String, amount Decimal(12, 2))
ENGINE = MergeTree PARTITION BY toYYYYMMDD(created_at) ORDER BY id`

// plain makes the table that no change ever reaches.
func (b *resyncBench) plain(ctx context.Context) error {
	for _, st := range []string{plainTable, "INSERT INTO bench.plain SELECT * FROM bench.sales", "OPTIMIZE TABLE bench.plain FINAL"} {
		if err := b.view.Exec(ctx, st); err != nil {
			return fmt.Errorf("make the plain table: %w", err)
		}
	}
	return b.ask(ctx, "no late rows")
}

// queries are asked of the view and of the plain table. The two dirty days are the first and the last.
var queries = []struct{ name, text string }{
	{"full scan", "SELECT store_id, sum(amount), count() FROM {} GROUP BY store_id"},
	{"a week", "SELECT store_id, sum(amount) FROM {} WHERE created_at >= today() - 8 AND created_at < today() - 1 GROUP BY store_id"},
	{"yesterday", "SELECT status, count(), sum(amount) FROM {} WHERE created_at >= today() - 1 AND created_at < today() GROUP BY status"},
	{"one store", "SELECT sum(amount) FROM {} WHERE store_id = 7"},
	{"nothing", "SELECT sum(amount) FROM {} WHERE created_at < '2001-01-01'"},
}

func (b *resyncBench) ask(ctx context.Context, when string) error {
	for _, q := range queries {
		view, err := b.median(ctx, strings.ReplaceAll(q.text, "{}", "bench.sales"))
		if err != nil {
			return err
		}
		plain, err := b.median(ctx, strings.ReplaceAll(q.text, "{}", "bench.plain"))
		if err != nil {
			return err
		}
		b.row("query, "+when, "%s: view %s, plain MergeTree %s, ratio %.2f", q.name, view.Round(100*time.Microsecond), plain.Round(100*time.Microsecond), view.Seconds()/plain.Seconds())
	}
	return nil
}

func (b *resyncBench) median(ctx context.Context, query string) (time.Duration, error) {
	var took []time.Duration
	for range b.o.runs {
		begin := time.Now()
		if err := b.view.Exec(ctx, query+" SETTINGS max_threads = 1 FORMAT Null"); err != nil {
			return 0, fmt.Errorf("%s: %w", query, err)
		}
		took = append(took, time.Since(begin))
	}
	slices.Sort(took)
	return took[len(took)/2], nil
}

// lateRows changes rows of the newest and of the oldest day, and folds them.
func (b *resyncBench) lateRows(ctx context.Context) error {
	half := b.o.late / 2
	if err := b.change(ctx, fmt.Sprintf("UPDATE sales SET status = 'refunded', amount = -amount WHERE id < %d OR id >= %d", half, b.o.rows-half)); err != nil {
		return err
	}
	if err := b.ask(ctx, fmt.Sprintf("%d late rows", b.o.late)); err != nil {
		return err
	}
	begin := time.Now()
	folded, err := b.bridge.Resync(ctx, bridge.Request{})
	if err != nil {
		return err
	}
	took := time.Since(begin)
	if err := b.view.Exec(ctx, strings.Replace(plainTable, "bench.plain", "bench.rewritten", 1)); err != nil {
		return fmt.Errorf("make the rewritten table: %w", err)
	}
	begin = time.Now()
	days := fmt.Sprintf("toDate(created_at) IN (today() - 1, today() - %d)", b.o.days)
	if err := b.view.Exec(ctx, "INSERT INTO bench.rewritten SELECT * FROM bench.plain WHERE "+days+" SETTINGS max_threads = 1"); err != nil {
		return fmt.Errorf("rewrite two days: %w", err)
	}
	bare := time.Since(begin)
	chunks := 0
	for _, f := range folded {
		chunks += f.Chunks
	}
	b.row("fold", "%d chunks in %s; a bare rewrite of the two days %s; ratio %.2f", chunks, took.Round(time.Millisecond), bare.Round(time.Millisecond), took.Seconds()/bare.Seconds())
	return b.ask(ctx, "folded")
}

// change runs a statement and waits until the view shows it.
func (b *resyncBench) change(ctx context.Context, statement string) error {
	conn, err := pgx.Connect(ctx, b.postgres.DSN("postgres"))
	if err != nil {
		return fmt.Errorf("connect: %w", err)
	}
	defer conn.Close(ctx)
	if _, err := conn.Exec(ctx, statement); err != nil {
		return fmt.Errorf("%s: %w", statement, err)
	}
	var lsn uint64
	if err := conn.QueryRow(ctx, "SELECT (pg_current_wal_lsn() - '0/0')::bigint").Scan(&lsn); err != nil {
		return fmt.Errorf("read position: %w", err)
	}
	return await(ctx, time.Hour, func() error {
		var at uint64
		err := b.view.QueryRow(ctx, "SELECT lsn FROM bench.split_date ORDER BY term DESC, epoch DESC LIMIT 1").Scan(&at)
		if err == nil && at < lsn {
			err = errors.New("not there yet")
		}
		return err
	})
}

// verify compares one day again and again while its rows change.
func (b *resyncBench) verify(ctx context.Context) error {
	if b.o.verifies == 0 {
		return nil
	}
	inner, stop := context.WithCancel(ctx)
	group, inner := errgroup.WithContext(inner)
	changes, begin := 0, time.Now()
	group.Go(func() (err error) { changes, err = b.churn(inner); return err })
	day := time.Now().UTC().Truncate(24 * time.Hour)
	from := day.Add(-24 * time.Hour)
	rows, alarms := uint64(0), 0
	var busy time.Duration
	for range b.o.verifies {
		asked := time.Now()
		parts, err := b.bridge.Verify(ctx, bridge.Request{From: &from, To: &day})
		if err != nil {
			stop()
			return errors.Join(err, group.Wait())
		}
		busy += time.Since(asked)
		for _, p := range parts {
			rows += p.Rows
			if !p.Equal {
				alarms++
			}
		}
	}
	rate := time.Since(begin)
	stop()
	if err := group.Wait(); err != nil {
		return err
	}
	b.row("verify", "%d runs of %d rows at %.0f changes/s: %d false alarms, %.0f rows/s", b.o.verifies, rows/uint64(b.o.verifies), float64(changes)/rate.Seconds(), alarms, float64(rows)/busy.Seconds())
	return nil
}

// churn updates, deletes and inserts rows of yesterday.
func (b *resyncBench) churn(ctx context.Context) (changes int, err error) {
	conn, err := pgx.Connect(ctx, b.postgres.DSN("postgres"))
	if err != nil {
		return 0, fmt.Errorf("connect: %w", err)
	}
	defer conn.Close(context.WithoutCancel(ctx))
	const perTransaction = 50
	perDay := b.o.rows / b.o.days
	ticker := time.NewTicker(time.Second * perTransaction / time.Duration(b.o.rate))
	defer ticker.Stop()
	for next := b.o.rows; ; next += 5 {
		select {
		case <-ctx.Done():
			return changes, nil
		case <-ticker.C:
		}
		batch := &pgx.Batch{}
		batch.Queue("BEGIN")
		batch.Queue("UPDATE sales SET amount = amount + 1 WHERE id IN (SELECT (random() * $1)::bigint FROM generate_series(1, 40))", perDay)
		batch.Queue("DELETE FROM sales WHERE id IN (SELECT (random() * $1)::bigint FROM generate_series(1, 5))", perDay)
		batch.Queue("INSERT INTO sales SELECT g, now() - interval '1 day', 1, 'new', 1 FROM generate_series($1::bigint, $1::bigint + 4) g", next)
		batch.Queue("COMMIT")
		if err := conn.SendBatch(ctx, batch).Close(); err != nil && ctx.Err() == nil {
			return changes, fmt.Errorf("change rows: %w", err)
		}
		changes += perTransaction
	}
}

// masses updates every row in one transaction, and then deletes a fortieth of them, as purges do at night.
func (b *resyncBench) masses(ctx context.Context) error {
	for _, m := range []struct{ name, statement string }{
		{"update of all rows", "UPDATE sales SET amount = amount + 1"},
		{"delete of a fortieth", fmt.Sprintf("DELETE FROM sales WHERE id < %d", b.o.rows/40)},
	} {
		begin := time.Now()
		if err := b.change(ctx, m.statement); err != nil {
			return err
		}
		visible := time.Since(begin)
		var late, masks uint64
		if err := b.view.QueryRow(ctx, lateQuery).Scan(&late, &masks); err != nil {
			return fmt.Errorf("count late rows: %w", err)
		}
		begin = time.Now()
		if _, err := b.bridge.Resync(ctx, bridge.Request{}); err != nil {
			return err
		}
		b.row(m.name, "visible %s after it began, %d late rows, %d masks, folded in %s; peak memory: bench with the bridge %d MiB, ClickHouse %d MiB",
			visible.Round(time.Millisecond), late, masks, time.Since(begin).Round(time.Millisecond), peakMiB("self"), peakMiB(fmt.Sprint(b.target.Pid())))
	}
	return nil
}

const lateQuery = `SELECT
	(SELECT sum(rows) FROM system.parts WHERE active AND database = 'bench_tidemark' AND table = 'sales_late'),
	(SELECT sum(rows) FROM system.parts WHERE active AND database = 'bench_tidemark' AND table = 'sales_masks')`

// peakMiB is the most resident memory that a process has had, 0 where nobody knows.
func peakMiB(pid string) (mib int) {
	status, err := os.ReadFile("/proc/" + pid + "/status")
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(status)) {
		if rest, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			_, _ = fmt.Sscan(rest, &mib)
		}
	}
	return mib / 1024
}
