package main

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"github.com/jackc/pglogrepl"
	"github.com/jackc/pgx/v5"

	"github.com/tidemark-db/tidemark/internal/config"
	"github.com/tidemark-db/tidemark/internal/engine"
)

//go:embed sql
var files embed.FS

// text returns a file of sql with {name} replaced by values: name, value, name, value …
func text(file string, values ...string) string {
	raw, err := files.ReadFile("sql/" + file)
	if err != nil {
		panic(err) // a file that is not embedded is a mistake of the source
	}
	var pairs []string
	for i := 0; i+1 < len(values); i += 2 {
		pairs = append(pairs, "{"+values[i]+"}", values[i+1])
	}
	return strings.TrimSpace(strings.NewReplacer(pairs...).Replace(string(raw)))
}

// statements splits a file's text.
func statements(text string) (out []string) {
	for _, st := range strings.Split(text, ";\n") {
		if st = strings.TrimSuffix(strings.TrimSpace(st), ";"); st != "" {
			out = append(out, st)
		}
	}
	return out
}

// bed is what a part works on: both engines with the shop's tables, and a bridge between them while it runs.
type bed struct {
	run    *run
	dir    string
	source *engine.Postgres
	target *engine.ClickHouse
	pg     *pgx.Conn
	ch     driver.Conn
	cfg    *config.Config
	bridge *bridgeProcess // nil while none runs
	listen string         // where every bridge has its status page

	nextSale int // how many ids load has used
}

// newBed starts both engines. Whoever gets one stops it, whatever the error.
func newBed(ctx context.Context, r *run) (b *bed, err error) {
	b = &bed{run: r}
	if b.dir, err = os.MkdirTemp("", "tidemark-bench-"); err != nil {
		return b, fmt.Errorf("make folder: %w", err)
	}
	settings := map[string]string{"max_wal_size": "16GB", "checkpoint_timeout": "30min", "wal_compression": "on"}
	if b.source, err = engine.StartPostgres(ctx, engine.PostgresOptions{Settings: settings, Progress: os.Stderr}); err != nil {
		return b, fmt.Errorf("start PostgreSQL: %w", err)
	}
	if b.target, err = engine.StartClickHouse(ctx, engine.ClickHouseOptions{Progress: os.Stderr}); err != nil {
		return b, fmt.Errorf("start ClickHouse: %w", err)
	}
	if b.pg, err = pgx.Connect(ctx, b.source.DSN("postgres")); err != nil {
		return b, fmt.Errorf("connect: %w", err)
	}
	if b.ch, err = connect(b.target, nil); err != nil {
		return b, err
	}
	if _, err := b.pg.Exec(ctx, text("source/schema.sql")); err != nil {
		return b, fmt.Errorf("make the shop: %w", err)
	}
	return b, b.query(ctx, "CREATE DATABASE bench")
}

// connect returns connections as of BI tools.
func connect(server *engine.ClickHouse, settings clickhouse.Settings) (driver.Conn, error) {
	opts, err := clickhouse.ParseDSN(server.DSN("default"))
	if err != nil {
		return nil, fmt.Errorf("parse DSN: %w", err)
	}
	opts.Settings, opts.MaxOpenConns, opts.MaxIdleConns = settings, 400, 400
	opts.ReadTimeout = time.Hour
	return clickhouse.Open(opts)
}

// stop ends everything that the bed has started.
func (b *bed) stop() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if b.bridge != nil {
		_, _ = b.stopBridge()
	}
	if b.ch != nil {
		_ = b.ch.Close()
	}
	if b.pg != nil {
		_ = b.pg.Close(ctx)
	}
	if b.target != nil {
		_ = b.target.Stop(ctx)
	}
	if b.source != nil {
		_ = b.source.Stop(ctx)
	}
	_ = os.RemoveAll(b.dir)
}

// exec runs statements in PostgreSQL, one by one.
func (b *bed) exec(ctx context.Context, statements ...string) error {
	for _, st := range statements {
		if _, err := b.pg.Exec(ctx, st); err != nil {
			return fmt.Errorf("%s: %w", st, err)
		}
	}
	return nil
}

// query runs statements without an answer in ClickHouse.
func (b *bed) query(ctx context.Context, statements ...string) error {
	for _, st := range statements {
		if err := b.ch.Exec(ctx, st); err != nil {
			return fmt.Errorf("%s: %w", st, err)
		}
	}
	return nil
}

// drain reads all rows of an answer.
func drain(ctx context.Context, conn driver.Conn, query string) error {
	rows, err := conn.Query(ctx, query)
	if err != nil {
		return fmt.Errorf("%s: %w", query, err)
	}
	defer rows.Close()
	for rows.Next() { //nolint:revive // nobody looks at them
	}
	if err := rows.Err(); err != nil {
		return fmt.Errorf("%s: %w", query, err)
	}
	return nil
}

// configure writes the bridge's configuration. Each pair of edits replaces a text of it.
func (b *bed) configure(ctx context.Context, edits ...string) (file string, err error) {
	if b.listen == "" {
		if b.listen, err = freeAddress(ctx); err != nil {
			return "", err
		}
	}
	plain := text("bridge.yaml", "source", b.source.DSN("postgres"), "target", b.target.DSN("bench"), "listen", b.listen)
	plain = strings.NewReplacer(edits...).Replace(plain)
	file = filepath.Join(b.dir, "tidemark.yaml")
	if err := os.WriteFile(file, []byte(strings.ReplaceAll(plain, "{aggregates}", "")), 0o600); err != nil {
		return "", fmt.Errorf("write configuration: %w", err)
	}
	b.cfg, err = config.Load(file, nil, nil)
	return file, err
}

func freeAddress(ctx context.Context) (string, error) {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", fmt.Errorf("find a port: %w", err)
	}
	defer listener.Close()
	return listener.Addr().String(), nil
}

// end is the position up to which PostgreSQL has committed.
func (b *bed) end(ctx context.Context) (lsn pglogrepl.LSN, err error) {
	var position string
	if err := b.pg.QueryRow(ctx, "SELECT pg_current_wal_lsn()::text").Scan(&position); err != nil {
		return 0, fmt.Errorf("read position: %w", err)
	}
	return pglogrepl.ParseLSN(position)
}

// errNotYet says that a mark does not hold the position.
var errNotYet = errors.New("no mark holds it yet")

// caughtUp waits for a mark that holds everything committed, and every table, and returns when it was seen.
func (b *bed) caughtUp(ctx context.Context) (time.Time, error) {
	end, err := b.end(ctx)
	if err != nil {
		return time.Time{}, err
	}
	err = b.holds(ctx, end)
	return time.Now(), err
}

// holds waits for a mark that holds a position, every table and every aggregate.
func (b *bed) holds(ctx context.Context, end pglogrepl.LSN) error {
	declared := 0
	for _, t := range b.cfg.Tables {
		declared += len(t.Aggregates)
	}
	return b.await(ctx, seldom, func() error {
		var at, tables, aggregates uint64
		err := b.ch.QueryRow(ctx, "SELECT lsn, length(tables), length(aggregates) FROM bench.split_date ORDER BY term DESC, epoch DESC LIMIT 1").Scan(&at, &tables, &aggregates)
		if err == nil && (pglogrepl.LSN(at) < end || int(tables) < len(b.cfg.Tables) || int(aggregates) < declared) {
			err = errNotYet
		}
		return err
	})
}

// patience is generous: it bounds a run that hangs, no measurement.
const patience = 2 * time.Hour

// seldom is how often ClickHouse is asked for what takes long: asking costs the processors that are measured.
const seldom = 100 * time.Millisecond

// await tries until it works.
func (b *bed) await(ctx context.Context, every time.Duration, try func() error) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	for {
		err := try()
		if err == nil {
			return nil
		}
		if b.bridge != nil && b.bridge.ended() {
			return fmt.Errorf("the bridge ended: %s", b.bridge.log())
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("waited in vain: %w", err)
		case <-ticker.C:
		}
	}
}

// change runs statements in PostgreSQL and waits until a mark holds them.
func (b *bed) change(ctx context.Context, statements ...string) error {
	if err := b.exec(ctx, statements...); err != nil {
		return err
	}
	_, err := b.caughtUp(ctx)
	return err
}

// fill adds sales that are spread over a time before now.
func (b *bed) fill(ctx context.Context, first, n int, since, until time.Duration) error {
	return b.exec(ctx, fmt.Sprintf("CALL fill(%d, %d, now() - interval '%d s', now() - interval '%d s')", first, n, int(since.Seconds()), int(until.Seconds())))
}
