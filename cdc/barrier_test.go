package cdc

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// The barrier's one promise: the rows under its snapshot are those of the transactions whose commit LSN is below its
// LSN. Writers with subtransactions and rollbacks run throughout; afterwards the stream tells what each transaction
// committed, and where.
func TestBarrierSplitsHistory(t *testing.T) {
	onEach(t, func(s *source) {
		const barriers, writers = 8, 6
		s.exec("CREATE TABLE t (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, a int)", "CREATE PUBLICATION pub FOR TABLE t",
			"INSERT INTO t (a) SELECT i FROM generate_series(1, 100) i")
		start := s.createSlot()
		before := map[string]string{}
		for i := range 100 {
			before[fmt.Sprint(i+1)] = fmt.Sprint(i + 1)
		}
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		var tasks sync.WaitGroup
		for w := range writers {
			conn := dial(t, s.cfg.DSN)
			tasks.Go(func() { write(ctx, t, conn, w) })
		}
		opened := make([]LSN, barriers)
		snapshots := make([]map[string]string, barriers)
		for i := range barriers {
			opened[i], snapshots[i] = s.snapshot(s.table("public.t"))
			if i > 0 && maps.Equal(snapshots[i], snapshots[i-1]) {
				t.Fatal("nothing was written between two barriers: the test could not fail")
			}
		}
		cancel()
		tasks.Wait()
		s.exec("INSERT INTO t (a) VALUES (-1)")
		f := s.follow(start, StreamOptions{})
		state, next, transactions := before, 0, 0
		f.until("the last row", func(e Event) bool {
			if e.Kind == Begin {
				transactions++
			}
			for e.Kind == Begin && next < barriers && opened[next] <= e.LSN {
				if !maps.Equal(state, snapshots[next]) {
					t.Errorf("barrier %d at %s: %d rows in the snapshot, %d by the stream", next, opened[next], len(snapshots[next]), len(state))
				}
				next++
			}
			applyTo(state, e)
			return e.Kind == Change && e.New != nil && string(e.New[1].Text()) == "-1"
		})
		if next != barriers || transactions < 100 {
			t.Errorf("%d barriers, %d transactions", next, transactions)
		}
	})
}

// write runs transactions until ctx ends.
func write(ctx context.Context, t *testing.T, conn *pgx.Conn, seed int) {
	for i := seed; ctx.Err() == nil; i++ {
		statements := []string{
			"BEGIN", fmt.Sprintf("INSERT INTO t (a) SELECT %d FROM generate_series(1, 3)", i),
			"SAVEPOINT s", fmt.Sprintf("DELETE FROM t WHERE id IN (SELECT id FROM t WHERE id %% 6 = %d ORDER BY id LIMIT 2)", seed),
			"SAVEPOINT s2", "INSERT INTO t (a) VALUES (999)", []string{"ROLLBACK TO s2", "RELEASE s2", "ROLLBACK TO s"}[i%3],
			fmt.Sprintf("UPDATE t SET a = a + 1 WHERE id IN (SELECT id FROM t WHERE id %% 6 = %d LIMIT 2)", seed),
			[]string{"COMMIT", "COMMIT", "ROLLBACK"}[i/3%3],
		}
		if _, err := conn.PgConn().Exec(context.WithoutCancel(ctx), strings.Join(statements, ";")).ReadAll(); err != nil {
			t.Errorf("write: %v", err)
			return
		}
	}
}

// snapshot returns a barrier's LSN and the rows under its snapshot.
func (s *source) snapshot(table Table) (LSN, map[string]string) {
	s.Helper()
	b := s.barrier()
	defer b.Close()
	var mu sync.Mutex
	rows := map[string]string{}
	err := b.Copy(s.Context(), CopyOptions{Table: table, Workers: 2}, func(_ context.Context, _ int, run []Tuple) error {
		mu.Lock()
		defer mu.Unlock()
		for _, row := range run {
			rows[string(row[0].Text())] = string(row[1].Text())
		}
		return nil
	})
	if err != nil {
		s.Fatal(err)
	}
	return b.LSN, rows
}

func applyTo(state map[string]string, e Event) {
	if e.Kind != Change {
		return
	}
	if e.Old != nil {
		delete(state, string(e.Old[0].Text()))
	}
	if e.New != nil {
		state[string(e.New[0].Text())] = string(e.New[1].Text())
	}
}

// Failure 13: a slot cannot be created while an older transaction writes. The error names it, and nothing is left.
func TestCreationBlocked(t *testing.T) {
	onEach(t, func(s *source) {
		s.exec("CREATE TABLE t (id int)", "BEGIN", "INSERT INTO t VALUES (1)")
		pid := s.get("SELECT pg_backend_pid()::text")
		open := map[string]func(context.Context) error{
			"slot":    func(ctx context.Context) error { _, err := CreateSlot(ctx, s.cfg); return err },
			"barrier": func(ctx context.Context) error { _, err := OpenBarrier(ctx, s.cfg); return err },
		}
		blocked := func(name, by string) {
			t.Helper()
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			err := open[name](ctx)
			if !errors.Is(err, ErrBlocked) || !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), by) {
				t.Errorf("%s: %v does not name %q", name, err, by)
			}
		}
		blocked("slot", "pid "+pid+" ")
		blocked("barrier", "pid "+pid+" ")
		s.exec("PREPARE TRANSACTION 'held'")
		blocked("slot", "prepared transaction 'held'")
		s.exec("ROLLBACK PREPARED 'held'")
		s.equal("left", s.get(`SELECT format('%s %s', (SELECT count(*) FROM pg_replication_slots WHERE database = current_database()),
			(SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'walsender' AND datname = current_database()))`), "0 0")
		s.createSlot()
	})
}

// A creation that is given up leaves alone the slot that another bridge has created meanwhile.
func TestCreationOvertaken(t *testing.T) {
	s := newSource(t, versions[0])
	ctx, cancel := context.WithCancel(t.Context())
	terminated := make(chan struct{})
	cfg := s.cfg
	cfg.Hook = func(_ context.Context, statement string, after bool) error {
		switch {
		case statement == "create_slot" && !after:
			s.createSlot()
			cancel()
			<-terminated
		case statement == "terminate" && after:
			close(terminated)
		}
		return nil
	}
	if _, err := CreateSlot(ctx, cfg); !errors.Is(err, context.Canceled) {
		t.Errorf("the creation was not given up: %v", err)
	}
	s.equal("slots", s.get("SELECT count(*)::text FROM pg_replication_slots WHERE slot_name = '"+s.cfg.Slot+"'"), "1")
}

// A creation that waits ends well when the transaction does.
func TestCreationWaits(t *testing.T) {
	s := newSource(t, versions[0])
	s.exec("CREATE TABLE t (id int)", "BEGIN", "INSERT INTO t VALUES (1)")
	other := dial(t, s.cfg.DSN)
	opened := make(chan error, 1)
	go func() {
		b, err := OpenBarrier(t.Context(), s.cfg)
		if err == nil {
			b.Close()
		}
		opened <- err
	}()
	s.eventually("the walsender waits", func() bool {
		var waits bool
		err := other.QueryRow(t.Context(), `SELECT EXISTS (SELECT FROM pg_stat_activity WHERE backend_type = 'walsender'
			AND datname = current_database() AND wait_event_type = 'Lock')`).Scan(&waits)
		return err == nil && waits
	})
	s.exec("COMMIT")
	if err := <-opened; err != nil {
		t.Error(err)
	}
}
