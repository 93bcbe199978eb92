package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"github.com/jackc/pgx/v5"
	"github.com/rs/zerolog"
	"golang.org/x/sync/errgroup"

	"github.com/tidemark-db/tidemark/internal/bridge"
	"github.com/tidemark-db/tidemark/internal/config"
	"github.com/tidemark-db/tidemark/internal/engine"
)

// freshnessOptions of one run.
type freshnessOptions struct {
	samples int
	rate    int // other changes per second
	rtRows  int
	tick    time.Duration
}

// freshness measures commit → visible: a prober commits one row every 50 ms and polls the view every 10 ms; the clock
// runs from COMMIT's return to the first answer with the row.
func freshness(ctx context.Context, args []string) error {
	var o freshnessOptions
	flags := flag.NewFlagSet("freshness", flag.ContinueOnError)
	flags.IntVar(&o.samples, "samples", 1000, "samples after warm-up")
	flags.IntVar(&o.rate, "rate", 1000, "other changes per second")
	flags.IntVar(&o.rtRows, "rt-rows", 100_000, "rows in RT")
	flags.DurationVar(&o.tick, "tick", time.Second, "tick")
	if err := flags.Parse(args); err != nil {
		return fmt.Errorf("read flags: %w", err)
	}
	fill := fmt.Sprintf("INSERT INTO events SELECT nextval('event_ids'), now() - random() * interval '25 minutes', g %% 50, 'new', (g %% 10000) / 100.0, NULL FROM generate_series(1, %d) g", o.rtRows)
	rig, err := startRig(ctx, fixture{setup: []string{setup, fill}, table: "events", rows: uint64(o.rtRows), config: fmt.Sprintf("tick: %s\n", o.tick), patience: time.Minute})
	if err != nil {
		return err
	}
	defer rig.stop()
	latencies, others, err := rig.measure(ctx, o)
	if err != nil {
		return err
	}
	slices.Sort(latencies)
	at := func(q float64) time.Duration {
		return latencies[int(q*float64(len(latencies)-1))].Round(time.Millisecond)
	}
	fmt.Printf("commit to visible: %d samples at %.0f other changes/s, %d RT rows, tick %s\n", len(latencies), others, o.rtRows, o.tick)
	fmt.Printf("p50 %s  p90 %s  p99 %s  max %s\n", at(.5), at(.9), at(.99), at(1))
	return nil
}

// rig is both engines and a bridge between them.
type rig struct {
	dir      string
	postgres *engine.Postgres
	target   *engine.ClickHouse
	view     driver.Conn
	bridge   *bridge.Bridge
	began    time.Time // when the bridge was started
	cancel   context.CancelFunc
	done     chan error
}

const setup = `
CREATE TABLE events (id bigint PRIMARY KEY, created_at timestamptz NOT NULL, store_id int NOT NULL, status text NOT NULL, amount numeric(12,2) NOT NULL, note text);
CREATE SEQUENCE event_ids;
CREATE PUBLICATION tidemark FOR TABLE events;`

const configText = `
source: {dsn: "%s", publication: tidemark, slot: tidemark, time_zone: UTC}
clickhouse: {dsn: "%s"}
http: {listen: ""}
%s
tables:
  public.%s: {date_column: created_at}
`

// fixture is what a bridge starts with: statements for PostgreSQL, and a table with so many rows.
type fixture struct {
	setup    []string
	table    string
	rows     uint64
	config   string        // besides the servers and the table
	patience time.Duration // until the view is there
}

func startRig(ctx context.Context, f fixture) (r *rig, err error) {
	r = &rig{done: make(chan error, 1), cancel: func() {}}
	defer func() {
		if err != nil {
			r.stop()
		}
	}()
	if r.dir, err = os.MkdirTemp("", "tidemark-bench-"); err != nil {
		return r, fmt.Errorf("make folder: %w", err)
	}
	if r.postgres, err = engine.StartPostgres(ctx, engine.PostgresOptions{Progress: os.Stderr}); err != nil {
		return r, fmt.Errorf("start PostgreSQL: %w", err)
	}
	if r.target, err = engine.StartClickHouse(ctx, engine.ClickHouseOptions{Progress: os.Stderr}); err != nil {
		return r, fmt.Errorf("start ClickHouse: %w", err)
	}
	conn, err := pgx.Connect(ctx, r.postgres.DSN("postgres"))
	if err != nil {
		return r, fmt.Errorf("connect: %w", err)
	}
	defer conn.Close(ctx)
	for _, st := range f.setup {
		if _, err := conn.Exec(ctx, st); err != nil {
			return r, fmt.Errorf("set up: %w", err)
		}
	}
	return r, r.startBridge(ctx, f)
}

func (r *rig) startBridge(ctx context.Context, f fixture) error {
	file := filepath.Join(r.dir, "tidemark.yaml")
	text := fmt.Sprintf(configText, r.postgres.DSN("postgres"), r.target.DSN("bench"), f.config, f.table)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		return fmt.Errorf("write configuration: %w", err)
	}
	cfg, err := config.Load(file, nil, nil)
	if err != nil {
		return err
	}
	log := zerolog.New(zerolog.ConsoleWriter{Out: os.Stderr}).Level(zerolog.WarnLevel)
	running, cancel := context.WithCancel(context.WithoutCancel(ctx))
	r.cancel = cancel
	r.bridge = bridge.New(cfg, log, bridge.Options{})
	r.began = time.Now()
	go func() { r.done <- r.bridge.Run(running) }() // ends with stop, which awaits it
	opts, err := clickhouse.ParseDSN(r.target.DSN("default"))
	if err != nil {
		return fmt.Errorf("parse DSN: %w", err)
	}
	if r.view, err = clickhouse.Open(opts); err != nil {
		return fmt.Errorf("open ClickHouse: %w", err)
	}
	return await(ctx, f.patience, func() error {
		var n uint64
		err := r.view.QueryRow(ctx, "SELECT count() FROM bench."+f.table).Scan(&n)
		if err == nil && n < f.rows {
			err = fmt.Errorf("%d rows", n)
		}
		return err
	})
}

// await tries every 100 ms until patience is over.
func await(ctx context.Context, patience time.Duration, try func() error) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	ticker := time.NewTicker(100 * time.Millisecond)
	defer ticker.Stop()
	for {
		err := try()
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("the view is not there: %w", err)
		case <-ticker.C:
		}
	}
}

func (r *rig) stop() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	r.cancel()
	if r.view != nil {
		if err := <-r.done; err != nil {
			fmt.Fprintln(os.Stderr, "the bridge ended:", err)
		}
		_ = r.view.Close()
	}
	if r.target != nil {
		_ = r.target.Stop(ctx)
	}
	if r.postgres != nil {
		_ = r.postgres.Stop(ctx)
	}
	_ = os.RemoveAll(r.dir)
}

// probes have ids from here on.
const firstProbe = int64(1) << 40

// prober keeps when each probe was committed, until it is seen.
type prober struct {
	mu        sync.Mutex
	committed map[int64]time.Time
	seen      int64
	latencies []time.Duration
}

// warmUp is how many probes do not count.
const warmUp = 100

// measure runs the workload and the prober, and returns the samples and the rate of the other changes.
func (r *rig) measure(ctx context.Context, o freshnessOptions) ([]time.Duration, float64, error) {
	p := &prober{committed: map[int64]time.Time{}, seen: firstProbe - 1}
	group, inner := errgroup.WithContext(ctx)
	inner, finish := context.WithCancel(inner)
	begin, others := time.Now(), 0
	group.Go(func() (err error) { others, err = r.load(inner, o); return err })
	group.Go(func() error { return r.commitProbes(inner, p) })
	group.Go(func() error { defer finish(); return r.poll(inner, p, o.samples) })
	err := group.Wait()
	if err != nil && !errors.Is(err, context.Canceled) {
		return nil, 0, err
	}
	return p.latencies[warmUp:], float64(others) / time.Since(begin).Seconds(), ctx.Err()
}

// load makes the other changes: of ten, four inserts, five updates of rows in RT and a delete, in transactions of ten.
func (r *rig) load(ctx context.Context, o freshnessOptions) (changes int, err error) {
	conn, err := pgx.Connect(ctx, r.postgres.DSN("postgres"))
	if err != nil {
		return 0, fmt.Errorf("connect: %w", err)
	}
	defer conn.Close(context.WithoutCancel(ctx))
	const perTransaction = 10
	ticker := time.NewTicker(time.Second * perTransaction / time.Duration(o.rate))
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return changes, nil
		case <-ticker.C:
		}
		batch := &pgx.Batch{}
		batch.Queue("BEGIN")
		for range 4 {
			batch.Queue("INSERT INTO events VALUES (nextval('event_ids'), now(), 1, 'new', 9.99, NULL)")
		}
		for range 5 {
			batch.Queue("UPDATE events SET status = 'paid', amount = amount + 1 WHERE id = (SELECT last_value - (random() * $1)::bigint FROM event_ids)", o.rtRows-100)
		}
		batch.Queue("DELETE FROM events WHERE id = (SELECT last_value - (random() * $1)::bigint FROM event_ids)", o.rtRows-100)
		batch.Queue("COMMIT")
		if err := conn.SendBatch(ctx, batch).Close(); err != nil && ctx.Err() == nil {
			return changes, fmt.Errorf("change rows: %w", err)
		}
		changes += perTransaction
	}
}

func (r *rig) commitProbes(ctx context.Context, p *prober) error {
	conn, err := pgx.Connect(ctx, r.postgres.DSN("postgres"))
	if err != nil {
		return fmt.Errorf("connect: %w", err)
	}
	defer conn.Close(context.WithoutCancel(ctx))
	ticker := time.NewTicker(50 * time.Millisecond)
	defer ticker.Stop()
	for id := firstProbe; ; id++ {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
		if _, err := conn.Exec(ctx, "INSERT INTO events VALUES ($1, now(), 1, 'probe', 0, NULL)", id); err != nil && ctx.Err() == nil {
			return fmt.Errorf("commit probe: %w", err)
		}
		p.mu.Lock()
		p.committed[id] = time.Now()
		p.mu.Unlock()
	}
}

func (r *rig) poll(ctx context.Context, p *prober, samples int) error {
	ticker := time.NewTicker(10 * time.Millisecond)
	defer ticker.Stop()
	for len(p.latencies) < samples+warmUp {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
		var newest int64
		if err := r.view.QueryRow(ctx, fmt.Sprintf("SELECT max(id) FROM bench.events WHERE id > %d", p.seen)).Scan(&newest); err != nil {
			return fmt.Errorf("poll: %w", err)
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
