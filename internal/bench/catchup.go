package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/jackc/pglogrepl"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/tidemark-db/tidemark/internal/engine"
	"github.com/tidemark-db/tidemark/internal/fault"
)

// catchUp lets changes wait in the WAL and measures how fast each contestant gets to its end.
func catchUp(ctx context.Context, r *run) error {
	var ours, dump, loop, peer []time.Duration
	for range r.runs {
		w, err := newWAL(ctx, r)
		if err == nil {
			err = errors.Join(
				w.time(&dump, w.recvlogical(ctx)), w.time(&loop, w.bareLoop(ctx)),
				w.time(&ours, w.tidemark(ctx)), w.time(&peer, w.materialized(ctx)),
			)
		}
		w.stop()
		if err != nil {
			return err
		}
	}
	changes := float64(2 * r.rows(1_000_000))
	rate := func(took []time.Duration) float64 { return changes / median(took).Seconds() }
	add := func(against string, other []time.Duration, goal *Goal) {
		r.add(Row{
			Case: fmt.Sprintf("%.0f changes in transactions of 10", changes), What: "START_REPLICATION to the mark", Value: rate(ours), Unit: "changes/s",
			Against: against, Other: rate(other), Goal: goal,
		})
	}
	add("pg_recvlogical to /dev/null", dump, ratioAtLeast(1))
	add("bare pglogrepl loop", loop, nil)
	add("MaterializedPostgreSQL", peer, ratioAtLeast(4))
	return nil
}

// wal is a bed whose WAL holds changes that nobody has read yet.
type wal struct {
	*bed
	end  pglogrepl.LSN
	peer *engine.ClickHouse // with the other peer, stopped
}

// sentinel is the id of the last change.
const sentinel = -1

// newWAL has the bridge and the peer load the empty shop, stops them, and writes the changes.
func newWAL(ctx context.Context, r *run) (w *wal, err error) {
	w = &wal{}
	if w.bed, err = newBed(ctx, r); err != nil {
		return w, err
	}
	if w.peer, err = startMaterialized(ctx, w.bed); err != nil {
		return w, err
	}
	if err := w.peer.Stop(ctx); err != nil {
		return w, err
	}
	if err := w.runBridge(ctx); err != nil {
		return w, err
	}
	if _, err := w.stopBridge(); err != nil {
		return w, err
	}
	n := r.rows(1_000_000)
	// Only the last commit waits for the disk.
	err = w.exec(ctx, "SET synchronous_commit = off", "SELECT pg_create_logical_replication_slot('dump', 'pgoutput'), pg_create_logical_replication_slot('loop', 'pgoutput')",
		fmt.Sprintf("CALL insert_sales(0, %d)", n), fmt.Sprintf("CALL update_sales(0, %d)", n), "SET synchronous_commit = on",
		fmt.Sprintf("INSERT INTO sales SELECT %d, created_at, store_id, customer_id, product_id, status, qty, price, note FROM sales WHERE id = 1", sentinel))
	if err == nil {
		w.end, err = w.bed.end(ctx)
	}
	return w, err
}

func (w *wal) stop() {
	if w.peer != nil {
		_ = w.peer.Stop(context.Background())
		_ = os.RemoveAll(filepath.Join(w.dir, "peer"))
	}
	w.bed.stop()
}

// time keeps a measurement, unless it failed.
func (w *wal) time(list *[]time.Duration, m measurement) error {
	if m.err == nil {
		*list = append(*list, m.took)
	}
	return m.err
}

// measurement is what one contestant needed.
type measurement struct {
	took time.Duration
	usage
	target  time.Duration // processor time that ClickHouse spent meanwhile
	marks   int           // that tidemark published
	ticking time.Duration // how long it worked on them
	err     error
}

// tidemark runs the bridge from START_REPLICATION, which makes its slot active, to the mark with the last position.
func (w *wal) tidemark(ctx context.Context) (m measurement) {
	if m.err = w.startBridge(ctx); m.err != nil {
		return m
	}
	m.err = w.await(ctx, 5*time.Millisecond, func() error {
		var active bool
		err := w.pg.QueryRow(ctx, "SELECT active FROM pg_replication_slots WHERE slot_name = 'tidemark'").Scan(&active)
		if err == nil && !active {
			err = errNotYet
		}
		return err
	})
	if m.err != nil {
		return m
	}
	began, before := time.Now(), processTime(w.target.Pid())
	w.profile(ctx, "catch-up", 10*time.Second)
	// PostgreSQL is asked until it has sent all: ClickHouse would spend a twentieth of its time on answers.
	if m.err = w.await(ctx, seldom, func() error { return w.sent(ctx) }); m.err != nil {
		return m
	}
	if m.err = w.holds(ctx, w.end); m.err != nil {
		return m
	}
	m.took, m.target = time.Since(began), processTime(w.target.Pid())-before
	if m.marks, m.ticking, m.err = w.ticks(ctx); m.err != nil {
		return m
	}
	m.usage, m.err = w.stopBridge()
	return m
}

// sent returns nil once the walsender of tidemark's slot has sent the last change.
func (w *wal) sent(ctx context.Context) error {
	var all bool
	err := w.pg.QueryRow(ctx, `SELECT coalesce(bool_or(r.sent_lsn >= $1::pg_lsn), false) FROM pg_replication_slots s
		JOIN pg_stat_replication r ON r.pid = s.active_pid WHERE s.slot_name = 'tidemark'`, w.end.String()).Scan(&all)
	if err == nil && !all {
		err = errNotYet
	}
	return err
}

// recvlogical has PostgreSQL's own client write the stream to nowhere.
func (w *wal) recvlogical(ctx context.Context) (m measurement) {
	path, err := recvlogicalPath()
	if err != nil {
		return measurement{err: err}
	}
	began := time.Now()
	cmd := exec.CommandContext(ctx, path, "-d", w.source.DSN("postgres"), "-S", "dump", "--start", "-f", os.DevNull, "--no-loop",
		"-o", "proto_version=1", "-o", "publication_names=tidemark", "--endpos", w.end.String())
	if said, err := cmd.CombinedOutput(); err != nil {
		return measurement{err: fmt.Errorf("pg_recvlogical: %w\n%s", err, said)}
	}
	return measurement{took: time.Since(began)}
}

// recvlogicalPath finds the program; the npm packages of PostgreSQL have none.
func recvlogicalPath() (string, error) {
	installed, _ := filepath.Glob("/usr/lib/postgresql/*/bin/pg_recvlogical")
	slices.Reverse(installed) // the newest first
	for _, path := range append(installed, "pg_recvlogical") {
		if path, err := exec.LookPath(path); err == nil {
			return path, nil
		}
	}
	return "", fault.New("install it (Debian: apt-get install postgresql-client)", "find pg_recvlogical, which the catch-up is measured against")
}

// bareLoop decodes the stream with pglogrepl and drops it.
func (w *wal) bareLoop(ctx context.Context) (m measurement) {
	conn, err := pgconn.Connect(ctx, w.source.DSN("postgres")+"&replication=database")
	if err != nil {
		return measurement{err: fmt.Errorf("connect: %w", err)}
	}
	defer func() { _ = conn.Close(ctx) }()
	began, before := time.Now(), processorTime()
	err = pglogrepl.StartReplication(ctx, conn, "loop", 0, pglogrepl.StartReplicationOptions{PluginArgs: []string{"proto_version '1'", "publication_names 'tidemark'"}})
	for at := pglogrepl.LSN(0); err == nil && at < w.end; {
		at, err = receive(ctx, conn, at)
	}
	return measurement{took: time.Since(began), usage: usage{cpu: processorTime() - before}, err: err}
}

// receive decodes one message and returns the position that is reached with it.
func receive(ctx context.Context, conn *pgconn.PgConn, at pglogrepl.LSN) (pglogrepl.LSN, error) {
	message, err := conn.ReceiveMessage(ctx)
	if err != nil {
		return at, fmt.Errorf("receive: %w", err)
	}
	data, ok := message.(*pgproto3.CopyData)
	if !ok {
		return at, fmt.Errorf("unexpected message %T", message)
	}
	if data.Data[0] == pglogrepl.PrimaryKeepaliveMessageByteID {
		k, err := pglogrepl.ParsePrimaryKeepaliveMessage(data.Data[1:])
		return max(at, k.ServerWALEnd), err
	}
	x, err := pglogrepl.ParseXLogData(data.Data[1:])
	if err != nil {
		return at, err
	}
	decoded, err := pglogrepl.Parse(x.WALData)
	if commit, ok := decoded.(*pglogrepl.CommitMessage); ok {
		at = commit.TransactionEndLSN
	}
	return at, err
}

// processTime is the processor time of another process, 0 where nobody knows.
func processTime(pid int) time.Duration {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0
	}
	_, rest, _ := strings.Cut(string(stat), ") ")
	fields := strings.Fields(rest)
	const user, system, tick = 11, 12, 10 * time.Millisecond // the clock of /proc ticks so on Linux
	if len(fields) <= system {
		return 0
	}
	var used time.Duration
	for _, f := range []string{fields[user], fields[system]} {
		n, _ := strconv.Atoi(f)
		used += time.Duration(n) * tick
	}
	return used
}

func processorTime() time.Duration {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// startMaterialized starts a ClickHouse that replicates sales by itself and returns when it has every row.
func startMaterialized(ctx context.Context, b *bed) (*engine.ClickHouse, error) {
	server, err := engine.StartClickHouse(ctx, engine.ClickHouseOptions{Dir: filepath.Join(b.dir, "peer")})
	if err != nil {
		return nil, fmt.Errorf("start the peer: %w", err)
	}
	conn, err := connect(server, clickhouse.Settings{"allow_experimental_database_materialized_postgresql": 1})
	if err != nil {
		return server, err
	}
	defer func() { _ = conn.Close() }()
	source, err := pgx.ParseConfig(b.source.DSN("postgres"))
	if err != nil {
		return server, err
	}
	create := text("tables/materialized.sql", "address", fmt.Sprintf("%s:%d", source.Host, source.Port))
	if err := conn.Exec(ctx, statements(create)[0]); err != nil {
		return server, fmt.Errorf("create the peer's database: %w", err)
	}
	var rows uint64
	if err := b.pg.QueryRow(ctx, "SELECT count(*) FROM sales").Scan(&rows); err != nil {
		return server, err
	}
	return server, b.await(ctx, seldom, func() error {
		var n uint64
		err := conn.QueryRow(ctx, "SELECT count() FROM materialized.sales").Scan(&n)
		if err == nil && n < rows {
			err = fmt.Errorf("the peer has %d rows", n)
		}
		return err
	})
}

// materialized starts the peer's server again, which goes on by itself. The time it needs to start does not count.
func (w *wal) materialized(ctx context.Context) (m measurement) {
	if m.err = w.peer.Start(ctx); m.err != nil {
		return m
	}
	began := time.Now()
	conn, err := connect(w.peer, nil)
	if err != nil {
		return measurement{err: err}
	}
	defer func() { _ = conn.Close() }()
	m.err = w.await(ctx, 3*seldom, func() error { // it has no walsender that could be asked instead
		var n uint64
		err := conn.QueryRow(ctx, fmt.Sprintf("SELECT count() FROM materialized.sales WHERE id = %d", sentinel)).Scan(&n)
		if err == nil && n == 0 {
			err = errNotYet
		}
		return err
	})
	m.took = time.Since(began)
	return m
}
