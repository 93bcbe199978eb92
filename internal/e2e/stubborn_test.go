package e2e

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"github.com/jackc/pglogrepl"
	"github.com/jackc/pgx/v5/pgconn"
)

// stubborn writes when it is told to, whatever becomes of PostgreSQL.
type stubborn struct {
	rig    *auditRig
	cancel context.CancelFunc
	done   chan struct{}
	faults []error

	mu        sync.Mutex
	next      func() string // nil: it rests
	gen       *gen
	began     bool // to write
	committed int  // transactions that PostgreSQL acknowledged
}

// stubbornStep is the time between two transactions.
const stubbornStep = 300 * time.Millisecond

func (r *auditRig) startStubborn(seed uint64) *stubborn {
	ctx, cancel := context.WithCancel(r.t.Context())
	s := &stubborn{gen: &gen{rand.New(rand.NewPCG(seed, 1)), 1, r.names()}, rig: r, cancel: cancel, done: make(chan struct{})}
	go func() { // ends with stop
		defer close(s.done)
		ticker := time.NewTicker(stubbornStep)
		defer ticker.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-ticker.C:
			}
			if err := s.step(); err != nil {
				s.faults = append(s.faults, err)
				return
			}
		}
	}()
	r.t.Cleanup(func() { cancel(); <-s.done })
	return s
}

// begin writes a deed again and again, random transactions if it is "".
func (s *stubborn) begin(sql string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.next, s.began = s.gen.transaction, true
	if sql != "" {
		s.next = func() string { return "BEGIN; " + s.gen.fill(deed{sql: sql}) + "; COMMIT" }
	}
}

// rest returns when nothing is written any more.
func (s *stubborn) rest() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.next = nil
}

// write returns when a transaction has been committed since the start.
func (s *stubborn) write() {
	s.rig.t.Helper()
	deadline := time.After(30 * time.Second)
	for {
		s.mu.Lock()
		committed := s.committed
		s.mu.Unlock()
		if committed > 0 {
			return
		}
		select {
		case <-time.After(stubbornStep / 10):
		case <-deadline:
			s.rig.t.Fatal("nothing is written")
		}
	}
}

func (s *stubborn) step() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.next == nil {
		return nil
	}
	sql := s.next()
	if err := s.send(sql); err != nil {
		return fmt.Errorf("%w in %.300s", err, sql)
	}
	return nil
}

// send writes one transaction. That PostgreSQL is gone is no error, nor what a server says that is about to go or to
// come; whether the transaction was committed then, PostgreSQL knows.
func (s *stubborn) send(sql string) error {
	conn, err := s.rig.PG.Acquire(s.rig.t.Context())
	if err != nil {
		return nil
	}
	defer conn.Release()
	_, err = conn.Exec(context.Background(), sql)
	var pg *pgconn.PgError
	if !errors.As(err, &pg) {
		if err == nil {
			s.committed++
		}
		return nil
	}
	if _, err := conn.Exec(context.Background(), "ROLLBACK"); err != nil {
		return nil
	}
	if slices.Contains([]string{deadlockDetected, uniqueViolation}, pg.Code) || pg.Code[:2] == "57" {
		return nil
	}
	return err
}

func (s *stubborn) stop() {
	s.rig.t.Helper()
	s.cancel()
	<-s.done
	if err := errors.Join(s.faults...); err != nil {
		s.rig.t.Errorf("write: %v", err)
	}
	if s.began && s.committed == 0 {
		s.rig.t.Error("nothing was written")
	}
}

// witness reads all views in one query, again and again. An answer has to be right; that there is none is a fault unless
// ClickHouse is gone.
type witness struct {
	rig    *auditRig
	cancel context.CancelFunc
	group  sync.WaitGroup
	reads  int
	faults []error
}

// readStep is the time between two reads of all witnesses of a stage.
const readStep = time.Second

func (r *auditRig) startWitness(step time.Duration) *witness {
	r.t.Helper()
	ctx, cancel := context.WithCancel(r.t.Context())
	w := &witness{rig: r, cancel: cancel}
	conn := r.Reader(nil)
	w.group.Go(func() { // ends with stop
		ticker := time.NewTicker(step)
		defer ticker.Stop()
		last := uint64(0)
		for {
			epoch, err := w.rig.read(context.WithoutCancel(ctx), conn, "")
			switch {
			case err == nil && epoch < last:
				err = fmt.Errorf("epoch went back from %d to %d", last, epoch)
			case err == nil:
				w.reads++
				last = epoch
				err = w.rig.shownIfConfirmed(context.WithoutCancel(ctx), conn)
			case !errors.Is(err, errAudit) && !isException(err):
				err = nil
			}
			if err != nil && len(w.faults) < 10 {
				w.faults = append(w.faults, err)
			}
			select {
			case <-ctx.Done():
				return
			case <-ticker.C:
			}
		}
	})
	r.t.Cleanup(func() { cancel(); w.group.Wait() })
	return w
}

// shownIfConfirmed compares what PostgreSQL may forget with the newest mark, which has to hold all of it. The one is asked for
// before the other, which can only grow. A server that is gone tells nothing.
func (r *auditRig) shownIfConfirmed(ctx context.Context, conn driver.Conn) error {
	var confirmed string
	if err := r.PG.QueryRow(ctx, "SELECT confirmed_flush_lsn::text FROM pg_replication_slots WHERE slot_name = $1", r.Name).Scan(&confirmed); err != nil {
		return nil
	}
	var shown uint64
	if err := conn.QueryRow(ctx, "SELECT lsn FROM "+r.Name+".split_date ORDER BY term DESC, epoch DESC LIMIT 1").Scan(&shown); err != nil {
		return nil
	}
	lsn, err := pglogrepl.ParseLSN(confirmed)
	if err == nil && uint64(lsn) > shown {
		err = fmt.Errorf("%s is confirmed, the newest mark holds %s", lsn, pglogrepl.LSN(shown))
	}
	return err
}

// isException reports whether ClickHouse itself answered with an error.
func isException(err error) bool {
	var e *clickhouse.Exception
	return errors.As(err, &e)
}

func (w *witness) stop() {
	t := w.rig.t
	t.Helper()
	w.cancel()
	w.group.Wait()
	if err := errors.Join(w.faults...); err != nil {
		t.Errorf("reads failed, such as %v", err)
	}
	if w.reads == 0 {
		t.Error("nothing was read")
	}
}
