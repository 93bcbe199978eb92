package e2e

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/jackc/pgx/v5/pgconn"
	"golang.org/x/sync/errgroup"

	"github.com/tidemark-db/tidemark/internal/rig"
)

// The failpoints of PostgreSQL's side; those of ClickHouse are the files of package sql.
var postgresPoints = []string{"create_slot", "create_barrier", "take_lock", "start_replication", "confirm"}

// Failpoints that a bridge reaches when a table is loaded for the first time, or at every start; the others are reached
// at work.
var (
	firstPoints = []string{"create_slot", "create_barrier", "insert_chunk", "insert_partitions", "note_feed"}
	startPoints = []string{
		"create_database", "create_split_date", "create_split_date_log", "create_split_date_current", "create_chunks",
		"create_masks", "create_changes", "create_view", "create_writers", "create_shapes", "create_verified", "create_partitions", "create_feed", "create_feed_view",
		"create_states", "create_aggregate_view", "insert_writer", "kill_older_terms", "take_lock",
		"start_replication",
	}
	// foldPoints are reached when a resync is asked for, loadPoints by one from the source.
	foldPoints = []string{"fold", "fold_masks", "keep_late"}
	loadPoints = []string{"replace", "insert_verified"}
	// otherPoints are those of uninstall, and of a table whose internals are made anew.
	otherPoints = []string{"drop_table", "drop_internals", "drop_view", "hold_view"}
)

// What is written again and again until a bridge is held: a late change, an unchanged TOAST value of a late row, and a row
// that settles soon lead to every statement but those of stimuli.
const stimulus = `UPDATE history SET v = {v} WHERE id = 2000 + {v} % 500; UPDATE docs SET title = 'x{v}' WHERE id > 90;
	INSERT INTO history VALUES (1000000 + {v}, now() - interval '1 s', {v}, 'new', 0, 'open') ON CONFLICT DO NOTHING`

// addColumn adds a column every other second.
const addColumn = `DO $$ BEGIN
		EXECUTE format('ALTER TABLE history ADD COLUMN IF NOT EXISTS extra_%s int DEFAULT 1', (extract(epoch FROM now()) / 2)::int);
	END $$; UPDATE history SET v = {v} WHERE id = 2000 + {v} % 500`

var stimuli = map[string]string{
	"add_columns":     addColumn,
	"insert_shape":    addColumn,
	"compact_changes": heavyDeeds[4].sql,                              // a transaction of several pieces
	"archive_marks":   "SELECT pg_logical_emit_message(true, '', '')", // marks with a position alone, quickly
}

// faultPoints lists every failpoint, before and after.
func faultPoints(t *testing.T) (out []rig.Point) {
	t.Helper()
	names := append(rig.Failpoints(t, "../../sql"), postgresPoints...)
	for _, name := range names {
		if !slices.Contains(otherPoints, name) {
			out = append(out, rig.Point{Statement: name}, rig.Point{Statement: name, After: true})
		}
	}
	// Those of one kind are held after about the same time.
	slices.SortStableFunc(out, func(a, b rig.Point) int { return cmp.Compare(kindOfPoint(a), kindOfPoint(b)) })
	return out
}

func kindOfPoint(p rig.Point) int {
	return slices.IndexFunc([][]string{startPoints, firstPoints, foldPoints, loadPoints}, func(names []string) bool { return slices.Contains(names, p.Statement) })
}

// actors is how many bridges are held at a time: each at a point of its own when a server is killed under all of them.
const actors = 6

const faultSettings = "tick: 250ms\nrt_window: 4s\nsplit_step: 1s\nschedule: {roll: \"@every 1s\", resync: \"@every 24h\"}"

// TestFaults holds bridges at every failpoint, before and after, and there kills the bridge, ClickHouse or PostgreSQL
// with SIGKILL, or pauses the bridge until a standby has overtaken it and then lets it go on. Readers go on all the while.
func TestFaults(t *testing.T) {
	s := ownServers(t)
	points := faultPoints(t)
	for _, f := range []struct {
		name string
		do   func(*stage, []*actor)
	}{
		{"kill the bridge", (*stage).killBridges},
		{"kill ClickHouse", (*stage).killClickHouse},
		{"kill PostgreSQL", (*stage).killPostgres},
		{"overtake the bridge", (*stage).overtake},
	} {
		t.Run(f.name, func(t *testing.T) {
			st := newStage(t, s, actors)
			for round := range slices.Chunk(points, actors) {
				st.round(round, f.do)
			}
			st.end()
		})
	}
}

// stage is where actors play: they share the servers.
type stage struct {
	t       *testing.T
	servers *rig.Servers
	actors  []*actor
	seed    uint64

	crashes int
	longest time.Duration // from a fault to the mark that holds all that was committed before its end
	slowest rig.Point
}

func newStage(t *testing.T, s *rig.Servers, n int) *stage {
	t.Helper()
	st := &stage{t: t, servers: s, seed: seed(t)}
	for range n {
		a := st.newActor()
		a.spawn(rig.Point{})
		st.actors = append(st.actors, a)
	}
	for _, a := range st.actors {
		a.await()
		a.reader = a.startWitness()
	}
	return st
}

// actor is a bridge with a database of its own, someone who writes there and someone who reads.
type actor struct {
	*auditRig
	stage  *stage
	file   string
	puppet *rig.Puppet

	starting bool // held at its first start, or at a later one

	writer *stubborn
	reader *witness
}

func (st *stage) newActor() *actor {
	st.t.Helper()
	tables := lateTables("history", "docs", "parts")
	tables[0].config = "{date_column: d, order_by: [status, id], change_feed: 1d, aggregates: {moods: {by: {status: status}, measures: {n: count(), total: sum(v)}}}}"
	r := newAuditRigOn(st.t, st.servers, tables...)
	a := &actor{auditRig: r, stage: st, file: r.config(faultSettings)}
	a.writer = r.startStubborn(st.seed + uint64(len(st.actors)))
	return a
}

func (a *actor) spawn(at rig.Point) { a.puppet = a.SpawnPuppet(a.file, at, false) }

// holdPatience is generous: some points are reached once in several folds.
const holdPatience = 5 * time.Minute

// round holds each actor at a point, lets the fault do its worst, and waits until all are well again.
func (st *stage) round(points []rig.Point, fault func(*stage, []*actor)) {
	st.t.Helper()
	var held []*actor
	for i, at := range points {
		a := st.actors[i]
		a.starting = slices.Contains(startPoints, at.Statement)
		switch {
		case slices.Contains(firstPoints, at.Statement):
			a = st.newActor()
			a.starting = true
			a.spawn(at)
		case slices.Contains(startPoints, at.Statement):
			a.puppet.Kill()
			a.spawn(at)
		default:
			a.must(a.puppet.Arm(at))
			sql, ok := stimuli[at.Statement]
			if !ok {
				sql = stimulus
			}
			a.writer.begin(sql)
		}
		held = append(held, a)
	}
	var group errgroup.Group
	for i, a := range held {
		group.Go(func() error {
			defer a.writer.rest()
			if err := a.awaitHeld(points[i]); err != nil {
				return fmt.Errorf("%s: %w\n%s", points[i], err, a.Log())
			}
			return nil
		})
	}
	st.must(group.Wait())
	began := time.Now()
	fault(st, held)
	for _, a := range held {
		a.writer.rest()
	}
	for i, a := range held {
		a.await()
		st.t.Logf("%s: survived", points[i])
		if _, err := a.read(st.t.Context(), a.CH, ""); err != nil {
			st.t.Errorf("%s: %v", points[i], err)
		}
		st.crashes++
		if took := time.Since(began); took > st.longest {
			st.longest, st.slowest = took, points[i]
		}
		if !slices.Contains(st.actors, a) {
			a.end()
		}
	}
}

// awaitHeld returns when the actor is held. A resync has to be asked for.
func (a *actor) awaitHeld(at rig.Point) error {
	fromSource := slices.Contains(loadPoints, at.Statement)
	if !fromSource && !slices.Contains(foldPoints, at.Statement) {
		return a.puppet.Await(holdPatience)
	}
	for range int(holdPatience / foldStep) {
		if err := a.puppet.Resync(fromSource); err != nil {
			return err
		}
		if err := a.puppet.Await(foldStep); !errors.Is(err, os.ErrDeadlineExceeded) {
			return err
		}
	}
	return os.ErrDeadlineExceeded
}

// foldStep is the time between two folds, in which there has to come something to fold.
const foldStep = time.Second

func (st *stage) killBridges(held []*actor) {
	for _, a := range held {
		a.puppet.Kill()
		a.spawn(rig.Point{})
	}
}

func (st *stage) killClickHouse(held []*actor) {
	st.t.Helper()
	st.must(st.servers.ClickHouse.Kill())
	st.release(held)
	st.must(st.servers.ClickHouse.Start(st.t.Context()))
	st.restart(held)
}

func (st *stage) killPostgres(held []*actor) {
	st.t.Helper()
	st.must(st.servers.Postgres.Kill())
	st.release(held)
	st.must(st.servers.Postgres.Start(st.t.Context()))
	st.restart(held)
}

// restart starts those bridges again that ended: a first start ends with every error. The others recover by themselves.
func (st *stage) restart(held []*actor) {
	st.t.Helper()
	for _, a := range held {
		if a.starting {
			a.puppet.Kill()
			a.spawn(rig.Point{})
		}
	}
}

// overtake pauses the bridges, lets standbys take over and work, and then lets the paused ones go on: what they were about
// to do, or to hear the answer of, is done now. Their session is over when they ask for the lock again, or end.
func (st *stage) overtake(held []*actor) {
	st.t.Helper()
	standbys := make([]*rig.Puppet, len(held))
	for i, a := range held {
		st.must(a.puppet.Pause())
		standbys[i] = a.SpawnPuppet(a.file, rig.Point{}, true)
		a.endLock()
	}
	for i, a := range held {
		a.await()
		a.writer.begin("")
		st.must(a.puppet.Arm(rig.Point{Statement: "take_lock"}))
		st.must(a.puppet.Resume())
		st.must(a.puppet.Go())
		if err := a.puppet.Await(holdPatience); errors.Is(err, os.ErrDeadlineExceeded) {
			st.t.Errorf("an overtaken bridge goes on: %v", err)
		}
		a.writer.rest()
		a.puppet.Kill()
		a.puppet = standbys[i]
	}
}

// endLock ends the session that holds the lock, so that its lease need not run out.
func (a *actor) endLock() {
	a.t.Helper()
	_, err := a.PG.Exec(a.t.Context(), `SELECT pg_terminate_backend(pid) FROM pg_locks
		WHERE locktype = 'advisory' AND database = (SELECT oid FROM pg_database WHERE datname = current_database())`)
	a.must(err)
}

func (st *stage) release(held []*actor) {
	st.t.Helper()
	for _, a := range held {
		a.writer.begin("") // until round has the servers back
		st.must(a.puppet.Go())
	}
}

func (st *stage) must(err error) {
	st.t.Helper()
	if err != nil {
		st.t.Fatal(err)
	}
}

func (a *actor) must(err error) {
	a.t.Helper()
	a.stage.must(err)
}

// end compares what the actors have with PostgreSQL, row by row.
func (st *stage) end() {
	st.t.Helper()
	reads, rows := 0, 0
	for _, a := range st.actors {
		rows += a.end()
		reads += a.reader.reads
	}
	st.t.Logf("%d crashes survived, %d reads checked, %d rows compared", st.crashes, reads, rows)
	if st.longest > 0 {
		st.t.Logf("longest recovery %v, %s", st.longest.Round(time.Millisecond), st.slowest)
	}
}

// end stops the actor and returns how many rows it compared.
func (a *actor) end() (rows int) {
	a.t.Helper()
	a.writer.stop()
	a.compare()
	if a.reader != nil {
		a.reader.stop()
	}
	a.puppet.Kill()
	for _, table := range a.tables {
		var n int
		if err := a.PG.QueryRow(a.t.Context(), "SELECT count(*) FROM "+table.name).Scan(&n); err != nil {
			a.t.Error(err)
		}
		rows += n
	}
	a.checkMarks("", 0)
	a.showLog()
	return rows
}

// stubborn writes when it is told to, whatever becomes of PostgreSQL.
type stubborn struct {
	rig    *auditRig
	cancel context.CancelFunc
	done   chan struct{}
	faults []error

	mu   sync.Mutex
	next func() string // nil: it rests
	gen  *gen
}

// stubbornStep is the time between two transactions.
const stubbornStep = 50 * time.Millisecond

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
	s.next = s.gen.transaction
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

// witnessStep is the time between two reads.
const witnessStep = time.Second

func (r *auditRig) startWitness() *witness {
	r.t.Helper()
	ctx, cancel := context.WithCancel(r.t.Context())
	w := &witness{rig: r, cancel: cancel}
	conn := r.Reader(nil)
	w.group.Go(func() { // ends with stop
		ticker := time.NewTicker(witnessStep)
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
