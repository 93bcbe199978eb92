package e2e

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/tidemark-db/tidemark/internal/engine"
	"github.com/tidemark-db/tidemark/internal/rig"
)

// TestSourceLost takes from a stopped bridge what it needs to go on. It has to stop and say what is lost; the command that
// it names has to repair it.
func TestSourceLost(t *testing.T) {
	s := ownServers(t)
	for _, c := range []struct {
		name string
		lose func(*testing.T, *auditRig)
		want []string
	}{
		{"slot dropped", func(t *testing.T, r *auditRig) {
			r.run("SELECT pg_drop_replication_slot('" + r.Name + "')")
		}, []string{"slot", "is gone", "lost"}},
		{"slot invalidated", loseWAL, []string{"invalidated", "lost", "max_slot_wal_keep_size"}},
		{"slot ahead", func(t *testing.T, r *auditRig) {
			r.run("UPDATE stock SET v = v + 1")
			r.run("SELECT pg_replication_slot_advance('" + r.Name + "', pg_current_wal_lsn())")
		}, []string{"restored", "lost"}},
		{"ClickHouse restored", func(t *testing.T, r *auditRig) {
			restore(t, s.ClickHouse, func() { r.live("UPDATE stock SET v = v + 2") })
		}, []string{"ClickHouse was restored", "lost"}},
		{"PostgreSQL restored", func(t *testing.T, r *auditRig) {
			restore(t, s.Postgres, func() { r.live("UPDATE stock SET v = v + 3") })
		}, []string{"restored", "lost"}},
		{"PostgreSQL recovered to a new timeline", func(t *testing.T, r *auditRig) {
			restore(t, s.Postgres, func() { r.live("UPDATE stock SET v = v + 4") }, "recovery.signal")
			r.Eventually(time.Minute, "the end of recovery", func(ctx context.Context) error {
				_, err := r.PG.Exec(ctx, "CREATE TABLE recovered ()")
				return err
			})
		}, []string{"timeline 1", "timeline 2", "restored or failed over"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newAuditRigOn(t, s, lateTables("stock")...)
			r.file = r.config("tick: 100ms")
			r.live("UPDATE stock SET v = 0")
			c.lose(t, r)
			r.refuses(t, command(t, r.file, "run"), c.want)
		})
	}
}

// TestSourceLostWhileRunning takes from a running bridge what it needs, which it finds out when it is connected again.
func TestSourceLostWhileRunning(t *testing.T) {
	s := ownServers(t)
	for _, c := range []struct {
		name string
		lose func(*testing.T, *auditRig, *rig.Process)
		want []string
	}{
		{"slot dropped", func(t *testing.T, r *auditRig, _ *rig.Process) { dropSlot(r) }, []string{"slot", "is gone", "lost"}},
		{"slot invalidated while ClickHouse is stopped", func(t *testing.T, r *auditRig, _ *rig.Process) {
			must(t, s.ClickHouse.Pause())
			loseWAL(t, r)
			must(t, s.ClickHouse.Resume())
		}, []string{"invalidated", "lost", "max_slot_wal_keep_size"}},
		{"slot invalidated while the bridge is stopped", func(t *testing.T, r *auditRig, p *rig.Process) {
			must(t, p.Pause())
			loseWAL(t, r)
			must(t, p.Resume())
		}, []string{"invalidated", "lost", "max_slot_wal_keep_size"}},
		{"ClickHouse restored", func(t *testing.T, r *auditRig, _ *rig.Process) {
			restore(t, s.ClickHouse, func() { r.bring("UPDATE stock SET v = v + 2") })
		}, []string{"ClickHouse was restored", "lost"}},
		{"PostgreSQL restored", func(t *testing.T, r *auditRig, _ *rig.Process) {
			restore(t, s.Postgres, func() { r.bringFar("UPDATE stock SET v = v + 3") })
		}, []string{"restored", "lost"}},
		{"PostgreSQL recovered to a new timeline", func(t *testing.T, r *auditRig, _ *rig.Process) {
			restore(t, s.Postgres, func() { r.bringFar("UPDATE stock SET v = v + 4") }, "recovery.signal")
		}, []string{"timeline 1", "timeline 2", "restored or failed over"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newAuditRigOn(t, s, lateTables("stock")...)
			r.file = r.config("tick: 100ms")
			p := r.Spawn(r.file)
			r.bring("UPDATE stock SET v = 0")
			c.lose(t, r, p)
			r.Eventually(commandPatience, "the end of the bridge", func(context.Context) error {
				if !p.Ended() {
					return errors.New("it runs")
				}
				return nil
			})
			r.refuses(t, outcome{code: p.Terminate(), stderr: r.Log()}, c.want)
		})
	}
}

// dropSlot drops the slot of a running bridge, in one of the moments in which nobody reads it.
func dropSlot(r *auditRig) {
	r.t.Helper()
	r.Eventually(time.Minute, "the slot to be dropped", func(ctx context.Context) error {
		if _, err := r.PG.Exec(ctx, "SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots WHERE active AND slot_name = $1", r.Name); err != nil {
			return err
		}
		_, err := r.PG.Exec(ctx, "SELECT pg_drop_replication_slot($1)", r.Name)
		return err
	})
}

// refuses makes sure that a bridge that lost its source has ended with an error and made no other slot, that the views show
// what they last did, and that the commands of the remedy repair it.
func (r *auditRig) refuses(t *testing.T, ended outcome, want []string) {
	t.Helper()
	ended.fails(t, 1, want)
	r.PG.Reset() // its connections may have died with the server
	if usable := r.usableSlot(t); usable && slices.Contains(want, "slot") || usable && slices.Contains(want, "invalidated") {
		t.Error("there is another slot")
	}
	if _, err := r.read(t.Context(), r.CH, ""); err != nil {
		t.Errorf("the last state: %v", err)
	}
	r.repair(t, ended.stderr)
	r.live("UPDATE stock SET v = v + 5")
}

// usableSlot reports whether there is a slot of the bridge's name that PostgreSQL has kept the WAL for.
func (r *auditRig) usableSlot(t *testing.T) (usable bool) {
	t.Helper()
	must(t, r.PG.QueryRow(t.Context(), "SELECT count(*) > 0 FROM pg_replication_slots WHERE slot_name = $1 AND wal_status <> 'lost'", r.Name).Scan(&usable))
	return usable
}

// TestAnotherCluster has another PostgreSQL answer at the source's address: a cluster of its own, with the same tables,
// publication and slot. Nothing may be done to either side; with the first cluster the bridge goes on, and with the other after
// the commands of the remedy.
func TestAnotherCluster(t *testing.T) {
	t.Parallel()
	s := ownServers(t)
	r := newAuditRigOn(t, s, lateTables("stock")...)
	r.file = r.config("tick: 100ms")
	r.live("UPDATE stock SET v = 0")
	other, file := r.cluster(t)
	first, second := systemOf(t, r.PG), systemOf(t, other)
	before, slot := r.store().newest(t), slotOf(t, other, r.Name)
	if first == second {
		t.Fatalf("both are system %s", first)
	}
	refused := command(t, file, "run")
	refused.fails(t, 1, []string{"another source", "system " + first, "system " + second})
	if after := r.store().newest(t); after.Epoch != before.Epoch || after.Term != before.Term {
		t.Errorf("the newest mark was %s and is %s", before, after)
	}
	if now := slotOf(t, other, r.Name); now != slot {
		t.Errorf("the other cluster's slot was %s and is %s", slot, now)
	}
	r.live("UPDATE stock SET v = v + 1")
	r.PG, r.file = other, file
	r.repair(t, refused.stderr)
	r.live("UPDATE stock SET v = v + 2")
}

// cluster starts another PostgreSQL that has all that the rig's has, with other values and a slot, and writes a configuration
// of a bridge of it.
func (r *auditRig) cluster(t *testing.T) (other *pgxpool.Pool, file string) {
	t.Helper()
	pg, err := engine.StartPostgres(t.Context(), engine.PostgresOptions{Version: "18"})
	must(t, err)
	t.Cleanup(func() { _ = pg.Stop(context.Background()) })
	admin, err := pgxpool.New(t.Context(), pg.DSN("postgres"))
	must(t, err)
	defer admin.Close()
	_, err = admin.Exec(t.Context(), "CREATE DATABASE "+r.Name)
	must(t, err)
	other, err = pgxpool.New(t.Context(), pg.DSN(r.Name))
	must(t, err)
	t.Cleanup(other.Close)
	for _, statement := range append(auditStatements(r.tables), "UPDATE stock SET v = -1", "SELECT pg_create_logical_replication_slot('"+r.Name+"', 'pgoutput')") {
		_, err := other.Exec(t.Context(), statement)
		must(t, err)
	}
	return other, write(t, strings.ReplaceAll(read(t, r.file), r.SourceDSN(), pg.DSN(r.Name)))
}

// systemOf is PostgreSQL's identifier of a cluster.
func systemOf(t *testing.T, pg *pgxpool.Pool) (id string) {
	t.Helper()
	must(t, pg.QueryRow(t.Context(), "SELECT system_identifier::text FROM pg_control_system()").Scan(&id))
	return id
}

// slotOf is what a slot stands at.
func slotOf(t *testing.T, pg *pgxpool.Pool, name string) (text string) {
	t.Helper()
	must(t, pg.QueryRow(t.Context(), "SELECT concat_ws(' ', restart_lsn, confirmed_flush_lsn, active) FROM pg_replication_slots WHERE slot_name = $1", name).Scan(&text))
	return text
}

// ownServers are a pair of engines that the test may kill.
func ownServers(t *testing.T) *rig.Servers {
	t.Helper()
	return ownServersWith(t, rig.Options{})
}

// ownServersWith are such with options.
func ownServersWith(t *testing.T, o rig.Options) *rig.Servers {
	t.Helper()
	o.PostgresVersion = "18"
	s, err := rig.Start(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Stop)
	if s.Postgres == nil || s.ClickHouse == nil {
		t.Fatal("this test kills the servers, so it needs its own")
	}
	return s
}

// named finds a command in a remedy.
var named = regexp.MustCompile("`tidemark ([^`]*)`")

// repair runs the commands that a remedy names.
func (r *auditRig) repair(t *testing.T, stderr string) {
	t.Helper()
	_, remedy, _ := strings.Cut(stderr, "Try: ")
	found := named.FindAllStringSubmatch(remedy, -1)
	if len(found) == 0 {
		t.Fatalf("no command in %q", remedy)
	}
	for _, match := range found {
		command(t, r.file, append(strings.Fields(match[1]), "--yes")...).works(t)
	}
}

func (r *auditRig) run(sql string) {
	r.t.Helper()
	if _, err := r.PG.Exec(r.t.Context(), sql); err != nil {
		r.t.Fatal(err)
	}
}

// live lets a bridge run until it has brought a change.
func (r *auditRig) live(sql string) {
	r.t.Helper()
	p := r.Spawn(r.file)
	r.bring(sql)
	if code := p.Terminate(); code != 0 {
		r.t.Errorf("exit code %d", code)
	}
}

// bringFar brings a change that lies in another file of WAL: a restored server needs long to write as much.
func (r *auditRig) bringFar(sql string) {
	r.t.Helper()
	r.PG.Reset()
	r.run("SELECT pg_switch_wal()")
	r.bring(sql)
}

// bring waits until the bridge has brought a change, compares, and waits until the slot needs it no more: what is confirmed
// is lost with the mark that has it.
func (r *auditRig) bring(sql string) {
	r.t.Helper()
	r.PG.Reset() // its connections may have died with the server
	r.run(sql)
	written := r.WaitLSN(len(r.tables) + 1)
	r.compare()
	r.Eventually(time.Minute, "the confirmation of what was compared", func(ctx context.Context) error {
		var confirmed string
		var beyond bool
		err := r.PG.QueryRow(ctx, "SELECT confirmed_flush_lsn::text, confirmed_flush_lsn >= $1::pg_lsn FROM pg_replication_slots WHERE slot_name = $2", written.String(), r.Name).
			Scan(&confirmed, &beyond)
		if err == nil && !beyond {
			err = fmt.Errorf("the slot stands at %s", confirmed)
		}
		return err
	})
}

// loseWAL writes until PostgreSQL gives the slot up.
func loseWAL(t *testing.T, r *auditRig) {
	t.Helper()
	r.run("ALTER SYSTEM SET max_slot_wal_keep_size = '16MB'")
	r.run("SELECT pg_reload_conf()")
	defer func() {
		r.run("ALTER SYSTEM RESET max_slot_wal_keep_size")
		r.run("SELECT pg_reload_conf()")
	}()
	r.Eventually(time.Minute, "the slot's loss", func(ctx context.Context) error {
		var status string
		for _, sql := range []string{"CREATE TABLE IF NOT EXISTS waste (v text)", "INSERT INTO waste SELECT repeat('w', 1000) FROM generate_series(1, 20000)", "SELECT pg_switch_wal()", "CHECKPOINT"} {
			if _, err := r.PG.Exec(ctx, sql); err != nil {
				return err
			}
		}
		err := r.PG.QueryRow(ctx, "SELECT wal_status FROM pg_replication_slots WHERE slot_name = $1", r.Name).Scan(&status)
		if err == nil && status != "lost" {
			err = errors.New(status)
		}
		return err
	})
}

// halting is an engine that can be stopped in order and started again on its data.
type halting interface {
	Dir() string
	Halt(ctx context.Context) error
	Start(ctx context.Context) error
}

// restore backs a server up, lets it go on, and puts the backup back, with an empty file of that name in it.
func restore(t *testing.T, s halting, between func(), signal ...string) {
	t.Helper()
	ctx := t.Context()
	data, backup := filepath.Join(s.Dir(), "data"), filepath.Join(t.TempDir(), "backup")
	copyTree := func(from, to string) {
		t.Helper()
		if out, err := exec.CommandContext(ctx, "cp", "-a", from, to).CombinedOutput(); err != nil {
			t.Fatalf("copy %s: %v\n%s", from, err, out)
		}
	}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(s.Halt(ctx))
	copyTree(data, backup)
	must(s.Start(ctx))
	between()
	must(s.Halt(ctx))
	must(os.RemoveAll(data))
	for _, name := range signal {
		conf, err := os.OpenFile(filepath.Join(backup, "postgresql.auto.conf"), os.O_APPEND|os.O_WRONLY, 0)
		must(err)
		_, err = fmt.Fprintln(conf, "restore_command = 'false'")
		must(errors.Join(err, conf.Close()))
		must(os.WriteFile(filepath.Join(backup, name), nil, 0o644))
	}
	copyTree(backup, data)
	must(s.Start(ctx))
}

// TestIdlePublication writes to a table that is not published: the slot must not keep that WAL.
func TestIdlePublication(t *testing.T) {
	t.Parallel()
	r := rig.New(t, servers, "CREATE TABLE stock (id int PRIMARY KEY, v bigint)", "CREATE TABLE other (v text)", "CREATE PUBLICATION tidemark FOR TABLE stock")
	p := r.Spawn(r.ConfigFile("tick: 100ms\ntables: {public.stock: {}}"))
	r.WaitLSN(1)
	for range 3 {
		var end string
		err := r.PG.QueryRow(t.Context(), "INSERT INTO other SELECT repeat('o', 1000) FROM generate_series(1, 20000) RETURNING pg_current_wal_lsn()::text").Scan(&end)
		if err != nil {
			t.Fatal(err)
		}
		r.Eventually(3*time.Minute, "the slot to let go of the WAL before "+end, func(ctx context.Context) error {
			if _, err := r.PG.Exec(ctx, "CHECKPOINT"); err != nil { // writes down which transactions run: from there on WAL is kept
				return err
			}
			var kept string
			var free bool
			err := r.PG.QueryRow(ctx, "SELECT restart_lsn::text, restart_lsn >= $1::pg_lsn FROM pg_replication_slots WHERE slot_name = $2", end, r.Name).Scan(&kept, &free)
			if err == nil && !free {
				err = fmt.Errorf("it keeps what follows %s", kept)
			}
			return err
		})
	}
	if code := p.Terminate(); code != 0 {
		t.Errorf("exit code %d", code)
	}
}
