package cdc

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/tidemark-db/tidemark/internal/engine"
	"github.com/tidemark-db/tidemark/internal/fault"
)

// found matches the findings, each against "part of what | part of try".
func (s *source) found(cfg Config, tables []string, want ...string) {
	s.Helper()
	found := Preflight(s.Context(), cfg, tables)
	if len(found) != len(want) {
		s.Errorf("%d findings instead of %d:", len(found), len(want))
		for _, err := range found {
			s.Errorf("  %v | %s", err, fault.Try(err))
		}
		return
	}
	for i, err := range found {
		what, try, _ := strings.Cut(want[i], " | ")
		if !strings.Contains(err.Error(), what) || !strings.Contains(fault.Try(err), try) || fault.Try(err) == "" {
			s.Errorf("finding %q | %q instead of %q | %q", err, fault.Try(err), what, try)
		}
	}
}

func TestPreflightTables(t *testing.T) {
	onEach(t, func(s *source) {
		s.exec("CREATE SCHEMA app", "CREATE TABLE app.keyed (id int PRIMARY KEY)", `CREATE TABLE app."No Key" (a int)`,
			"CREATE TABLE app.deferrable (id int PRIMARY KEY DEFERRABLE)", "CREATE TABLE app.fulls (a int)", "ALTER TABLE app.fulls REPLICA IDENTITY FULL",
			"CREATE TABLE app.nothing (id int PRIMARY KEY)", "ALTER TABLE app.nothing REPLICA IDENTITY NOTHING", "CREATE TABLE app.outside (id int)")
		s.found(s.cfg, []string{"app.keyed", "app.No Key", "app.absent"},
			`publication does not exist: "pub" | CREATE PUBLICATION "pub" FOR TABLE "app"."keyed", "app"."No Key", "app"."absent"`,
			"table app.absent does not exist | ")
		s.found(s.cfg, nil, `publication does not exist | CREATE PUBLICATION "pub" FOR ALL TABLES`)
		s.exec(`CREATE PUBLICATION pub FOR TABLE app.keyed`)
		s.found(s.cfg, []string{"app.keyed"})
		s.found(s.cfg, nil)
		s.found(s.cfg, []string{"app.keyed", "app.outside", "app.absent"},
			`table app.outside is not in publication "pub" | ALTER PUBLICATION "pub" ADD TABLE "app"."outside"`, "app.absent does not exist | ")
		s.exec(`ALTER PUBLICATION pub ADD TABLE app."No Key", app.deferrable, app.fulls, app.nothing`)
		s.found(s.cfg, nil, "app.No Key has no replica identity | primary key", "app.deferrable has no replica identity | not deferrable",
			"app.fulls has REPLICA IDENTITY FULL | primary key", "app.nothing has REPLICA IDENTITY NOTHING | REPLICA IDENTITY DEFAULT")
		for _, err := range Preflight(t.Context(), s.cfg, nil) {
			if errors.Is(err, ErrNoKey) == strings.Contains(err.Error(), "app.nothing") { // which is refused, not taken for inserts
				t.Errorf("%v is no warning", err)
			}
		}
		s.exec("ALTER PUBLICATION pub SET (publish = 'insert')")
		s.found(s.cfg, []string{"app.fulls", "app.No Key"})
		s.found(s.cfg, []string{"app.keyed"}, "does not send: update, delete, truncate | SET (publish")
		s.exec("DROP PUBLICATION pub", "CREATE PUBLICATION pub")
		s.found(s.cfg, nil, `publication "pub" has no tables | ADD TABLE`)
	})
}

func TestPreflightRights(t *testing.T) {
	onEach(t, func(s *source) {
		role := s.cfg.Slot + "_role"
		s.exec("CREATE ROLE "+role+" LOGIN PASSWORD 'x'", "CREATE TABLE t (id int PRIMARY KEY, secret text)", "CREATE TABLE rls (id int PRIMARY KEY)",
			"ALTER TABLE rls ENABLE ROW LEVEL SECURITY", "CREATE PUBLICATION pub FOR ALL TABLES")
		cfg := s.as(role, "x")
		s.found(cfg, nil, "may not open a replication connection | ALTER ROLE", "may not read table public.rls | GRANT SELECT",
			"row-level security hides rows of table public.rls | BYPASSRLS", `may not read table public.t | GRANT SELECT ON "public"."t"`)
		s.exec("ALTER ROLE "+role+" REPLICATION BYPASSRLS", "GRANT SELECT ON rls TO "+role, "GRANT SELECT (id, secret) ON t TO "+role)
		s.found(cfg, nil)
		// These rights are all that is needed.
		s.exec("INSERT INTO t VALUES (1, 'a')")
		s.cfg = cfg
		s.createSlot()
		s.equal("copy", strings.Join(s.collect(s.barrier(), CopyOptions{Table: s.table("public.t"), Workers: 2}), "\n"), "1|a")
		f := s.follow(0, StreamOptions{})
		s.exec("INSERT INTO t VALUES (2, 'b')")
		s.equal("stream", showAll(f.changes(1)), "I 2|b")
		lock, err := AcquireLock(t.Context(), cfg)
		if err != nil {
			t.Fatal(err)
		}
		_ = lock.Close()
		_ = f.stop()
		if err := DropSlot(t.Context(), cfg); err != nil {
			t.Fatal(err)
		}
		s.exec("DROP OWNED BY "+role, "DROP ROLE "+role)
		s.conn = dial(t, s.pg.DSN("postgres"))
		s.cfg.DSN = s.pg.DSN("postgres") // for the clean-up: the role is gone
	})
}

func TestPreflightSlot(t *testing.T) {
	onEach(t, func(s *source) {
		s.exec("CREATE TABLE t (id int PRIMARY KEY)", "CREATE PUBLICATION pub FOR TABLE t")
		s.createSlot()
		s.found(s.cfg, nil)
		f := s.follow(0, StreamOptions{})
		s.found(s.cfg, nil, fmt.Sprintf("is in use by the process %d | stop", f.stream.conn.PID()))
		_ = f.stop()
		other := s.cfg
		other.DSN = s.pg.DSN("postgres")
		found := Preflight(t.Context(), other, nil)
		if len(found) != 2 || !strings.Contains(found[0].Error(), fmt.Sprintf("database %q, not to pgoutput and \"postgres\"", s.cfg.Slot)) {
			t.Errorf("slot of another database: %v", found)
		}
	})
}

// Servers that are set up wrongly, one fault per server not to be told apart otherwise.
func TestPreflightServer(t *testing.T) {
	ctx := context.Background()
	pg, err := engine.StartPostgres(ctx, engine.PostgresOptions{Version: versions[0], Settings: map[string]string{
		"wal_level": "replica", "max_wal_senders": "1", "max_replication_slots": "1", "max_slot_wal_keep_size": "1MB", "fsync": "off",
		"min_wal_size": "32MB", "max_wal_size": "32MB",
	}})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := pg.Stop(ctx); err != nil {
			t.Error(err)
		}
	}()
	s := &source{T: t, pg: pg, cfg: Config{DSN: pg.DSN("postgres"), Publication: "pub", Slot: "lost"}}
	s.conn = dial(t, s.cfg.DSN)
	s.exec("CREATE TABLE t (id int PRIMARY KEY, a text)", "CREATE PUBLICATION pub FOR TABLE t")
	s.found(s.cfg, nil, `wal_level of PostgreSQL is "replica" | ALTER SYSTEM SET wal_level = logical`,
		"1 of 1 replication slots are free, 2 are needed | max_replication_slots", "1 of 1 walsenders (max_wal_senders) are free, 2 are needed | max_wal_senders")
	s.exec("ALTER SYSTEM SET wal_level = logical", "ALTER SYSTEM SET max_wal_senders = 3", "ALTER SYSTEM SET max_replication_slots = 3")
	if err := pg.Restart(ctx); err != nil {
		t.Fatal(err)
	}
	s.conn = dial(t, s.cfg.DSN)
	s.createSlot()
	s.found(s.cfg, nil)
	for range 3 {
		s.exec("INSERT INTO t SELECT i, repeat('x', 1000) FROM generate_series(1, 30000) i", "TRUNCATE t", "SELECT pg_switch_wal()", "CHECKPOINT")
	}
	s.found(s.cfg, nil, "replication slot is invalidated | uninstall --slot --data")
	if _, err := OpenStream(ctx, s.cfg, 0, StreamOptions{}); !errors.Is(err, ErrSlotLost) {
		t.Errorf("stream from a lost slot: %v", err)
	}
}
