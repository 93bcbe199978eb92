package engine

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tidemark-db/tidemark/internal/fault"
)

func TestPostgres(t *testing.T) {
	for _, version := range []string{"18", "15"} {
		t.Run(version, func(t *testing.T) {
			t.Parallel()
			ctx := testContext(t)
			p, err := StartPostgres(ctx, PostgresOptions{
				Version: version, Progress: os.Stderr,
				Settings: map[string]string{"application_name": "it's", "fsync": "off"},
			})
			must(t, err)
			defer func() { must(t, p.Stop(context.WithoutCancel(ctx))) }()
			conn := connectPostgres(ctx, t, p)
			var number, level, slots, name string
			must(t, conn.QueryRow(ctx, `SELECT current_setting('server_version'), current_setting('wal_level'),
				current_setting('max_replication_slots'), current_setting('application_name')`).
				Scan(&number, &level, &slots, &name))
			if !strings.HasPrefix(number, version+".") || level != "logical" || slots != "20" || name != "it's" {
				t.Errorf("got version %s, wal_level %s, %s slots, application_name %s", number, level, slots, name)
			}
			_, err = conn.Exec(ctx, "CREATE TABLE kept AS SELECT 1 AS a")
			must(t, err)
			_, err = conn.Exec(ctx, "SELECT pg_create_logical_replication_slot('kept', 'pgoutput')")
			must(t, err)
			keepsDataAfterKill(ctx, t, p)
		})
	}
}

func keepsDataAfterKill(ctx context.Context, t *testing.T, p *Postgres) {
	t.Helper()
	port, pid := p.Port(), p.Pid()
	must(t, p.Kill())
	if alive(pid) || p.Pid() != 0 {
		t.Error("the postmaster outlived Kill")
	}
	if err := p.Kill(); !errors.Is(err, errNotRunning) {
		t.Errorf("second Kill: %v", err)
	}
	must(t, p.Start(ctx))
	if p.Port() != port || p.Pid() == pid || p.Pid() == 0 {
		t.Errorf("after Start: port %d, pid %d; were %d, %d", p.Port(), p.Pid(), port, pid)
	}
	must(t, p.Restart(ctx))
	var rows int
	must(t, connectPostgres(ctx, t, p).QueryRow(ctx,
		"SELECT (SELECT count(*) FROM kept) + (SELECT count(*) FROM pg_replication_slots)").Scan(&rows))
	if rows != 2 {
		t.Errorf("%d of the table's row and the slot survived, want both", rows)
	}
}

func TestPostgresPause(t *testing.T) {
	ctx := testContext(t)
	p, err := StartPostgres(ctx, PostgresOptions{})
	must(t, err)
	conn := connectPostgres(ctx, t, p)
	must(t, p.Pause())
	answered := make(chan error, 1)
	go func() { answered <- conn.Ping(ctx) }() // ends after Resume; received below
	select {
	case err := <-answered:
		t.Errorf("a paused server answered: %v", err)
	case <-time.After(300 * time.Millisecond):
	}
	must(t, p.Resume())
	must(t, <-answered)
	must(t, p.Pause())
	must(t, p.Stop(ctx)) // a paused server stops as well
	if exists(p.Dir()) {
		t.Error("the temporary folder is left")
	}
	must(t, p.Stop(ctx))
}

func TestPostgresKeptFolder(t *testing.T) {
	ctx := testContext(t)
	dir := openFolder(t)
	p, err := StartPostgres(ctx, PostgresOptions{Dir: dir})
	must(t, err)
	must(t, p.Stop(ctx))
	_, err = StartPostgres(ctx, PostgresOptions{Dir: dir, Version: "15"})
	if err == nil || fault.Try(err) == "" || !strings.Contains(err.Error(), "PostgreSQL 18") {
		t.Errorf("PostgreSQL 15 on data of 18: %v", err)
	}
	p, err = StartPostgres(ctx, PostgresOptions{Dir: dir, Settings: map[string]string{"wal_level": "bogus"}})
	if err == nil || !strings.Contains(err.Error(), "bogus") {
		t.Errorf("a bad setting: %v; want the log's words", err)
		_ = p.Stop(ctx)
	}
	p, err = StartPostgres(ctx, PostgresOptions{Dir: dir, Settings: map[string]string{"wal_level": "replica"}})
	must(t, err)
	must(t, p.Stop(ctx))
}

// openFolder is a folder that PostgreSQL's user can reach where we are root; t.TempDir is root's alone.
func openFolder(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "tidemark-test-")
	must(t, err)
	t.Cleanup(func() { must(t, os.RemoveAll(dir)) })
	return dir
}

// Root's PostgreSQL runs as another user, who cannot enter a folder of root's; anybody else's runs as themselves.
func TestPostgresPrivateFolder(t *testing.T) {
	ctx := testContext(t)
	private := t.TempDir()
	must(t, os.Chmod(private, 0o700))
	p, err := StartPostgres(ctx, PostgresOptions{Dir: filepath.Join(private, "pg")})
	if err == nil {
		must(t, p.Stop(ctx))
	}
	if root := os.Geteuid() == 0; root != (err != nil) || root != (fault.Try(err) != "") {
		t.Errorf("started by root: %v; %v (%s)", root, err, fault.Try(err))
	}
}

func TestClickHouse(t *testing.T) {
	ctx := testContext(t)
	config := filepath.Join(t.TempDir(), "more.xml")
	must(t, os.WriteFile(config, []byte("<clickhouse><merge_tree><parts_to_throw_insert>77</parts_to_throw_insert></merge_tree></clickhouse>"), 0o600))
	c, err := StartClickHouse(ctx, ClickHouseOptions{
		Progress: os.Stderr, ConfigFile: config, Settings: map[string]string{"merge_tree/max_parts_in_total": "55"},
	})
	must(t, err)
	defer func() { must(t, c.Stop(ctx)) }()
	conn := connectClickHouse(t, c)
	var version string
	var queries, lifetime, throw, total uint64
	// The query by which the start saw that the server answers may not have left the list yet.
	must(t, conn.QueryRow(ctx, `SELECT version(), (SELECT count() FROM system.processes WHERE query != 'SELECT groupArray(path) FROM system.disks'),
		anyIf(toUInt64OrZero(value), name = 'old_parts_lifetime'), anyIf(toUInt64OrZero(value), name = 'parts_to_throw_insert'),
		anyIf(toUInt64OrZero(value), name = 'max_parts_in_total')
		FROM system.merge_tree_settings`).Scan(&version, &queries, &lifetime, &throw, &total))
	if !strings.HasPrefix(version, "26.7.") || queries != 1 || lifetime != 480 || throw != 77 || total != 55 {
		t.Errorf("got version %s, %d queries, settings %d, %d, %d", version, queries, lifetime, throw, total)
	}
	must(t, conn.Exec(ctx, "CREATE DATABASE shop ENGINE = Atomic"))
	must(t, conn.Exec(ctx, "CREATE TABLE shop.kept (a UInt8) ENGINE = MergeTree ORDER BY a"))
	must(t, conn.Exec(ctx, "INSERT INTO shop.kept VALUES (1)"))
	must(t, c.Kill())
	must(t, c.Start(ctx))
	must(t, conn.Exec(ctx, "INSERT INTO shop.kept VALUES (2)"))
	must(t, c.Restart(ctx))
	var rows uint64
	must(t, connectClickHouse(t, c).QueryRow(ctx, "SELECT count() FROM shop.kept").Scan(&rows))
	if rows != 2 {
		t.Errorf("%d rows after Kill and Restart, want 2", rows)
	}
	must(t, c.Pause())
	must(t, c.Resume())
}

func TestUnknownVersion(t *testing.T) {
	_, err := StartPostgres(testContext(t), PostgresOptions{Version: "9"})
	if err == nil || !strings.Contains(fault.Try(err), "14, 15, 16, 17, 18") {
		t.Errorf("PostgreSQL 9: %v", err)
	}
}

func TestPgbench(t *testing.T) {
	ctx := testContext(t)
	path, err := Pgbench(ctx, os.Stderr)
	must(t, err)
	must(t, runs(ctx, path))
}
