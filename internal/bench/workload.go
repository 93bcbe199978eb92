package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"github.com/jackc/pgx/v5"
	"golang.org/x/sync/errgroup"
)

// firstLoaded is the first id of what load inserts, firstProbe that of probes.
const (
	firstLoaded = 1 << 30
	firstProbe  = int64(1) << 40
)

// changes are made at a rate per second, to rows of RT of any age or to those of two minutes.
type changes struct {
	rate   int
	recent bool
}

func (c changes) String() string {
	if c.recent {
		return fmt.Sprintf("%d changes/s to recent rows", c.rate)
	}
	return fmt.Sprintf("%d changes/s", c.rate)
}

// among are the ids that updates choose from, the first and how many, of the rows that lie in RT from the beginning.
func (c changes) among(rows int) (first, n int) {
	if c.recent {
		n = rows * 2 / 25
		return rows - n, n
	}
	return 0, rows
}

// load changes rows of RT: of each hundred changes 40 insert, 50 update and 10 delete, in transactions of up to a hundred. It
// ends with ctx and returns how many changes it made.
func (b *bed) load(ctx context.Context, c changes, rows int) (made int, err error) {
	conn, err := pgx.Connect(ctx, b.source.DSN("postgres"))
	if err != nil {
		return 0, fmt.Errorf("connect: %w", err)
	}
	defer conn.Close(context.WithoutCancel(ctx))
	const inserts, updates, deletes = 40, 50, 10
	first, n := c.among(rows)
	ticker := time.NewTicker(time.Second * (inserts + updates + deletes) / time.Duration(c.rate))
	defer ticker.Stop()
	for ; ; b.nextSale += inserts { // no id is used twice: what is cancelled may have been committed
		select {
		case <-ctx.Done():
			return made, nil
		case <-ticker.C:
		}
		batch := &pgx.Batch{}
		batch.Queue("BEGIN")
		batch.Queue(fmt.Sprintf("CALL fill(%d, %d, now() - interval '1 s', now())", firstLoaded+b.nextSale, inserts))
		batch.Queue("UPDATE sales SET status = 'paid', qty = qty + 1 WHERE id IN (SELECT $1 + (random() * $2)::bigint FROM generate_series(1, $3))", first, n, updates)
		batch.Queue("DELETE FROM sales WHERE id IN (SELECT $1::bigint - (random() * $2)::bigint FROM generate_series(1, $3))", firstLoaded+b.nextSale, 1000, deletes)
		batch.Queue("COMMIT")
		if err := conn.SendBatch(ctx, batch).Close(); err != nil && ctx.Err() == nil {
			return made, fmt.Errorf("change rows: %w", err)
		}
		made += inserts + updates + deletes
	}
}

// prober commits a row every 50 ms and looks for it as often. The clock of a probe runs from COMMIT's return to the first
// answer with the row. It looks for what either side finds by its own key, and no oftener: each look takes from a processor
// what the commit to be seen needs too.
type prober struct {
	bed   *bed
	conn  driver.Conn
	table string
	warm  int // the first probes, which do not count

	mu        sync.Mutex
	committed map[int64]time.Time // until seen
	seen      int64
	latencies []time.Duration
}

func newProber(b *bed, conn driver.Conn, table string, first int64) *prober {
	return &prober{bed: b, conn: conn, table: table, warm: 20, committed: map[int64]time.Time{}, seen: first - 1}
}

// sample returns so many latencies; the load runs meanwhile.
func (p *prober) sample(ctx context.Context, samples int, load ...func(context.Context) error) ([]time.Duration, error) {
	group, inner := errgroup.WithContext(ctx)
	inner, finish := context.WithCancel(inner)
	defer finish()
	for _, work := range append(load, p.commit) {
		group.Go(func() error { return work(inner) })
	}
	group.Go(func() error { defer finish(); return p.poll(inner, samples+p.warm) })
	if err := group.Wait(); err != nil && (!errors.Is(err, context.Canceled) || ctx.Err() != nil) {
		return nil, err
	}
	return p.latencies[min(p.warm, len(p.latencies)):], nil
}

func (p *prober) commit(ctx context.Context) error {
	conn, err := pgx.Connect(ctx, p.bed.source.DSN("postgres"))
	if err != nil {
		return fmt.Errorf("connect: %w", err)
	}
	defer conn.Close(context.WithoutCancel(ctx))
	ticker := time.NewTicker(50 * time.Millisecond)
	defer ticker.Stop()
	for id := p.seen + 1; ; id++ {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
		if _, err := conn.Exec(ctx, "INSERT INTO sales VALUES ($1, now(), 1, 1, 1, 'probe', 1, 0, NULL)", id); err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return fmt.Errorf("commit probe: %w", err)
		}
		p.mu.Lock()
		p.committed[id] = time.Now()
		p.mu.Unlock()
	}
}

func (p *prober) poll(ctx context.Context, samples int) error {
	ticker := time.NewTicker(50 * time.Millisecond)
	defer ticker.Stop()
	for len(p.latencies) < samples {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
		var newest int64
		if err := p.conn.QueryRow(ctx, fmt.Sprintf("SELECT max(id) FROM %s WHERE id > %d AND store_id = 1 AND created_at > now() - INTERVAL 5 MINUTE", p.table, p.seen)).Scan(&newest); err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return fmt.Errorf("look for probes: %w", err)
		}
		p.arrived(newest, time.Now())
	}
	return nil
}

func (p *prober) arrived(newest int64, now time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for ; p.seen < newest; p.seen++ {
		id := p.seen + 1
		at, ok := p.committed[id]
		if !ok { // seen before COMMIT returned
			at = now
		}
		p.latencies = append(p.latencies, now.Sub(at))
		delete(p.committed, id)
	}
}

// asking runs a query again and again in so many threads until ctx ends.
func asking(conn driver.Conn, query string, threads int) func(context.Context) error {
	return func(ctx context.Context) error {
		group, inner := errgroup.WithContext(ctx)
		for range threads {
			group.Go(func() error {
				for ctx.Err() == nil {
					if err := drain(inner, conn, query); err != nil && ctx.Err() == nil {
						return err
					}
				}
				return nil
			})
		}
		return group.Wait()
	}
}

// paced runs queries in turn at a rate, whether or not earlier ones have been answered, for a time. The latency of a query
// counts from when it was due, so that one that had to wait for a free connection is as late as its reader sees it.
func paced(ctx context.Context, conn driver.Conn, rate int, length time.Duration, queries ...string) ([][]time.Duration, error) {
	took := make([][]time.Duration, len(queries))
	var mu sync.Mutex
	var asked atomic.Int64
	group, inner := errgroup.WithContext(ctx)
	group.SetLimit(300)
	begin := time.Now()
	for i := 0; ; i++ {
		due := begin.Add(time.Duration(i) * time.Second / time.Duration(rate))
		if due.Sub(begin) >= length || inner.Err() != nil {
			break
		}
		select {
		case <-inner.Done():
		case <-time.After(time.Until(due)):
		}
		group.Go(func() error {
			q := int(asked.Add(1)-1) % len(queries)
			if err := drain(inner, conn, queries[q]); err != nil {
				return err
			}
			mu.Lock()
			defer mu.Unlock()
			took[q] = append(took[q], time.Since(due))
			return nil
		})
	}
	return took, group.Wait()
}

// flatten joins the latencies of queries.
func flatten(took [][]time.Duration) []time.Duration { return slices.Concat(took...) }
