package cdc

import (
	"context"
	"flag"
	"fmt"
	"net/url"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"go.uber.org/goleak"

	"github.com/tidemark-db/tidemark/internal/engine"
)

// versions are the servers that the tests run on, newest first; the first is used where the version cannot matter.
var versions = []string{"18", "15"}

var servers = map[string]*engine.Postgres{}

func TestMain(m *testing.M) {
	flag.Parse()
	if flag.Lookup("test.fuzzworker").Value.String() == "true" {
		os.Exit(m.Run()) // a process of its own, which needs no server
	}
	os.Exit(runTests(m))
}

func runTests(m *testing.M) int {
	ctx := context.Background()
	for _, version := range versions {
		pg, err := engine.StartPostgres(ctx, engine.PostgresOptions{Version: version, Progress: os.Stderr, Settings: map[string]string{
			"fsync": "off", "max_prepared_transactions": "5", "log_min_messages": "fatal",
		}})
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer func() { _ = pg.Stop(ctx) }() // again, where the tests are not reached
		servers[version] = pg
	}
	code := m.Run()
	for _, pg := range servers {
		if err := pg.Stop(ctx); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
	}
	if err := goleak.Find(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	return code
}

// source is a database of its own with a session of its superuser.
type source struct {
	*testing.T
	cfg  Config
	conn *pgx.Conn
	pg   *engine.Postgres
}

var sourceNumber atomic.Int64

// onEach runs a test on every server.
func onEach(t *testing.T, test func(s *source)) {
	for _, version := range versions {
		t.Run(version, func(t *testing.T) { test(newSource(t, version)) })
	}
}

func newSource(t *testing.T, version string) *source {
	t.Helper()
	pg := servers[version]
	name := fmt.Sprintf("db_%d", sourceNumber.Add(1))
	admin := dial(t, pg.DSN("postgres"))
	if _, err := admin.Exec(t.Context(), "CREATE DATABASE "+name+" STRATEGY = file_copy"); err != nil {
		t.Fatal(err)
	}
	s := &source{T: t, pg: pg, cfg: Config{DSN: pg.DSN(name), Publication: "pub", Slot: name}}
	s.conn = dial(t, s.cfg.DSN)
	t.Cleanup(func() {
		ctx, cancel := cleanupContext()
		defer cancel()
		if err := DropSlot(ctx, s.cfg); err != nil {
			t.Errorf("drop slot: %v", err)
		}
	})
	return s
}

func cleanupContext() (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.Background(), 20*time.Second)
}

// dial opens a plain session, without the package's pinned settings.
func dial(t *testing.T, dsn string) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := cleanupContext()
		defer cancel()
		_ = conn.Close(ctx)
	})
	return conn
}

func (s *source) exec(statements ...string) {
	s.Helper()
	for _, sql := range statements {
		if _, err := s.conn.PgConn().Exec(s.Context(), sql).ReadAll(); err != nil {
			s.Fatalf("%s: %v", sql, err)
		}
	}
}

// get returns one value as text.
func (s *source) get(sql string, args ...any) (value string) {
	s.Helper()
	if err := s.conn.QueryRow(s.Context(), sql, args...).Scan(&value); err != nil {
		s.Fatalf("%s: %v", sql, err)
	}
	return value
}

// end is the end of the WAL that is flushed, which is all that a walsender sends: the tail of another session's open
// transaction may wait for the background writer.
func (s *source) end() LSN {
	s.Helper()
	var lsn LSN
	if err := lsn.Scan(s.get("SELECT pg_current_wal_flush_lsn()::text")); err != nil {
		s.Fatal(err)
	}
	return lsn
}

func (s *source) createSlot() LSN {
	s.Helper()
	lsn, err := CreateSlot(s.Context(), s.cfg)
	if err != nil {
		s.Fatal(err)
	}
	return lsn
}

func (s *source) table(name string) Table {
	s.Helper()
	for _, t := range s.catalog() {
		if t.FullName() == name {
			return t
		}
	}
	s.Fatalf("no table %s", name)
	return Table{}
}

func (s *source) catalog() []Table {
	s.Helper()
	conn, err := Connect(s.Context(), s.cfg)
	if err != nil {
		s.Fatal(err)
	}
	defer closeConn(s.Context(), conn)
	tables, err := ReadCatalog(s.Context(), conn, s.cfg.Publication)
	if err != nil {
		s.Fatal(err)
	}
	return tables
}

// as returns the configuration of another role with a password.
func (s *source) as(user, password string) Config {
	u, err := url.Parse(s.cfg.DSN)
	if err != nil {
		s.Fatal(err)
	}
	u.User = url.UserPassword(user, password)
	cfg := s.cfg
	cfg.DSN = u.String()
	return cfg
}

// eventually waits for a condition.
func (s *source) eventually(what string, condition func() bool) {
	s.Helper()
	deadline := time.After(20 * time.Second)
	ticker := time.NewTicker(10 * time.Millisecond)
	defer ticker.Stop()
	for !condition() {
		select {
		case <-deadline:
			s.Fatalf("still not: %s", what)
		case <-ticker.C:
		}
	}
}

// follower runs a stream and takes its batches.
type follower struct {
	*source
	stream *Stream
	cancel context.CancelFunc
	ended  chan error
	seen   []Event
	taken  int
}

func (s *source) follow(from LSN, opts StreamOptions) *follower {
	s.Helper()
	stream, err := OpenStream(s.Context(), s.cfg, from, opts)
	if err != nil {
		s.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	f := &follower{source: s, stream: stream, cancel: cancel, ended: make(chan error, 1)}
	go func() { f.ended <- stream.Run(ctx) }()
	s.Cleanup(func() { _ = f.stop() })
	return f
}

// stop ends the stream and returns its error.
func (f *follower) stop() error {
	f.cancel()
	err := <-f.ended
	f.ended <- err
	return err
}

// until takes events until one satisfies the condition, and returns all taken by this call.
func (f *follower) until(what string, condition func(Event) bool) []Event {
	f.Helper()
	start := f.taken
	timeout := time.After(30 * time.Second)
	for {
		for f.taken < len(f.seen) {
			f.taken++
			if condition(f.seen[f.taken-1]) {
				return f.seen[start:f.taken]
			}
		}
		select {
		case b, ok := <-f.stream.Batches():
			if !ok {
				f.Fatalf("stream ended before %s: %v", what, f.stop())
			}
			f.seen = append(f.seen, b.Events...)
			f.stream.Done(b)
		case <-timeout:
			f.Fatalf("no %s after %d events", what, len(f.seen))
		}
	}
}

// transactions takes events until n transactions are complete, and drops Progress.
func (f *follower) transactions(n int) []Event {
	f.Helper()
	start := f.taken
	f.until(fmt.Sprintf("%d commits", n), func(e Event) bool {
		if e.Kind == Commit {
			n--
		}
		return n == 0
	})
	var events []Event
	for _, e := range f.seen[start:f.taken] {
		if e.Kind != Progress {
			events = append(events, e)
		}
	}
	return events
}

// changes is transactions without Begin and Commit.
func (f *follower) changes(n int) []Event {
	f.Helper()
	var events []Event
	for _, e := range f.transactions(n) {
		if e.Kind == Change || e.Kind == Truncate {
			events = append(events, e)
		}
	}
	return events
}

// show prints a change as op, old row (full in braces), new row.
func show(e Event) string {
	if e.Kind == Truncate {
		names := make([]string, len(e.Truncated))
		for i, rel := range e.Truncated {
			names[i] = rel.Name
		}
		return "T " + strings.Join(names, ",")
	}
	parts := []string{string(e.Op)}
	if e.Old != nil {
		old := showTuple(e.Old)
		if e.OldFull {
			old = "{" + old + "}"
		}
		parts = append(parts, old, "→")
	}
	if e.New != nil {
		parts = append(parts, showTuple(e.New))
	}
	return strings.Join(parts, " ")
}

func showTuple(t Tuple) string {
	values := make([]string, len(t))
	for i, v := range t {
		switch v.Kind {
		case Null:
			values[i] = "-"
		case Unchanged:
			values[i] = "?"
		default:
			values[i] = string(v.Text())
			if len(v.Text()) > 100 {
				values[i] = fmt.Sprintf("%c×%d", v.Text()[0], len(v.Text()))
			}
		}
	}
	return strings.Join(values, "|")
}

func showAll(events []Event) string {
	lines := make([]string, len(events))
	for i, e := range events {
		lines[i] = show(e)
	}
	return strings.Join(lines, "\n")
}

func (s *source) equal(what, got, want string) {
	s.Helper()
	if got != want {
		s.Errorf("%s:\n%s\nwant:\n%s", what, got, want)
	}
}
