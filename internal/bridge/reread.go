package bridge

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/tidemark-db/tidemark/cdc"
	"github.com/tidemark-db/tidemark/historic"
	"github.com/tidemark-db/tidemark/internal/load"
	"github.com/tidemark-db/tidemark/internal/observe"
	"github.com/tidemark-db/tidemark/splitdate"
	"github.com/tidemark-db/tidemark/sql"
)

// part is a range of a table that is read again at once: under one barrier, and published by one mark.
type part struct {
	table *table
	rng   splitdate.Range
}

// intent says what rows that were read again are for.
type intent int

const (
	compare intent = iota // with the live ones, and then thrown away
	repair                // the same, but they take the place of live ones that differ
	replace               // they take the place of the live ones
)

// rereading is a part of a live table that is read from PostgreSQL again, beside the ticks: at a barrier, into chunks that
// no mark lists. Once a mark holds the barrier, the rows that did not change since can be compared with the live ones; and
// they can take their place in a mark, while what changed stays where the ticks put it.
type rereading struct {
	part
	*walk
	fold    historic.Fold
	barrier cdc.LSN
	loader  *load.Loader
	loaded  splitdate.Table
	found   historic.Comparison

	waiting bool         // for a mark that holds the barrier; the loop's
	asks    chan cdc.LSN // that it waits
	reached chan reached // the loop's answer; buffered
	ended   chan error   // buffered
	cancel  context.CancelFunc
	job     *observe.Job
	since   time.Time
}

// reached is a state that holds a barrier, and what changed since.
type reached struct {
	state splitdate.Table
	since splitdate.Since
}

// beginReread starts to read a part again. The table must be live and not busy.
func (s *session) beginReread(ctx context.Context, p part, w *walk) {
	state := s.mark.Tables[p.table.sql.Name]
	ctx, cancel := context.WithCancel(ctx)
	rng := ""
	if p.rng != splitdate.Everything {
		rng = p.rng.String()
	}
	r := &rereading{
		part: p, walk: w, cancel: cancel, since: time.Now(),
		asks: make(chan cdc.LSN), reached: make(chan reached, 1), ended: make(chan error, 1),
		job: s.seen.Begin(w.kind(), p.table.sql.Source, estimate(state, p.rng)),
	}
	r.job.Part(rng, len(w.parts))
	s.reread = r
	s.beginJournal(p.table, state.Listed())
	held := s.held(p.table)
	go func() { r.ended <- r.run(ctx, s, state, held) }() // ends with its work or ctx; awaited by endReread or stopReread
}

// estimate is about how many rows of a range are live.
func estimate(state splitdate.Table, rng splitdate.Range) (rows int64) {
	for _, c := range slices.Concat(state.Historic(), state.Late, state.RT) {
		if meta := state.Chunks[c]; state.Mirrored || rng.Overlaps(meta) {
			rows += int64(meta.Rows)
		}
	}
	return rows
}

// holdsSplit reports whether the table's split date has to stay: loaded rows on both sides of it are about to be published.
func (s *session) holdsSplit(t *table, state splitdate.Table) bool {
	r := s.reread
	return r != nil && r.table == t && r.intent != compare && (state.Mirrored || r.rng.To > state.Split)
}

// run does all that needs no mark. It works on the state at which the journal began, and on the one that holds the barrier.
func (r *rereading) run(ctx context.Context, s *session, state splitdate.Table, held []*sql.Aggregate) (err error) {
	if r.intent != compare {
		if r.fold, err = r.table.archive.FreezeRange(ctx, state, r.rng); err != nil {
			return err
		}
	}
	if err := r.read(ctx, s, state); err != nil {
		return err
	}
	at, err := r.await(ctx)
	if err != nil {
		return err
	}
	if r.intent != replace {
		r.job.Enter("comparing")
		if r.found, err = r.table.archive.Compare(ctx, at.state, r.loaded, r.rng, at.since); err != nil {
			return err
		}
	}
	if !r.replaces() {
		return nil
	}
	r.job.Enter("building")
	if err := r.table.archive.Build(ctx, &r.fold, at.since); err != nil {
		return err
	}
	return r.table.states.Write(ctx, historicOf(held, slices.Concat(r.fold.Built(), r.loaded.Clean)))
}

// replaces reports whether the loaded rows are to take the place of the live ones.
func (r *rereading) replaces() bool {
	return r.intent == replace || r.intent == repair && !r.found.Equal
}

// read copies the part's rows, as they are at a new barrier, to chunks.
func (r *rereading) read(ctx context.Context, s *session, state splitdate.Table) error {
	bounded, cancel := context.WithTimeout(ctx, slotPatience)
	barrier, err := cdc.OpenBarrier(bounded, s.source)
	cancel()
	if err != nil {
		return err
	}
	defer barrier.Close()
	r.job.Enter("reading")
	r.job.Hold(barrier.LSN.String())
	defer r.job.Hold("")
	r.barrier = barrier.LSN
	r.loader, err = load.New(s.db, r.table.sql, load.Options{
		Barrier: barrier.LSN, Split: state.Split, Range: r.rng, Numbers: s.nextChunk,
		Small: r.table.source.Pages < smallPages && len(state.Historic()) == 0,
	})
	if err != nil {
		return err
	}
	err = barrier.Copy(ctx, cdc.CopyOptions{
		Table: r.table.source, Columns: columnNames(r.table.sql.Columns), Between: between(r.table, r.rng),
		Workers: s.cfg.Limits.CopyWorkers, RowsPerSecond: int(r.perSec), Binary: r.loader.Binary(),
		Progress: func(rows, _ int64) { r.job.Done(rows) },
	}, r.loader.Add)
	if err != nil {
		return err
	}
	r.loaded, err = r.loader.Finish(ctx)
	return err
}

// await returns the first state that holds the barrier.
func (r *rereading) await(ctx context.Context) (at reached, err error) {
	r.job.Enter("waiting for the stream")
	select {
	case r.asks <- r.barrier:
	case <-ctx.Done():
		return at, ctx.Err()
	}
	select {
	case at = <-r.reached:
		return at, nil
	case <-ctx.Done():
		return at, ctx.Err()
	}
}

// answerReread answers a reader that waits for its barrier, if the mark holds it.
func (s *session) answerReread() {
	r := s.reread
	if r == nil || !r.waiting || s.mark.LSN < r.barrier {
		return
	}
	r.waiting = false
	state := s.mark.Tables[r.table.sql.Name]
	s.keeper.pin(r.table.sql, state.Listed())
	r.reached <- reached{state: state, since: r.changed(state)}
}

// changed is what the ticks changed since the journal began: all that changed since the barrier, and a little more.
func (r *rereading) changed(state splitdate.Table) splitdate.Since {
	return splitdate.Since{
		Barrier: r.barrier, Journal: slices.Clone(r.table.journal.pieces), Keep: r.table.ages(state).Keep, Loaded: r.loaded.Clean,
	}
}

func (s *session) rereadAsks() <-chan cdc.LSN {
	if s.reread == nil {
		return nil
	}
	return s.reread.asks
}

func (s *session) rereadEnded() <-chan error {
	if s.reread == nil {
		return nil
	}
	return s.reread.ended
}

// stopReread ends the reading under way and waits until it has; what it wrote is garbage.
func (s *session) stopReread() {
	if r := s.reread; r != nil {
		r.cancel()
		if err := <-r.ended; err != nil {
			s.log.Debug().Err(err).Msg("reading abandoned")
		}
		r.job.End(errInterrupted)
	}
}

// endReread publishes what was read, if it is to be, and cleans up. err is that of the reading; it concerns the job alone.
// The error that endReread returns concerns the session.
func (s *session) endReread(ctx context.Context, err error) error {
	r := s.reread
	s.reread = nil
	r.cancel()
	defer func() { r.job.End(err) }()
	defer s.endJournal(r.table)
	outcome := Reread{
		Table: r.table.sql.Source, From: bound(r.rng.From, r.rng.OpenStart()), To: bound(r.rng.To, r.rng.OpenEnd()),
		LSN: r.barrier.String(), Rows: r.loaded.Rows(r.loaded.Listed()), Took: time.Since(r.since),
	}
	switch {
	case r.table.journal.void, errors.Is(err, cdc.ErrRewritten): // what was read is the past: once more, with the next tick
		s.dropLoaded(r)
		r.parts = slices.Insert(r.parts, 0, r.part)
		return nil
	case err != nil:
		s.dropLoaded(r)
		s.rereadFailed(r, err)
		return nil
	}
	if r.intent != replace {
		outcome.Equal, outcome.Live, outcome.Differences = r.found.Equal, r.found.Live, r.found.Differences
	}
	if r.replaces() {
		if err := s.publishReread(ctx, r); err != nil {
			return err
		}
		outcome.Replaced = true
		s.keeper.discard(placeOf(r.table.sql, sql.RT), r.loaded.RT) // copied to the chunk that is listed
	} else {
		s.dropLoaded(r)
	}
	outcome.Took = time.Since(r.since)
	return s.note(ctx, r, outcome)
}

// rereadFailed ends the walk of a part that could not be read. That concerns nobody but those who wait for it.
func (s *session) rereadFailed(r *rereading, err error) {
	err = fmt.Errorf("read %s again: %w", r.table.sql.Source, err)
	s.log.Error().Err(err).Str("table", r.table.sql.Source).Str("job", r.kind()).Msg("job failed; views and ticks are not concerned")
	s.walks = slices.DeleteFunc(s.walks, func(w *walk) bool { return w == r.walk })
	r.answer(err)
}

// note keeps what became of a part, and says loudly what differs.
func (s *session) note(ctx context.Context, r *rereading, outcome Reread) error {
	r.walk.done = append(r.walk.done, outcome)
	event := s.log.Info()
	if r.scheduled && outcome.Equal {
		event = s.log.Debug() // status and metrics tell how long ago each part was proven
	}
	if r.intent != replace && !outcome.Equal {
		event = s.log.Error().Int("differences", len(outcome.Differences))
	}
	event.Str("table", outcome.Table).Stringer("range", r.rng).Uint64("rows", outcome.Rows).Dur("took", outcome.Took).Bool("loaded", outcome.Replaced)
	switch {
	case r.intent == replace:
		event.Msg("loaded from PostgreSQL")
	case outcome.Equal:
		event.Msg("equal to PostgreSQL")
	case outcome.Replaced:
		event.Msg("differed from PostgreSQL, and was repaired")
	default:
		event.Msg("differs from PostgreSQL; tidemark resync --from-source repairs it")
	}
	return s.prove(ctx, r, outcome)
}

// dropLoaded throws away what was read and built.
func (s *session) dropLoaded(r *rereading) {
	if r.loader != nil {
		rt, settled := r.loader.Chunks()
		s.keeper.discard(placeOf(r.table.sql, sql.RT), rt)
		s.keeper.discard(placeOf(r.table.sql, sql.Historic), settled)
	}
	s.keeper.discard(placeOf(r.table.sql, sql.Historic), r.fold.Built())
}

// publishReread puts the loaded rows in the place of the live ones of the range, all in one mark.
func (s *session) publishReread(ctx context.Context, r *rereading) error {
	name := r.table.sql.Name
	state := s.mark.Tables[name]
	since := r.changed(state)
	r.fold.Join(r.loaded.Clean, r.loaded.Chunks)
	var d splitdate.Delta
	if err := r.table.archive.Publish(ctx, state, r.fold, since.Journal, &d); err != nil {
		return err
	}
	if err := r.table.window.Replace(ctx, state, r.loaded.RT, r.rng, since, &d); err != nil {
		return err
	}
	step := splitdate.Step{LSN: s.mark.LSN, CommitTime: s.mark.CommitTime, Deltas: map[string]splitdate.Delta{name: d}}
	if err := s.noteFeed(ctx, r.table, feedLoad, step); err != nil {
		return err
	}
	return s.publish(ctx, step)
}

func bound(at splitdate.Instant, open bool) *time.Time {
	if open {
		return nil
	}
	t := at.Time()
	return &t
}
