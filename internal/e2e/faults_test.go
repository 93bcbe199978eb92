package e2e

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

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
		"create_states", "create_aggregate_view", "create_region_view", "insert_writer", "kill_older_terms", "take_lock",
		"start_replication",
	}
	// foldPoints are reached when a resync is asked for, loadPoints by one from the source.
	foldPoints = []string{"fold", "fold_masks", "keep_late"}
	loadPoints = []string{"replace", "insert_verified"}
	// slowPoints need many marks, or much data.
	slowPoints = []string{"archive_marks", "merge_masks", "merge_states", "compact_changes", "drop_partitions", "clear_partitions"}
	// otherPoints are those of uninstall, of a table whose internals are made anew, and of an upgrade.
	otherPoints = []string{"drop_table", "drop_internals", "drop_view", "hold_view", "add_masked", "upgrade_chunks", "upgrade_masks"}
)

// What is written again and again until a bridge is held: a late change, and a row that settles soon, lead to every
// statement but those of stimuli.
const stimulus = `UPDATE history SET v = {v} WHERE id = 1 + {v} % 2400;
	INSERT INTO history VALUES (1000000 + {v}, now() - interval '1 s', {v}, 'new', 0, 'open') ON CONFLICT DO NOTHING`

// sameLateRows changes the same late rows each time, and leaves their TOAST values as they are.
const sameLateRows = "UPDATE history SET v = {v} WHERE id BETWEEN 2490 AND 2495"

// addColumn adds a column every other second.
const addColumn = `DO $$ BEGIN
		EXECUTE format('ALTER TABLE history ADD COLUMN IF NOT EXISTS extra_%s int DEFAULT 1', (extract(epoch FROM now()) / 2)::int);
	END $$; UPDATE history SET v = {v} WHERE id = 1 + {v} % 2400`

var stimuli = map[string]string{
	"add_columns":       addColumn,
	"insert_shape":      addColumn,
	"insert_unresolved": sameLateRows,
	"resolve_unchanged": sameLateRows,
	"keep_late":         sameLateRows, // see changeFrozen
	// A transaction of several pieces, one time in ten.
	"compact_changes": `INSERT INTO history SELECT 100000 + g, now(), g, NULL, 0, 'open', repeat(md5(g::text), 640)
			FROM generate_series(1, 1800 * ({v} % 10 = 0)::int) g;
		DELETE FROM history WHERE id BETWEEN 100000 AND 200000`,
	"archive_marks": "SELECT pg_logical_emit_message(true, '', '')", // marks with a position alone, quickly
}

// faultTables are those of a bridge that is to come by every failpoint: history with some TOAST values, a change feed and
// an aggregate, and others.
func faultTables(others []string) []audited {
	tables := lateTables(append(others, "history")...)
	h := &tables[0]
	h.config = "{date_column: d, order_by: [status, id], change_feed: 1d, aggregates: {moods: {by: {status: status}, measures: {n: count(), total: sum(v)}}}}"
	h.columns = append(h.columns, plainColumn("big"))
	h.setup[0] += "; ALTER TABLE history ADD big text; ALTER TABLE history ALTER big SET STORAGE EXTERNAL"
	h.setup = append(h.setup, "UPDATE history SET big = repeat(md5(id::text), 320) WHERE id BETWEEN 2481 AND 2500")
	return tables
}

// faultStatements lists every failpoint, each to be played before and after. Those that take long come first, and those of
// one kind, which take about as long, together.
func faultStatements(t *testing.T) []string {
	t.Helper()
	names := slices.DeleteFunc(append(rig.Failpoints(t, "../../sql"), postgresPoints...), func(name string) bool {
		return slices.Contains(otherPoints, name)
	})
	slices.SortStableFunc(names, func(a, b string) int { return cmp.Compare(kindOf(a), kindOf(b)) })
	return names
}

func kindOf(statement string) int {
	kinds := [][]string{slowPoints, firstPoints, loadPoints, foldPoints, startPoints}
	if i := slices.IndexFunc(kinds, func(names []string) bool { return slices.Contains(names, statement) }); i >= 0 {
		return i
	}
	return len(kinds)
}

// actors is how many bridges play at a time, each between databases of its own.
const actors = 12

const faultSettings = "tick: %s\nrt_window: 4s\nsplit_step: 1s\nschedule: {roll: \"@every 2s\", resync: \"@every 24h\"}"

// TestFaults holds bridges at every failpoint, before and after, and there kills the bridge, ClickHouse or PostgreSQL
// with SIGKILL. Readers go on all the while. With TIDEMARK_FAULTS=all, the servers are also killed in the midst of each statement.
func TestFaults(t *testing.T) {
	st := newStage(t, actors)
	statements := faultStatements(t)
	for _, f := range []struct {
		name string
		play func()
	}{
		{"kill the bridge", func() { st.oneByOne(statements, (*actor).crash) }},
		{"kill ClickHouse", func() { st.together(statements, st.servers.ClickHouse) }},
		{"kill PostgreSQL", func() { st.together(statements, st.servers.Postgres) }},
	} {
		t.Run(f.name, func(t *testing.T) {
			st.t = t
			f.play()
			st.compare()
		})
	}
	st.t = t
	st.end()
}

// TestOvertaken pauses bridges at every failpoint, before and after, until a standby has overtaken them, and then lets them
// go on.
func TestOvertaken(t *testing.T) {
	st := newStage(t, actors)
	st.oneByOne(faultStatements(t), (*actor).overtake)
	st.compare()
	st.end()
}

// stage is where actors play: they share the servers.
type stage struct {
	t       *testing.T // of the fault that is played now
	whole   *testing.T // of all faults: that of the actors
	servers *rig.Servers
	actors  []*actor
	seed    uint64

	mu      sync.Mutex // guards what follows
	crashes int
	rows    int           // compared
	longest time.Duration // from a fault to the mark that holds all that was committed before its end
	slowest string        // that fault
}

// newStage starts servers and n actors, whose tables are history and others.
func newStage(t *testing.T, n int, others ...string) *stage {
	t.Helper()
	st := &stage{t: t, whole: t, seed: seed(t), actors: make([]*actor, n)}
	st.servers = ownServersWith(t, rig.Options{PostgresSettings: map[string]string{
		"fsync":           "off", // the system does not crash: what a killed process wrote is there
		"max_connections": strconv.Itoa(20 * n), "max_wal_senders": strconv.Itoa(5 * n), "max_replication_slots": strconv.Itoa(5 * n),
	}})
	st.each(n, func(i int) {
		tick := time.Second
		if i == 0 { // plays the first statement, archive_marks, which takes 64 marks
			tick = 200 * time.Millisecond
		}
		a := st.newActor(uint64(i), tick, others)
		a.spawn(rig.Point{})
		a.await()
		a.reader = a.startWitness(time.Duration(n) * readStep)
		st.actors[i] = a
	})
	return st
}

// each does n things at once, and ends the test when one of them has failed: a FailNow ends only the goroutine of that one.
func (st *stage) each(n int, do func(i int)) {
	st.t.Helper()
	var group sync.WaitGroup
	for i := range n {
		group.Go(func() { do(i) })
	}
	group.Wait()
	if st.whole.Failed() {
		st.t.FailNow()
	}
}

// actor is a bridge with a database of its own, someone who writes there and someone who reads.
type actor struct {
	*auditRig
	stage  *stage
	file   string
	puppet *rig.Puppet // nil: the bridge is dead

	point    rig.Point // where it is held, or was last
	when     moment    // of the fault
	starting bool      // held before it has worked
	ended    bool

	writer *stubborn
	reader *witness // nil: it is there for the failpoints of a first start
}

func (st *stage) newActor(n uint64, tick time.Duration, others []string) *actor {
	st.t.Helper()
	r := newAuditRigOn(st.t, st.servers, faultTables(others)...)
	a := &actor{auditRig: r, stage: st, file: r.config(fmt.Sprintf(faultSettings, tick))}
	a.writer = r.startStubborn(st.seed + n)
	return a
}

func (a *actor) spawn(at rig.Point) { a.puppet = a.SpawnPuppet(a.file, at, rig.PuppetOptions{}) }

// crash kills the bridge.
func (a *actor) crash() {
	if a.puppet != nil {
		a.puppet.Kill()
		a.puppet = nil
	}
}

// holdPatience is generous: some points are reached once in several folds.
const holdPatience = 5 * time.Minute

// oneByOne has the actors play every statement, before and after, with a fault for each.
func (st *stage) oneByOne(statements []string, fault func(*actor)) {
	st.t.Helper()
	st.each(len(st.actors), func(i int) {
		for at := i; at < len(statements); at += len(st.actors) {
			statement, a := statements[at], (*actor)(nil)
			for _, when := range []moment{before, after} {
				a = st.cast(a, i, statement)
				a.seize(statement, when)
				began := time.Now()
				fault(a)
				a.recover(began)
			}
		}
	})
}

// killable is one of the two servers.
type killable interface {
	Kill() error
	Start(ctx context.Context) error
}

// moment is when a fault comes: before a statement, amid it, or after it, when the bridge has yet to hear that it is done.
type moment string

const (
	before moment = "before"
	amid   moment = "amid"
	after  moment = "after"
)

// serverKills are the moments at which servers are killed.
func serverKills() []moment {
	if os.Getenv("TIDEMARK_FAULTS") == "all" {
		return []moment{before, amid, after}
	}
	return []moment{before, after}
}

// together has as many actors as there are play a statement each, with a server killed under all of them at once.
func (st *stage) together(statements []string, server killable) {
	st.t.Helper()
	for some := range slices.Chunk(statements, len(st.actors)) {
		held := make([]*actor, len(some))
		for _, when := range serverKills() {
			st.each(len(held), func(i int) {
				held[i] = st.cast(held[i], i, some[i])
				held[i].seize(some[i], when)
			})
			st.killUnder(held, server, when)
		}
	}
}

// midst is how long after the bridges went on a server is killed amid their statements, at most: most take a few milliseconds.
const midst = 20 * time.Millisecond

func (st *stage) killUnder(held []*actor, server killable, when moment) {
	st.t.Helper()
	began := time.Now()
	release := func() {
		for _, a := range held {
			a.must(a.puppet.Go())
		}
	}
	if when == amid {
		release()
		<-time.After(rand.N(midst))
	}
	st.must(server.Kill())
	if when != amid {
		release()
	}
	for _, a := range held {
		a.writer.begin("")
	}
	st.must(server.Start(st.t.Context()))
	for _, a := range slices.Concat(st.actors, held) {
		a.PG.Reset() // its connections may have died with the server
	}
	st.t.Logf("the server is back after %v", time.Since(began).Round(time.Millisecond))
	st.each(len(held), func(i int) { held[i].look() })
	st.each(len(held), func(i int) {
		if held[i].starting { // a first start ends with every error
			held[i].crash()
		}
		held[i].recover(began)
	})
}

// cast returns who plays a statement: a new actor where it is one of a first start, otherwise the one of that number.
func (st *stage) cast(present *actor, i int, statement string) *actor {
	switch {
	case present != nil && !present.ended:
		return present
	case statement == "insert_partitions":
		return st.newActor(0, time.Second, []string{"parts"})
	case slices.Contains(firstPoints, statement):
		return st.newActor(0, time.Second, nil)
	default:
		return st.actors[i]
	}
}

// seize has the bridge go as far as the statement, where it is held: before it, for what is to come amid it.
func (a *actor) seize(statement string, when moment) {
	a.t.Helper()
	began, at := time.Now(), rig.Point{Statement: statement, After: when == after}
	a.point, a.when, a.starting = at, when, a.reader == nil || slices.Contains(startPoints, at.Statement)
	if a.starting {
		a.crash()
		a.spawn(at)
	} else {
		a.writer.begin(cmp.Or(stimuli[at.Statement], stimulus))
		a.arm(at)
	}
	if err := a.awaitHeld(at); err != nil {
		a.t.Fatalf("%s: %v\n%s", at, err, a.Log())
	}
	a.writer.rest()
	a.t.Logf("%s: held after %v", at, time.Since(began).Round(time.Millisecond))
	a.look()
}

// look reads the views once, where they are there: what the bridge has done by halves, no query may see.
func (a *actor) look() {
	a.t.Helper()
	if a.reader == nil {
		return
	}
	a.Eventually(time.Minute, "an answer", func(ctx context.Context) error {
		_, err := a.read(ctx, a.CH, "")
		if errors.Is(err, errAudit) || isException(err) {
			a.t.Errorf("%s: %v", a.point, err)
			return nil
		}
		return err // of a connection that went with the server
	})
}

func (a *actor) arm(at rig.Point) {
	a.t.Helper()
	a.must(a.puppet.Arm(at))
	a.must(a.puppet.Go())
}

// changeFrozen holds a fold that is built, until a tick has changed late rows which it has frozen, if it is one of theirs.
func (a *actor) changeFrozen() error {
	built := rig.Point{Statement: "fold", After: true}
	a.arm(built)
	if err := a.awaitHeld(built); err != nil {
		return err
	}
	a.run("UPDATE history SET v = v + 1 WHERE id BETWEEN 2490 AND 2495")
	a.await()
	return nil
}

// recover returns when the actor is well again after a fault: its views are those of now, and right. Where the bridge died
// at its start, before a statement, it is the next start that has to cope with it: the one that is held after the statement.
func (a *actor) recover(began time.Time) {
	a.t.Helper()
	a.writer.rest()
	took := time.Duration(0)
	between := a.starting && a.when == before && a.puppet == nil && a.point.Statement != "create_slot" // it may be there by now
	if !between {
		if a.puppet == nil {
			a.spawn(rig.Point{})
		}
		a.await()
		took = time.Since(began)
	}
	if a.reader != nil || took > 0 { // the views are there
		if _, err := a.read(a.t.Context(), a.CH, ""); err != nil {
			a.t.Errorf("%s: %v", a.point, err)
		}
	}
	fault := fmt.Sprintf("%s %s", a.when, a.point.Statement)
	a.t.Logf("%s: survived, well after %v", fault, took.Round(time.Millisecond))
	a.stage.survived(fault, took)
	if a.reader == nil && took > 0 {
		a.end()
	}
}

func (st *stage) survived(fault string, took time.Duration) {
	st.mu.Lock()
	defer st.mu.Unlock()
	st.crashes++
	if took > st.longest {
		st.longest, st.slowest = took, fault
	}
}

// awaitHeld returns when the actor is held. A resync has to be asked for.
func (a *actor) awaitHeld(at rig.Point) error {
	fromSource := slices.Contains(loadPoints, at.Statement)
	if !fromSource && !slices.Contains(foldPoints, at.Statement) {
		return a.puppet.Await(holdPatience)
	}
	for range int(holdPatience / resyncStep) {
		if at.Statement == "keep_late" {
			if err := a.changeFrozen(); err != nil {
				return err
			}
			a.arm(at)
		} else if err := a.puppet.Resync(fromSource); err != nil {
			return err
		}
		if err := a.puppet.Await(resyncStep); !errors.Is(err, os.ErrDeadlineExceeded) {
			return err
		}
	}
	return os.ErrDeadlineExceeded
}

// resyncStep is the time between two resyncs, in which there has to come something to fold.
const resyncStep = 3 * time.Second

// overtake pauses the bridge, lets a standby take over and work, and then lets the paused one go on: what it was about
// to do, or to hear the answer of, is done now. Its session is over when it asks for the lock again, or ends.
func (a *actor) overtake() {
	a.t.Helper()
	a.must(a.puppet.Pause())
	standby := a.SpawnPuppet(a.file, rig.Point{}, rig.PuppetOptions{Standby: true})
	a.endLock()
	a.await()
	a.writer.begin("")
	a.must(a.puppet.Arm(rig.Point{Statement: "take_lock"}))
	a.must(a.puppet.Resume())
	a.must(a.puppet.Go())
	if err := a.puppet.Await(holdPatience); errors.Is(err, os.ErrDeadlineExceeded) {
		a.t.Errorf("%s: the overtaken bridge goes on: %v", a.point, err)
	}
	a.writer.write() // the bridge may have ended before the first one
	a.writer.rest()
	a.puppet.Kill()
	a.puppet = standby
}

// endLock ends the session that holds the lock, so that its lease need not run out.
func (a *actor) endLock() {
	a.t.Helper()
	_, err := a.PG.Exec(a.t.Context(), `SELECT pg_terminate_backend(pid) FROM pg_locks
		WHERE locktype = 'advisory' AND database = (SELECT oid FROM pg_database WHERE datname = current_database())`)
	a.must(err)
}

func (st *stage) must(err error) {
	st.t.Helper()
	if err != nil {
		st.t.Fatal(err)
	}
}

func (a *actor) must(err error) {
	a.t.Helper()
	if err != nil {
		a.t.Fatal(err)
	}
}

// compare compares what the actors have with PostgreSQL, row by row.
func (st *stage) compare() {
	st.t.Helper()
	st.each(len(st.actors), func(i int) { st.actors[i].compareAll() })
}

// compareAll compares and counts the rows of the actor.
func (a *actor) compareAll() {
	a.t.Helper()
	a.compare()
	rows := 0
	for _, table := range a.tables {
		var n int
		a.must(a.PG.QueryRow(a.t.Context(), "SELECT count(*) FROM "+table.name).Scan(&n))
		rows += n
	}
	a.stage.mu.Lock()
	defer a.stage.mu.Unlock()
	a.stage.rows += rows
}

// end compares a last time and says what the actors went through.
func (st *stage) end() {
	st.t.Helper()
	reads := 0
	st.each(len(st.actors), func(i int) { st.actors[i].end() })
	for _, a := range st.actors {
		reads += a.reader.reads
	}
	st.t.Logf("%d crashes survived, %d reads checked, %d rows compared", st.crashes, reads, st.rows)
	if st.crashes == 0 || reads == 0 || st.rows == 0 {
		st.t.Error("one of these is zero: the test shows nothing")
	}
	if st.longest > 0 {
		st.t.Logf("longest recovery %v, %s", st.longest.Round(time.Millisecond), st.slowest)
	}
}

// end stops the actor.
func (a *actor) end() {
	a.t.Helper()
	a.writer.stop()
	a.compareAll()
	if a.reader != nil {
		a.reader.stop()
	}
	a.crash()
	a.checkMarks("", 0)
	a.showLog()
	a.ended = true
}
