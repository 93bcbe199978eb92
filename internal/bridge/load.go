package bridge

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/tidemark-db/tidemark/cdc"
	"github.com/tidemark-db/tidemark/internal/load"
	"github.com/tidemark-db/tidemark/internal/observe"
	"github.com/tidemark-db/tidemark/splitdate"
	"github.com/tidemark-db/tidemark/sql"
)

// loading is a load under way: the rows of a table as they were at a barrier become chunks, while the changes from the
// barrier on are collected. When all rows are there, the collected changes are one tick on top of them, and the mark that
// holds that tick is the first one that lists the table.
//
// Which changes are from the barrier on is known only when PostgreSQL has made it. Until then the latest ones are kept as
// they are; if the barrier turns out to lie before them, it is thrown away and another one is made.
type loading struct {
	table *table

	barrier   cdc.LSN // 0: not known yet
	recent    []cdc.Event
	bytes     int
	forgotten cdc.LSN // newest commit LSN of a change that was not kept

	events chan loadEvent
	answer chan loadAnswer
	cancel context.CancelFunc
	loaded *splitdate.Table
	job    *observe.Job
	since  time.Time
}

// loadEvent is what the goroutine that loads tells the loop.
type loadEvent struct {
	barrier cdc.LSN
	loaded  *splitdate.Table
	err     error
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
	if l.barrier != 0 {
		return e.LSN >= l.barrier
	}
	l.recent = append(l.recent, *e)
	l.bytes += eventBytes(e)
	for l.bytes > recentBytes {
		l.forgotten = l.recent[0].LSN
		l.bytes -= eventBytes(&l.recent[0])
		l.recent = l.recent[1:]
	}
	return false
}

// beginLoad starts the next load, if a table waits for one and none is under way.
func (s *session) beginLoad(ctx context.Context) error {
	i := slices.IndexFunc(s.tables, func(t *table) bool { return !s.live(t) })
	if s.load != nil || i < 0 || s.opts.NoLoads {
		return nil
	}
	t := s.tables[i]
	ctx, cancel := context.WithCancel(ctx)
	l := &loading{table: t, events: make(chan loadEvent), answer: make(chan loadAnswer), cancel: cancel, since: time.Now()}
	l.job = s.seen.Begin(observe.Load, t.sql.Source, t.source.EstimatedRows)
	s.load, t.load = l, l
	s.log.Info().Str("table", t.sql.Source).Int64("estimated_rows", t.source.EstimatedRows).Msg("loading")
	go l.run(ctx, s) // ends with ctx or with its last event; the loop awaits it in stopLoad
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
	if s.load == nil || s.load.loaded != nil {
		return nil
	}
	return s.load.events
}

// run makes barriers until one will do, and copies the table. It closes events when it ends.
func (l *loading) run(ctx context.Context, s *session) {
	defer close(l.events)
	for {
		loaded, err := l.attempt(ctx, s)
		if err == nil && loaded == nil || errors.Is(err, cdc.ErrRewritten) {
			continue
		}
		select {
		case l.events <- loadEvent{loaded: loaded, err: err}:
		case <-ctx.Done():
		}
		return
	}
}

// attempt loads under one barrier; it returns nil without an error when the barrier would not do.
func (l *loading) attempt(ctx context.Context, s *session) (*splitdate.Table, error) {
	bounded, cancel := context.WithTimeout(ctx, slotPatience)
	barrier, err := cdc.OpenBarrier(bounded, s.source)
	cancel()
	if err != nil {
		return nil, fmt.Errorf("load %s: %w", l.table.sql.Source, err)
	}
	defer barrier.Close()
	answer, err := l.ask(ctx, barrier.LSN)
	if err != nil || !answer.ok {
		return nil, err
	}
	loader, err := load.New(s.db, l.table.sql, load.Options{
		Barrier: barrier.LSN, Split: answer.split, Range: splitdate.Everything, Small: l.table.source.Pages < smallPages, Numbers: s.nextChunk,
	})
	if err != nil {
		return nil, err
	}
	err = barrier.Copy(ctx, cdc.CopyOptions{
		Table: l.table.source, Columns: columnNames(l.table.sql.Columns),
		Workers: s.cfg.Limits.CopyWorkers, RowsPerSecond: int(s.cfg.Limits.CopyRowsPerSecond),
		Progress: l.job.Advance,
	}, loader.Add)
	if err != nil {
		return nil, fmt.Errorf("load %s: %w", l.table.sql.Source, err)
	}
	state, err := loader.Finish(ctx)
	return &state, err
}

// smallPages is the size in 8 kB pages up to which a mirrored table lies in RT as a whole.
const smallPages = 256

func columnNames(cols []sql.Column) []string {
	out := make([]string, len(cols))
	for i, c := range cols {
		out[i] = c.Name
	}
	return out
}

// ask tells the loop where the barrier is, and returns its answer.
func (l *loading) ask(ctx context.Context, barrier cdc.LSN) (a loadAnswer, err error) {
	select {
	case l.events <- loadEvent{barrier: barrier}:
	case <-ctx.Done():
		return a, ctx.Err()
	}
	select {
	case a = <-l.answer:
		return a, nil
	case <-ctx.Done():
		return a, ctx.Err()
	}
}

// loadEvent takes what the goroutine that loads has to tell.
func (s *session) loadEvent(ctx context.Context, e loadEvent) error {
	l := s.load
	switch {
	case e.err != nil:
		return e.err
	case e.loaded != nil:
		l.loaded = e.loaded
		if err := s.commit(ctx); err != nil { // the next tick, unless the position has to reach the barrier first
			return err
		}
		return s.beginLoad(ctx)
	case e.barrier == 0: // closed after its last event
		<-ctx.Done()
		return nil
	}
	ok, err := s.setBarrier(ctx, l, e.barrier)
	if err != nil {
		return err
	}
	answer := loadAnswer{ok: ok}
	if !l.table.sql.Mirrored() {
		now, err := s.settledClock(ctx, s.tick.commitTime)
		if err != nil {
			return err
		}
		answer.split = s.splitAt(l.table, now)
	}
	select {
	case l.answer <- answer:
	case <-ctx.Done():
	}
	return nil
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
	l.barrier = barrier
	for i := range recent {
		if recent[i].LSN < barrier {
			continue
		}
		if err := s.applyTo(ctx, l.table, &recent[i]); err != nil {
			return false, err
		}
	}
	return true, nil
}

// addLoaded puts a table whose rows are all there into the step, with the changes since its barrier, once the mark's
// position has reached the barrier. It returns that table.
func (s *session) addLoaded(ctx context.Context, step *splitdate.Step) (*table, error) {
	l := s.load
	if l == nil || l.loaded == nil || step.LSN < l.barrier {
		return nil, nil
	}
	t := l.table
	d, err := s.applyTable(ctx, t, *l.loaded)
	if err != nil {
		return nil, err
	}
	state, err := l.loaded.Apply(d)
	if err != nil {
		return nil, fmt.Errorf("table %s: %w", t.sql.Source, err)
	}
	step.Add[t.sql.Name] = state
	for region, chunks := range map[sql.Region][]splitdate.Chunk{sql.RT: d.DropRT, sql.Late: d.DropLate, sql.Historic: d.DropHistoric, sql.Masks: d.DropMasks} {
		s.keeper.discard(place{t.sql, region}, chunks)
	}
	return t, nil
}

// endLoad takes note that a mark holds the table, and checks its view.
func (s *session) endLoad(ctx context.Context, t *table) error {
	rows, took := s.mark.Tables[t.sql.Name].Live(), time.Since(s.load.since)
	s.log.Info().Str("table", t.sql.Source).Uint64("rows", rows).Dur("took", took).Msg("loaded")
	s.load.cancel()
	s.load.job.End(nil)
	s.load, t.load = nil, nil
	s.applied(t)
	return s.selfCheck(ctx)
}
