package bridge

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/tidemark-db/tidemark/cdc"
	"github.com/tidemark-db/tidemark/internal/block"
	"github.com/tidemark-db/tidemark/internal/load"
	"github.com/tidemark-db/tidemark/internal/observe"
	"github.com/tidemark-db/tidemark/internal/shape"
	"github.com/tidemark-db/tidemark/rtwindow"
	"github.com/tidemark-db/tidemark/splitdate"
	"github.com/tidemark-db/tidemark/sql"
)

// loading is a load under way: the rows of a table as they were at a barrier become chunks, while the changes from the
// barrier on are collected. When all rows are there, the collected changes are one tick on top of them, and the mark that
// holds that tick is the first one that lists the table.
//
// Which changes are from the barrier on is known only when PostgreSQL has made it. Until then the latest ones are kept as
// they are; if the barrier turns out to lie before them, it is thrown away and another one is made.
//
// A large table is read in pieces, by the pages of its files, and no piece is begun under a barrier older than
// limits.max_snapshot_age: it then has a barrier of its own. The marks keep the pieces and the changes so far,
// so that a restart goes on with the next piece. A row that did not change since the first barrier is where it was then,
// and so in exactly one piece. One that did change is among the changes; it may be in no piece, in one, or in two.
type loading struct {
	table *table
	splitdate.Load
	whole bool // in one piece, whatever its size

	recent    []cdc.Event
	bytes     int
	forgotten cdc.LSN // newest commit LSN of a change that was not kept

	events chan loadEvent
	answer chan loadAnswer
	cancel context.CancelFunc
	loaded bool         // the last piece is there
	saved  bool         // the newest mark keeps it
	loader *load.Loader // of the piece being read; the goroutine's
	job    *observe.Job
	since  time.Time
}

// loadEvent is what the goroutine that loads tells the loop: a barrier, a piece or an error.
type loadEvent struct {
	barrier cdc.LSN
	files   string // with the first barrier: the table's
	end     int64
	piece   *splitdate.Table
	pages   int64 // that have been read with this piece
	err     error
	wasted  *load.Loader // of the piece that failed
}

// loadAnswer tells the goroutine whether the barrier will do, and the split date of the table to be.
type loadAnswer struct {
	ok    bool
	split splitdate.Instant
}

// recentBytes bounds the changes that are kept while a barrier is being made.
const recentBytes = 32 << 20

// journals reports whether a change belongs on top of the barrier's snapshot.
func (l *loading) journals(e *cdc.Event) bool {
	if l.Barrier != 0 {
		return e.LSN >= l.Barrier
	}
	l.recent = append(l.recent, *e)
	l.bytes += eventOverhead + e.Bytes
	for l.bytes > recentBytes {
		l.forgotten = l.recent[0].LSN
		l.bytes -= eventOverhead + l.recent[0].Bytes
		l.recent = l.recent[1:]
	}
	return false
}

// resumeLoads takes up the loads that the newest mark keeps: their tables' changes are collected from now on. Those of tables
// that are no longer configured are given up.
func (s *session) resumeLoads(ctx context.Context) error {
	shapes, err := s.readShapes(ctx)
	if err != nil {
		return err
	}
	var gone []string
	for name, kept := range s.mark.Loads {
		t := s.byView(name)
		if t == nil {
			gone = append(gone, name)
			continue
		}
		if change, err := shape.Compare(shapes[kept.Base.Shape].Table, t.source); err != nil || change != shape.None {
			s.log.Warn().Err(err).Str("table", t.sql.Source).Msg("its definition changed after pieces of it were loaded: beginning again")
			s.discardTable(t, kept.Base)
			s.keeper.discard(placeOf(t.sql, sql.Changes), kept.Changes)
			gone = append(gone, name)
			continue
		}
		t.load = &loading{table: t, Load: kept, saved: true}
		if err := json.Unmarshal(kept.Pending, &t.pending); err != nil {
			return fmt.Errorf("decode the load of %s: %w", t.sql.Source, err)
		}
		t.pending.Repeated = !t.pending.Empty() // which keys its pieces have, only the session knew that sent them
	}
	if len(gone) == 0 {
		return nil
	}
	return s.publish(ctx, splitdate.Step{LSN: s.mark.LSN, DropLoads: gone})
}

// beginLoad starts the next load, if a table waits for one and none is under way. One that was begun comes first.
func (s *session) beginLoad(ctx context.Context) error {
	if s.load != nil || s.opts.NoLoads {
		return nil
	}
	i := slices.IndexFunc(s.tables, func(t *table) bool { return t.load != nil })
	if i < 0 {
		i = slices.IndexFunc(s.tables, func(t *table) bool { return !s.live(t) && time.Now().After(t.loadAfter) })
	}
	if i < 0 {
		return nil
	}
	t := s.tables[i]
	if t.load == nil || t.load.Barrier == 0 {
		if err := s.loadsPartitions(ctx, t); err != nil {
			return err
		}
	}
	if t.load == nil {
		t.load = &loading{table: t, whole: t.sql.Keyless()}
	}
	l := t.load
	l.events, l.answer, l.since = make(chan loadEvent), make(chan loadAnswer), time.Now()
	ctx, l.cancel = context.WithCancel(ctx)
	l.job = s.seen.Begin(observe.Load, t.sql.Source, t.source.EstimatedRows)
	s.load = l
	s.log.Info().Str("table", t.sql.Source).Int64("estimated_rows", t.source.EstimatedRows).Int64("pages_read", l.Pages).Msg("loading")
	go l.run(ctx, s, l.Load) // ends with ctx or with its last event; the loop awaits it in stopLoad
	return nil
}

// stopLoad ends the load under way and waits until it has.
func (s *session) stopLoad() {
	if s.load == nil {
		return
	}
	s.load.cancel()
	for range s.load.events { //nolint:revive // drained until the goroutine closes it
	}
	s.load.job.End(errInterrupted)
}

func (s *session) loadEvents() <-chan loadEvent {
	if s.load == nil || s.load.loaded {
		return nil
	}
	return s.load.events
}

// errTooLate says that changes since a barrier were not kept.
var errTooLate = errors.New("barrier came too late")

// run makes barriers, and copies pieces under them, until the table is read. It closes events when it ends. at is how far
// the load is.
func (l *loading) run(ctx context.Context, s *session, at splitdate.Load) {
	defer close(l.events)
	for {
		done, err := l.readUnderBarrier(ctx, s, &at)
		if done {
			return
		}
		if err == nil || errors.Is(err, errTooLate) || at.Barriers == 0 && errors.Is(err, cdc.ErrRewritten) {
			continue
		}
		select {
		case l.events <- loadEvent{err: fmt.Errorf("load %s: %w", l.table.sql.Source, err), wasted: l.loader}:
		case <-ctx.Done():
		}
		return
	}
}

// readUnderBarrier copies pieces until all are there, or the barrier has become too old.
func (l *loading) readUnderBarrier(ctx context.Context, s *session, at *splitdate.Load) (done bool, err error) {
	bounded, cancel := context.WithTimeout(ctx, slotPatience)
	barrier, err := cdc.OpenBarrier(bounded, s.source)
	cancel()
	if err != nil {
		return false, err
	}
	defer barrier.Close()
	l.job.Hold(barrier.LSN.String())
	defer l.job.Hold("")
	first := loadEvent{barrier: barrier.LSN}
	if at.Barriers == 0 && !l.whole {
		if first.files, first.end, err = barrier.Files(ctx, l.table.source); err != nil {
			return false, err
		}
		at.Files, at.End = first.files, first.end
	}
	answer, err := l.ask(ctx, first)
	if err != nil {
		return false, err
	}
	at.Barriers++
	for opened := time.Now(); time.Since(opened) < s.cfg.Limits.MaxSnapshotAge; {
		if err := l.readPiece(ctx, s, barrier, answer.split, at); err != nil {
			return false, err
		}
		if at.Pages >= at.End {
			return true, nil
		}
	}
	return false, nil
}

// readPiece copies the next piece to chunks and tells the loop.
func (l *loading) readPiece(ctx context.Context, s *session, barrier *cdc.Barrier, split splitdate.Instant, at *splitdate.Load) error {
	rng := l.table.retained(splitdate.Table{Split: split})
	loader, err := load.New(s.db, l.table.sql, load.Options{
		Barrier: barrier.LSN, Split: split, Range: rng, Small: l.table.source.Pages < smallPages, Now: splitdate.InstantOf(time.Now()), Numbers: s.nextChunk,
	})
	if err != nil {
		return err
	}
	opts := cdc.CopyOptions{
		Table: l.table.source, Columns: columnNames(l.table.sql.Columns),
		Workers: s.cfg.Limits.CopyWorkers, RowsPerSecond: int(s.cfg.Limits.CopyRowsPerSecond), Binary: loader.Binary(),
	}
	before := int64(at.Base.Rows(at.Base.Listed()))
	opts.Progress = func(rows, total int64) { l.job.Advance(before+rows, total) }
	if opts.Between = between(l.table, rng); opts.Between != nil {
		opts.Between.Indexed = false // it is read by its pages
	}
	if at.Files != "" {
		opts.Pages = &cdc.Pages{Files: at.Files, First: at.Pages, End: min(at.Pages+s.piecePages(at.End), at.End)}
		at.Pages = opts.Pages.End
	}
	l.loader = loader
	if err := barrier.Copy(ctx, opts, loader.Add); err != nil {
		return err
	}
	piece, err := loader.Finish(ctx)
	if err != nil {
		return err
	}
	l.loader = nil
	if at.Base, err = at.Base.Join(piece); err != nil {
		return err
	}
	select {
	case l.events <- loadEvent{piece: &piece, pages: at.Pages}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// A piece is a 64th of the table, and at least 256 MiB of it: few enough chunks, little enough to read again.
const (
	minPiecePages = 32768
	maxPieces     = 64
)

// piecePages is the size of a piece of a table of so many pages.
func (s *session) piecePages(pages int64) int64 {
	if s.opts.PiecePages > 0 {
		return s.opts.PiecePages
	}
	return max(minPiecePages, pages/maxPieces+1)
}

// smallPages is the size in 8 kB pages up to which a mirrored table lies in RT as a whole.
const smallPages = 256

func columnNames(cols []sql.Column) []string {
	out := make([]string, len(cols))
	for i, c := range cols {
		out[i] = c.Shown()
	}
	return out
}

// ask tells the loop where the barrier is, and returns its answer.
func (l *loading) ask(ctx context.Context, e loadEvent) (a loadAnswer, err error) {
	select {
	case l.events <- e:
	case <-ctx.Done():
		return a, ctx.Err()
	}
	select {
	case a = <-l.answer:
	case <-ctx.Done():
		return a, ctx.Err()
	}
	if !a.ok {
		return a, errTooLate
	}
	return a, nil
}

// loadEvent takes what the goroutine that loads has to tell.
func (s *session) loadEvent(ctx context.Context, e loadEvent) error {
	l := s.load
	switch {
	case e.err != nil:
		s.discardPiece(l.table, e.wasted)
		return s.loadFailed(ctx, e.err)
	case e.piece != nil:
		return s.addPiece(ctx, e)
	case e.barrier == 0: // closed after its last event
		<-ctx.Done()
		return nil
	}
	answer := loadAnswer{ok: true, split: l.Base.Split}
	if l.Barrier == 0 {
		var err error
		if answer, err = s.firstBarrier(ctx, l, e); err != nil || s.load != l { // a bad value among the changes has ended the load
			return err
		}
	}
	if answer.ok {
		l.Last = e.barrier
		l.Barriers++
	}
	select {
	case l.answer <- answer:
	case <-ctx.Done():
	}
	return nil
}

// firstBarrier begins to collect changes, and fixes the split date of the table to be.
func (s *session) firstBarrier(ctx context.Context, l *loading, e loadEvent) (answer loadAnswer, err error) {
	if answer.ok, err = s.setBarrier(ctx, l, e.barrier); err != nil || !answer.ok {
		return answer, err
	}
	l.Files, l.End = e.files, e.end
	l.Base.Mirrored = l.table.sql.Mirrored()
	if !l.Base.Mirrored {
		now, err := s.settledClock(ctx, s.tick.commitTime)
		if err != nil {
			return answer, err
		}
		l.Base.Split = s.splitAt(l.table, now)
	}
	answer.split = l.Base.Split
	return answer, nil
}

// addPiece takes a piece to those that are there.
func (s *session) addPiece(ctx context.Context, e loadEvent) (err error) {
	l := s.load
	if l.Base, err = l.Base.Join(*e.piece); err != nil {
		return fmt.Errorf("load %s: %w", l.table.sql.Source, err)
	}
	l.Pages, l.saved = e.pages, false
	l.loaded = l.Pages >= l.End
	if err := s.commit(ctx); err != nil { // the table appears with the next tick, unless the position has to reach the barrier first
		return err
	}
	return s.beginLoad(ctx)
}

// loadPatience is the time between two attempts to load a table.
const loadPatience = 10 * time.Second

// loadFailed gives up a load for now: what was read stays, and the ticks go on. A value that ClickHouse cannot hold, and
// pages that are no longer those of the table, are no matter of trying again.
func (s *session) loadFailed(ctx context.Context, err error) error {
	l := s.load
	switch {
	case isA[*block.ValueError](err):
		return s.holdOn(ctx, s.ofTable(l.table, err))
	case errors.Is(err, cdc.ErrRewritten):
		s.log.Warn().Err(err).Str("table", l.table.sql.Source).Msg("the table was rewritten while it was loaded: beginning again")
		return s.abandonLoad(ctx, l, false)
	}
	s.log.Error().Err(err).Str("table", l.table.sql.Source).Dur("again_in", loadPatience).Msg("load interrupted; the other tables go on")
	l.cancel()
	l.job.End(err)
	s.load = nil
	if l.Pages == 0 { // nothing is there yet that could be kept
		s.forget(l.table)
		l.table.load = nil
	}
	l.table.loadAfter = time.Now().Add(loadPatience)
	return nil
}

// abandonLoad throws away what was read of a table; whole says to read it in one piece the next time.
func (s *session) abandonLoad(ctx context.Context, l *loading, whole bool) error {
	t := l.table
	if s.load == l {
		l.cancel()
		l.job.End(errInterrupted)
		s.load = nil
	}
	s.forget(t)
	s.discardTable(t, l.Base)
	t.load = nil
	if whole {
		t.load = &loading{table: t, whole: true}
	}
	if _, kept := s.mark.Loads[t.sql.Name]; kept {
		return s.publish(ctx, splitdate.Step{LSN: s.mark.LSN, CommitTime: s.mark.CommitTime, DropLoads: []string{t.sql.Name}})
	}
	return nil
}

// forget drops the changes of a table that no mark shows.
func (s *session) forget(t *table) {
	s.keeper.discard(placeOf(t.sql, sql.Changes), t.pending.Written)
	t.pending = rtwindow.Pending{}
	t.changes.Reset()
}

// discardTable drops the chunks of a table that no mark shows.
func (s *session) discardTable(t *table, state splitdate.Table) {
	for _, r := range []sql.Region{sql.RT, sql.Late, sql.Historic, sql.Masks} {
		s.keeper.discard(placeOf(t.sql, r), state.In(r))
	}
}

// discardPiece drops what was read of a piece that failed.
func (s *session) discardPiece(t *table, loader *load.Loader) {
	if loader == nil {
		return
	}
	rt, settled := loader.Chunks()
	s.keeper.discard(placeOf(t.sql, sql.RT), rt)
	s.keeper.discard(placeOf(t.sql, sql.Historic), settled)
}

// setBarrier begins to collect changes from the barrier on, or reports that some of them are lost.
func (s *session) setBarrier(ctx context.Context, l *loading, barrier cdc.LSN) (bool, error) {
	recent := l.recent
	l.recent, l.bytes = nil, 0
	if l.forgotten >= barrier {
		s.log.Info().Str("table", l.table.sql.Source).Stringer("barrier", barrier).Msg("barrier came too late, making another")
		return false, nil
	}
	l.table.changes.Reset()
	l.table.pending = l.table.pending.Truncate()
	l.table.pending.Truncated = false
	l.Barrier = barrier
	for i := range recent {
		if recent[i].LSN < barrier {
			continue
		}
		if err := s.applyTo(ctx, l.table, &recent[i]); err != nil || s.load != l {
			return false, err
		}
	}
	return true, nil
}

// saveLoads puts into the step how far the loads are that have a piece to keep. Their changes so far are in ClickHouse then,
// so that PostgreSQL may forget them.
func (s *session) saveLoads(ctx context.Context, step *splitdate.Step) error {
	for _, t := range s.tables {
		l := t.load
		if l == nil || l.Pages == 0 || l.saved && t.changes.Empty() {
			continue
		}
		if _, appears := step.Add[t.sql.Name]; appears {
			continue
		}
		if err := s.flush(ctx, t); err != nil {
			return s.ofTable(t, err)
		}
		pending, err := json.Marshal(t.pending)
		if err != nil {
			return fmt.Errorf("encode the load of %s: %w", t.sql.Source, err)
		}
		l.Pending, l.Changes = pending, t.pending.Written
		if l.Base.Shape == 0 { // what tells the next session whether the pieces are of the table as it is then
			if l.Base.Shape, err = s.saveShape(ctx, t.sql.Source, t.shape()); err != nil {
				return err
			}
		}
		if step.Loads == nil {
			step.Loads = map[string]splitdate.Load{}
		}
		step.Loads[t.sql.Name] = l.Load
	}
	return nil
}

// addLoaded puts a table whose rows are all there into the step, with the changes since its barrier, once the mark's
// position has reached the barrier. It returns that table.
func (s *session) addLoaded(ctx context.Context, step *splitdate.Step) (*table, error) {
	l := s.load
	if l == nil || !l.loaded || step.LSN < l.Last {
		return nil, nil
	}
	t := l.table
	t.pending.Overlapping = l.Barriers > 1
	d, err := s.applyTable(ctx, t, l.Base)
	if errors.Is(err, rtwindow.ErrGap) && l.Barriers > 1 {
		s.log.Warn().Err(err).Str("table", t.sql.Source).Msg("a row moved between two pieces, and the WAL left out its TOAST values: loading in one piece")
		return nil, s.abandonLoad(ctx, l, true)
	}
	if err != nil {
		return nil, s.ofTable(t, err)
	}
	state, err := l.Base.Apply(d)
	if err != nil {
		return nil, fmt.Errorf("table %s: %w", t.sql.Source, err)
	}
	if state.Shape, err = s.saveShape(ctx, t.sql.Source, t.shape()); err != nil {
		return nil, err
	}
	step.Add[t.sql.Name] = state
	for region, chunks := range map[sql.Region][]splitdate.Chunk{sql.RT: d.DropRT, sql.Late: d.DropLate, sql.Historic: d.DropHistoric, sql.Masks: d.DropMasks} {
		s.keeper.discard(placeOf(t.sql, region), chunks)
	}
	s.discardScratch(t, d)
	return t, nil
}

// endLoad takes note that a mark holds the table, and checks its view.
func (s *session) endLoad(ctx context.Context, t *table) error {
	rows, took := s.mark.Tables[t.sql.Name].Live(), time.Since(s.load.since)
	s.log.Info().Str("table", t.sql.Source).Uint64("rows", rows).Dur("took", took).Msg("loaded")
	s.load.cancel()
	s.load.job.End(nil)
	s.load, t.load = nil, nil
	t.loadAfter, t.pause = time.Time{}, 0
	s.applied(t)
	return s.selfCheck(ctx)
}
