package bridge

import (
	"context"
	"fmt"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/tidemark-db/tidemark/internal/warehouse"
	"github.com/tidemark-db/tidemark/rtwindow"
	"github.com/tidemark-db/tidemark/splitdate"
	"github.com/tidemark-db/tidemark/sql"
)

// parallelTables is how many tables a tick works on at once: each is a chain of short statements.
const parallelTables = 4

// commit publishes what was collected: new chunks for every table that changed, then one mark. Within a big transaction
// there is nothing that could be published.
func (s *session) commit(ctx context.Context) error {
	if s.tick.big {
		return nil
	}
	if err := s.consult(ctx); err != nil {
		return s.waitForLock(err)
	}
	began := time.Now()
	step := splitdate.Step{LSN: s.tick.position, CommitTime: s.tick.commitTime, Deltas: map[string]splitdate.Delta{}, Add: map[string]splitdate.Table{}}
	changed := s.changed()
	deltas := make([]splitdate.Delta, len(changed))
	group, inner := errgroup.WithContext(ctx)
	group.SetLimit(parallelTables)
	for i, t := range changed {
		group.Go(func() (err error) {
			deltas[i], err = s.applyTable(inner, t, s.mark.Tables[t.sql.Name])
			return s.ofTable(t, err)
		})
	}
	if err := group.Wait(); err != nil {
		return s.holdOn(ctx, err)
	}
	for i, t := range changed {
		step.Deltas[t.sql.Name] = deltas[i]
	}
	loaded, err := s.addLoaded(ctx, &step)
	if err != nil {
		return s.holdOn(ctx, err)
	}
	if err := s.saveLoads(ctx, &step); err != nil {
		return s.holdOn(ctx, err)
	}
	if len(changed)+len(step.Add)+len(step.Loads) == 0 && step.LSN <= s.mark.LSN {
		s.seen.Ticked(0, false, nil)
		return nil
	}
	if err := s.writeFeeds(ctx, changed, step); err != nil {
		return err
	}
	if err := s.publish(ctx, step); err != nil {
		return err
	}
	s.seen.Ticked(time.Since(began), true, s.tick.commits)
	s.tick.commits = s.tick.commits[:0]
	for _, t := range changed {
		s.applied(t)
	}
	s.answerReread() // the journals hold this tick too by now
	if loaded != nil {
		return s.endLoad(ctx, loaded)
	}
	return nil
}

// changed lists the tables in the mark with something to apply.
func (s *session) changed() (out []*table) {
	for _, t := range s.tables {
		if s.live(t) && (!t.changes.Empty() || !t.pending.Empty()) {
			out = append(out, t)
		}
	}
	return out
}

// live reports whether the mark holds the table.
func (s *session) live(t *table) bool {
	_, ok := s.mark.Tables[t.sql.Name]
	return ok
}

// applyTable writes the chunks that a table's changes make of a state, and returns what the mark has to list.
func (s *session) applyTable(ctx context.Context, t *table, state splitdate.Table) (d splitdate.Delta, err error) {
	if err := s.flush(ctx, t); err != nil {
		return d, err
	}
	p := t.pending
	p.Overlapping = p.Overlapping || t.inDoubt() || t.sql.KeepsOld || t.sql.Retains
	switch {
	case p.Truncated && t.sql.KeepsOld:
		gone, kept, err := s.takeOut(ctx, t, state, splitdate.Range{From: t.ages(state).Keep, To: splitdate.Everything.To})
		if err != nil {
			return d, err
		}
		if d, err = s.applyPieces(ctx, t, kept, p); err != nil {
			return d, err
		}
		return gone.Then(d), nil
	case p.Truncated:
		d.DropRT, d.DropLate, d.DropMasks, d.DropHistoric = state.RT, state.Late, state.Masks, state.Historic()
		state = splitdate.Table{Mirrored: state.Mirrored, Split: state.Split}
	}
	changed, err := s.applyPieces(ctx, t, state, p)
	if err != nil {
		return d, err
	}
	return d.Then(changed), nil
}

// sliceRows bounds the changes that ClickHouse works on at once: their keys are in its memory.
const sliceRows = 1 << 21

// applyPieces writes the chunks that the pieces make of a state: slice by slice of the keys, where there are many.
func (s *session) applyPieces(ctx context.Context, t *table, state splitdate.Table, p rtwindow.Pending) (d splitdate.Delta, err error) {
	if len(p.Pieces) == 0 {
		return d, nil
	}
	ages := t.ages(state)
	if p, err = t.window.Resolve(ctx, state, p, ages); err != nil {
		return d, err
	}
	for i, n := uint64(0), s.slices(t, p); i < n; i++ {
		part, err := t.window.Compact(ctx, state, p, ages, rtwindow.Slice{Number: i, Of: n})
		if err != nil {
			return d, err
		}
		p.Written = part.Written
		t.pending = t.pending.Replace(part, i == 0)
		next, err := s.applySlice(ctx, t, state, part, n > 1)
		if err != nil {
			return d, err
		}
		if n == 1 { // as nearly always: the state need not be computed twice
			return next, nil
		}
		if state, err = state.Apply(next); err != nil {
			return d, fmt.Errorf("table %s: %w", t.sql.Source, err)
		}
		d = d.Then(next)
	}
	return d, nil
}

// slices is how many slices a table's changes are applied in. A table without keys has none, and needs none: its rows are
// copied as they come.
func (s *session) slices(t *table, p rtwindow.Pending) uint64 {
	if t.sql.Keyless() {
		return 1
	}
	return max(p.Rows/sliceRows+1, s.opts.Slices)
}

// applySlice writes the chunks that compacted pieces make of a state. Where more is set, other slices follow it.
func (s *session) applySlice(ctx context.Context, t *table, state splitdate.Table, p rtwindow.Pending, more bool) (d splitdate.Delta, err error) {
	found, err := t.window.Locate(ctx, state, p)
	if err != nil {
		return d, err
	}
	if err := s.mask(ctx, t, state, p, found, &d); err != nil {
		return d, err
	}
	err = t.window.Rewrite(ctx, state, found, more, &d)
	return d, err
}

// mask masks the changed rows that are neither in RT nor in LATE, and checks that every one was found.
func (s *session) mask(ctx context.Context, t *table, state splitdate.Table, p rtwindow.Pending, found rtwindow.Found, d *splitdate.Delta) error {
	if found.Rows == p.Lookups && !p.Overlapping {
		return nil
	}
	masked, err := t.archive.Mask(ctx, state, p.Chunks(), !t.busy(), d)
	if err != nil {
		return err
	}
	return t.window.CheckFound(p, found, masked)
}

// publish is the commit point. A publication that was begun is finished even when a stop arrives.
func (s *session) publish(ctx context.Context, step splitdate.Step) error {
	if err := s.writeStates(ctx, &step); err != nil {
		return err
	}
	next, err := s.mark.Next(step)
	if err != nil {
		return err
	}
	if ctx.Err() != nil {
		return fmt.Errorf("publish %s: %w", next, ctx.Err())
	}
	ctx = context.WithoutCancel(ctx)
	now, err := s.store.Publish(ctx, s.mark, next)
	if err != nil {
		return err
	}
	s.keeper.published(s.mark, next, now)
	s.mark = next
	s.seen.Published(next)
	for _, t := range s.tables {
		t.states.Published(next.Aggregates)
		s.discardScratch(t, step.Deltas[t.sql.Name])
	}
	if err := s.showColumns(ctx); err != nil {
		return err
	}
	if s.opts.CheckInvariants {
		return s.checkInvariants(ctx, step)
	}
	return nil
}

// discardScratch drops what a delta's chunks were made of and no mark will list.
func (s *session) discardScratch(t *table, d splitdate.Delta) {
	for region, chunks := range d.Scratch {
		s.keeper.discard(placeOf(t.sql, region), chunks)
	}
}

// applied forgets what a mark now holds. Its pieces are garbage, but for those that the table's journal keeps.
func (s *session) applied(t *table) {
	garbage := t.pending.Written
	if t.journal != nil {
		kept := t.journal.note(t.pending.Truncated, t.pending.Chunks())
		garbage = slices.DeleteFunc(slices.Clone(garbage), func(c splitdate.Chunk) bool { return slices.Contains(kept, c) })
	}
	s.keeper.discard(placeOf(t.sql, sql.Changes), garbage)
	t.pending = rtwindow.Pending{}
	t.changes.Reset()
}

// checkInvariants evaluates in SQL the invariants of the tables that a step changed.
func (s *session) checkInvariants(ctx context.Context, step splitdate.Step) error {
	for _, t := range s.tables {
		_, changed := step.Deltas[t.sql.Name]
		_, added := step.Add[t.sql.Name]
		if !changed && !added {
			continue
		}
		if err := CheckInvariants(ctx, s.db, t.plan, s.mark.Tables[t.sql.Name]); err != nil {
			return fmt.Errorf("%s: %w", s.mark, err)
		}
	}
	return nil
}

// CheckInvariants evaluates the invariants of one table at the newest mark, whose state of the table is given.
func CheckInvariants(ctx context.Context, db *warehouse.Conn, p plan, state splitdate.Table) error {
	what := []string{
		"rows in RT before the split date", "rows in HISTORIC after it", "rows in LATE after it", "keys live twice",
		"rows masked twice", "masks without a row", "listed rows missing",
	}
	counts := make([]int64, len(what))
	unsigned := make([]uint64, len(what)-1)
	dest := make([]any, len(what))
	for i := range unsigned {
		dest[i] = &unsigned[i]
	}
	dest[len(what)-1] = &counts[len(what)-1]
	err := db.Query(ctx, p.sql.CheckInvariants(), warehouse.Params{"split": warehouse.I64(state.Split)},
		func(r warehouse.Rows) error { return r.Scan(dest...) })
	if err != nil {
		return err
	}
	for i, n := range unsigned {
		counts[i] = int64(n)
	}
	for i, n := range counts {
		if n != 0 {
			return fmt.Errorf("table %s: %d %s: %w", p.sql.Source, n, what[i], splitdate.ErrInvariant)
		}
	}
	return nil
}
