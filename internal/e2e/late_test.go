package e2e

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"github.com/tidemark-db/tidemark/internal/bridge"
)

// lateSettings make rows settle within seconds.
const lateSettings = "tick: 100ms\nrt_window: 4s\nsplit_step: 1s\nschedule: {roll: \"@every 1s\", resync: \"@every 3s\"}"

// TestLate changes rows of any age in every way while ticks and rolls go on, and has each read prove by itself that it
// saw one commit of PostgreSQL.
func TestLate(t *testing.T) {
	for _, v := range []struct {
		name   string
		tables []string
		o      bridge.Options
		share  time.Duration // of the time
	}{
		{"rows with a date", []string{"history", "docs", "stock"}, bridge.Options{}, 1},
		{"other shapes", []string{"lines", "days", "events", "products"}, bridge.Options{}, 2},
		{"invariants checked", []string{"history", "lines", "products"}, bridge.Options{CheckInvariants: true, Slices: 3}, 2},
	} {
		t.Run(v.name, func(t *testing.T) {
			r := newAuditRig(t, lateTables(v.tables...)...)
			length := time.Duration(duration(t)) * time.Second / v.share
			w := r.start(seed(t)) // before the bridge: tables are loaded while they change
			b := r.Run(r.config(lateSettings), v.o)
			r.await()
			readers := r.startReaders()
			jobs := startJobs(t, b, v.tables, seed(t))
			w.heavy(length)
			r.until(length, b.Done())
			jobs.stop()
			w.stop()
			r.compare()
			readers.stop(int(length.Seconds()) / 2)
			_ = b.Stop()
			r.checkMarks(v.tables[0], int(length.Seconds())/4)
		})
	}
}

// until waits until the time is over or something ended early, which the test then finds out about.
func (r *auditRig) until(length time.Duration, ended <-chan error) {
	r.t.Helper()
	timer := time.NewTimer(length)
	defer timer.Stop()
	select {
	case <-timer.C:
	case err := <-ended:
		r.t.Fatalf("the bridge ended: %v", err)
	case <-r.t.Context().Done():
	}
}

// auditReaders read until they are stopped.
type auditReaders struct {
	rig    *auditRig
	cancel context.CancelFunc
	group  sync.WaitGroup

	mu     sync.Mutex
	reads  int
	wrong  int
	faults []error
	epochs map[uint64]bool
}

// startReaders starts readers of the views: one asks for all tables at once, the others for a few at a time, which
// leaves time for more questions. Two of them give rolls time to get in between, one without the snapshots that ClickHouse
// shares among the tables of a query.
func (r *auditRig) startReaders() *auditReaders {
	r.t.Helper()
	ctx, cancel := context.WithCancel(r.t.Context())
	out := &auditReaders{rig: r, cancel: cancel, epochs: map[uint64]bool{}}
	for i, settings := range []clickhouse.Settings{nil, {"max_threads": 1}, {snapshotDelay: 20}, {snapshotDelay: 20, sharedSnapshots: 0}} {
		conn := r.Reader(settings)
		out.group.Go(func() { out.read(ctx, conn, max(1, len(r.tables)/(i+1))) }) // ends with stop
	}
	r.t.Cleanup(func() { out.cancel(); out.group.Wait() })
	return out
}

// pause between two reads of a reader that has the machine to itself.
const pause = 30 * time.Millisecond

// auditPause is that of an auditReader: several that read all the time would leave the bridge so little of two cores that there
// were hardly more epochs than one to see.
const auditPause = 400 * time.Millisecond

// read asks for n tables at a time, others each time.
func (a *auditReaders) read(ctx context.Context, conn driver.Conn, n int) {
	ticker := time.NewTicker(auditPause)
	defer ticker.Stop()
	names := a.rig.names()
	last := uint64(0)
	for {
		epoch, err := a.rig.only(names[:n]...).read(context.WithoutCancel(ctx), conn, "")
		if err == nil && epoch < last {
			err = fmt.Errorf("epoch went back from %d to %d", last, epoch)
		}
		last = epoch
		a.note(epoch, err)
		names = slices.Concat(names[n:], names[:n])
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

func (a *auditReaders) note(epoch uint64, err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.reads++
	a.epochs[epoch] = true
	if err == nil {
		return
	}
	a.wrong++
	if len(a.faults) < 10 {
		a.faults = append(a.faults, err)
	}
}

// stop ends the readers and fails the test unless there were enough reads and all were right.
func (a *auditReaders) stop(least int) {
	t := a.rig.t
	t.Helper()
	a.cancel()
	a.group.Wait()
	t.Logf("%d reads of %d epochs", a.reads, len(a.epochs))
	if a.wrong > 0 {
		t.Errorf("%d of %d reads failed, such as %v", a.wrong, a.reads, errors.Join(a.faults...))
	}
	if len(a.epochs) < least {
		t.Errorf("readers saw %d epochs, want %d or more", len(a.epochs), least)
	}
}

// markRow is what the invariants over time are about.
type markRow struct {
	term, epoch, lsn uint64
	split            time.Time
	parts            effect
}

// checkMarks makes sure that nothing in the marks ever went back, and that there was enough to go wrong: moves of the
// split date of the given table, rows in its LATE, masks.
func (r *auditRig) checkMarks(table string, leastMoves int) {
	r.t.Helper()
	for _, a := range r.tables {
		rows := r.marks(a.name)
		moves, late, masks := 0, 0, 0
		for i, m := range rows {
			late, masks = max(late, m.parts.late), max(masks, m.parts.masks)
			if i > 0 && r.forward(a.name, rows[i-1], m) {
				moves++
			}
		}
		r.t.Logf("%s: %d marks, %d moves, at most %d rows in LATE and %d masks", a.name, len(rows), moves, late, masks)
		if a.name != table {
			continue
		}
		if moves < leastMoves || late == 0 || masks == 0 {
			r.t.Errorf("%s: %d moves of the split date, want %d or more; %d rows in LATE, %d masks", a.name, moves, leastMoves, late, masks)
		}
	}
}

// forward reports whether the split date moved from one mark to the next, and fails the test if anything went back.
func (r *auditRig) forward(table string, before, m markRow) bool {
	r.t.Helper()
	if m.epoch <= before.epoch || m.term < before.term || m.lsn < before.lsn || m.split.Before(before.split) {
		r.t.Errorf("%s went back from %+v to %+v", table, before, m)
	}
	return m.split.After(before.split)
}

// marks returns all marks that hold a table, oldest first. While a mark is moved to the log it is in both tables.
func (r *auditRig) marks(table string) (out []markRow) {
	r.t.Helper()
	rows, err := r.CH.Query(r.t.Context(), fmt.Sprintf(`
		SELECT DISTINCT term, epoch, lsn, ifNull(tables['%[2]s'].split, toDateTime64(0, 6, 'UTC')),
			arrayMap(list -> arraySum(c -> chunks['%[2]s'][c].rows, list), [tables['%[2]s'].rt, tables['%[2]s'].late,
				tables['%[2]s'].masks, arrayConcat(tables['%[2]s'].clean, tables['%[2]s'].dirty)])
		FROM (SELECT * FROM %[1]s.split_date UNION ALL SELECT * FROM %[1]s_tidemark.split_date_log)
		WHERE mapContains(tables, '%[2]s')
		ORDER BY term, epoch`, r.Name, table))
	if err != nil {
		r.t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var m markRow
		var n []uint64
		if err := rows.Scan(&m.term, &m.epoch, &m.lsn, &m.split, &n); err != nil {
			r.t.Fatal(err)
		}
		m.parts = effect{rt: int(n[0]), late: int(n[1]), masks: int(n[2]), historic: int(n[3])}
		out = append(out, m)
	}
	if err := rows.Err(); err != nil {
		r.t.Fatal(err)
	}
	return slices.Clip(out)
}
