// Package rig gives tests a real PostgreSQL, a real ClickHouse, and bridges between databases of their own.
package rig

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/tidemark-db/tidemark/internal/engine"
)

// Servers are the two engines of a test binary. Tests of one binary share them and have databases of their own.
type Servers struct {
	Postgres   *engine.Postgres   // nil when TIDEMARK_TEST_POSTGRES_DSN names a server
	ClickHouse *engine.ClickHouse // nil when TIDEMARK_TEST_CLICKHOUSE_DSN names a server
	postgres   func(database string) string
	clickhouse func(database string) string
	http       string // address of ClickHouse's HTTP port
	roles      bool
	users      string // folder with the users of ClickHouse
}

// Options of the servers.
type Options struct {
	PostgresVersion  string
	PostgresSettings map[string]string
	// ClickHouseSettings are read again whenever the server starts: a test may change them and restart it.
	ClickHouseSettings map[string]string
	Roles              bool // bridges and readers work with the roles of deploy, not as administrators
}

// Start starts the servers, or takes those that the environment names.
func Start(ctx context.Context, o Options) (*Servers, error) {
	s := &Servers{roles: o.Roles}
	if dsn := os.Getenv("TIDEMARK_TEST_POSTGRES_DSN"); dsn != "" {
		s.postgres = func(database string) string { return withDatabase(dsn, database) }
	} else {
		pg, err := engine.StartPostgres(ctx, engine.PostgresOptions{Version: o.PostgresVersion, Settings: o.PostgresSettings, Progress: os.Stderr})
		if err != nil {
			return nil, fmt.Errorf("start PostgreSQL: %w", err)
		}
		s.Postgres, s.postgres = pg, pg.DSN
	}
	if dsn := os.Getenv("TIDEMARK_TEST_CLICKHOUSE_DSN"); dsn != "" {
		s.http = os.Getenv("TIDEMARK_TEST_CLICKHOUSE_HTTP") // host:port
		s.clickhouse = func(database string) string { return withDatabase(dsn, database) }
	} else {
		if err := s.startClickHouse(ctx, o.ClickHouseSettings); err != nil {
			s.Stop()
			return nil, fmt.Errorf("start ClickHouse: %w", err)
		}
	}
	return s, nil
}

func (s *Servers) startClickHouse(ctx context.Context, settings map[string]string) (err error) {
	if settings == nil {
		settings = map[string]string{}
	}
	if s.roles {
		if s.users, err = os.MkdirTemp("", "tidemark-users-"); err != nil {
			return err
		}
		if settings["users_config"], err = writeUsers(s.users); err != nil {
			return err
		}
		settings["access_control_improvements/select_from_system_db_requires_grant"] = "true" // the server's default
		settings["access_control_improvements/table_engines_require_grant"] = "true"
	}
	ch, err := engine.StartClickHouse(ctx, engine.ClickHouseOptions{Settings: settings, Progress: os.Stderr})
	if err != nil {
		return err
	}
	s.ClickHouse, s.clickhouse = ch, ch.DSN
	s.http = net.JoinHostPort("127.0.0.1", strconv.Itoa(ch.HTTPPort()))
	return nil
}

// Stop stops what Start started.
func (s *Servers) Stop() {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	if s.ClickHouse != nil {
		_ = s.ClickHouse.Stop(ctx)
	}
	if s.Postgres != nil {
		_ = s.Postgres.Stop(ctx)
	}
	if s.users != "" {
		_ = os.RemoveAll(s.users)
	}
}

func withDatabase(dsn, database string) string {
	head, query, _ := strings.Cut(dsn, "?")
	scheme, rest, _ := strings.Cut(head, "://")
	host, _, _ := strings.Cut(rest, "/")
	out := scheme + "://" + host + "/" + database
	if query != "" {
		out += "?" + query
	}
	return out
}

// Rig is one test's pair of databases.
type Rig struct {
	Name    string // of both databases, and of the slot
	PG      *pgxpool.Pool
	CH      driver.Conn // as administrator
	Servers *Servers
	Dir     string
	t       testing.TB
	ended   atomic.Pointer[error] // of the last bridge that failed
}

var serial atomic.Int64

// rigName is the name of the databases of a test binary's rig.
func rigName(serial int64) string { return fmt.Sprintf("rig_%d_%d", os.Getpid(), serial) }

// creation is held while what all rigs of a server share is changed.
var creation sync.Mutex

// New creates a database in PostgreSQL and runs the setup statements there. Cleanup drops both databases and the slot.
func New(t testing.TB, s *Servers, setup ...string) *Rig {
	t.Helper()
	return NewEncoded(t, s, "UTF8", setup...)
}

// NewEncoded is New with a database in another encoding.
func NewEncoded(t testing.TB, s *Servers, encoding string, setup ...string) *Rig {
	t.Helper()
	ctx := t.Context()
	r := &Rig{Name: rigName(serial.Add(1)), Servers: s, Dir: t.TempDir(), t: t}
	admin, err := pgxpool.New(ctx, s.postgres("postgres"))
	r.must(err)
	_, err = admin.Exec(ctx, "CREATE DATABASE "+r.Name+" TEMPLATE template0 LOCALE 'C' ENCODING '"+encoding+"'")
	r.must(err)
	r.PG, err = pgxpool.New(ctx, s.postgres(r.Name))
	r.must(err)
	r.CH = r.connect("", nil, func(*clickhouse.Options) {})
	if s.roles {
		r.grantSource(r.PG)
	}
	t.Cleanup(func() { r.drop(admin) })
	for _, st := range setup {
		_, err := r.PG.Exec(ctx, st)
		r.must(err)
	}
	return r
}

// Reader opens a connection as a BI tool would, with settings of its own.
func (r *Rig) Reader(settings clickhouse.Settings) driver.Conn {
	r.t.Helper()
	return r.connect(r.reader(), settings, func(*clickhouse.Options) {})
}

// HTTPReader is a Reader over HTTP.
func (r *Rig) HTTPReader(settings clickhouse.Settings) driver.Conn {
	r.t.Helper()
	return r.connect(r.reader(), settings, func(o *clickhouse.Options) {
		*o = clickhouse.Options{Protocol: clickhouse.HTTP, Addr: []string{r.Servers.http}, Auth: o.Auth}
	})
}

// reader is the user of readers, "" for that of the servers.
func (r *Rig) reader() string {
	if r.Servers.roles && r.Servers.ClickHouse != nil {
		return readerUser
	}
	return ""
}

func (r *Rig) connect(user string, settings clickhouse.Settings, change func(*clickhouse.Options)) driver.Conn {
	r.t.Helper()
	opts, err := clickhouse.ParseDSN(r.Servers.clickhouse("default"))
	r.must(err)
	if user != "" {
		opts.Auth = clickhouse.Auth{Username: user}
	}
	change(opts)
	opts.Settings = settings
	opts.MaxOpenConns = 8
	conn, err := clickhouse.Open(opts)
	r.must(err)
	r.t.Cleanup(func() { _ = conn.Close() })
	return conn
}

// drop removes both databases and the slot, whatever state the test left them in.
func (r *Rig) drop(admin *pgxpool.Pool) {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	r.PG.Close()
	for _, st := range []string{
		"SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots WHERE database = '" + r.Name + "' AND active_pid IS NOT NULL",
		"SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE database = '" + r.Name + "'",
		"DROP DATABASE IF EXISTS " + r.Name + " WITH (FORCE)",
	} {
		if _, err := admin.Exec(ctx, st); err != nil {
			r.t.Logf("clean up: %v", err)
		}
	}
	admin.Close()
	conn := r.connect("", nil, func(*clickhouse.Options) {})
	for _, name := range []string{r.Name, r.Name + "_tidemark"} {
		if err := conn.Exec(ctx, "DROP DATABASE IF EXISTS "+name+" SYNC"); err != nil {
			r.t.Logf("clean up: %v", err)
		}
	}
}

func (r *Rig) must(err error) {
	r.t.Helper()
	if err != nil {
		r.t.Fatal(err)
	}
}

// SourceDSN and TargetDSN are what a configuration of a bridge between the two databases names.
func (r *Rig) SourceDSN() string {
	if r.Servers.roles {
		return as(bridgeUser, r.AdminDSN())
	}
	return r.AdminDSN()
}

// TargetDSN names the ClickHouse database of the views.
func (r *Rig) TargetDSN() string {
	if r.Servers.roles && r.Servers.ClickHouse != nil {
		return as(bridgeUser+":"+BridgePassword, r.Servers.clickhouse(r.Name))
	}
	return r.Servers.clickhouse(r.Name)
}

// AdminDSN names ClickHouse as its administrator.
func (s *Servers) AdminDSN() string { return s.clickhouse("default") }

// AdminDSN names the PostgreSQL database as its owner.
func (r *Rig) AdminDSN() string { return r.Servers.postgres(r.Name) }

// ConfigFile writes a configuration: the two servers, publication "tidemark", and what more says.
func (r *Rig) ConfigFile(more string) string {
	r.t.Helper()
	text := fmt.Sprintf("source:\n  dsn: %s\n  publication: tidemark\n  slot: %s\n  time_zone: %s\nclickhouse:\n  dsn: %s\nhttp: {listen: \"\"}\n%s\n",
		r.SourceDSN(), r.Name, zone(more), r.TargetDSN(), strings.ReplaceAll(more, "#zone", "# zone"))
	path := filepath.Join(r.Dir, "tidemark.yaml")
	r.must(os.WriteFile(path, []byte(text), 0o600))
	return path
}

// zone finds "#zone NAME" in the text, for tests of time zones.
func zone(more string) string {
	if _, after, ok := strings.Cut(more, "#zone "); ok {
		name, _, _ := strings.Cut(after, "\n")
		return strings.TrimSpace(name)
	}
	return "UTC"
}

// HTTP is the address of ClickHouse's HTTP port.
func (s *Servers) HTTP() string { return s.http }
