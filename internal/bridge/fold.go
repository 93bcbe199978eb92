package bridge

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/tidemark-db/tidemark/historic"
	"github.com/tidemark-db/tidemark/internal/load"
	"github.com/tidemark-db/tidemark/internal/observe"
	"github.com/tidemark-db/tidemark/internal/warehouse"
	"github.com/tidemark-db/tidemark/splitdate"
	"github.com/tidemark-db/tidemark/sql"
)

// folding is a fold under way: its chunks are built beside the ticks, which add their pieces to the journal.
type folding struct {
	table  *table
	fold   historic.Fold
	rows   uint64 // that the fold takes up, masked ones of HISTORIC included
	late   uint64 // of them, those of LATE
	done   chan error
	cancel context.CancelFunc
	job    *observe.Job
	since  time.Time
}

// Folded is what a fold did to one table.
type Folded struct {
	Table  string        `json:"table"`
	Chunks int           `json:"chunks"`    // of HISTORIC that went
	Built  int           `json:"built"`     // that came instead
	Late   uint64        `json:"late_rows"` // that were taken up, though some may have changed since
	Masks  uint64        `json:"masks"`     // that were applied: rows of the old chunks that the new ones lack
	Took   time.Duration `json:"took"`
}

// resync is a request to fold tables, one after the other.
type resync struct {
	waiting []*table
	rng     splitdate.Range // chunks without rows of it stay
	folded  []Folded
	reply   chan<- jobResult // nil: of the schedule
}

// scheduledResync puts all tables in line, unless a resync is under way.
func (s *session) scheduledResync() {
	if len(s.resyncs) == 0 {
		s.resyncs = append(s.resyncs, &resync{waiting: slices.Clone(s.tables), rng: splitdate.Everything})
	}
}

// nextFold starts the fold of the next table in line that has something to fold, and answers resyncs that are done.
func (s *session) nextFold(ctx context.Context) {
	for s.folding == nil && len(s.resyncs) > 0 {
		r := s.resyncs[0]
		if len(r.waiting) == 0 {
			s.resyncs = s.resyncs[1:]
			if r.reply != nil {
				r.reply <- jobResult{folded: r.folded}
			}
			continue
		}
		t := r.waiting[0]
		if t.busy() {
			return // a later tick begins it
		}
		r.waiting = r.waiting[1:]
		if s.live(t) {
			s.beginFold(ctx, t, r.rng)
		}
	}
}

func (s *session) beginFold(ctx context.Context, t *table, rng splitdate.Range) {
	state := s.mark.Tables[t.sql.Name]
	fold, ok := historic.Freeze(state, rng, load.Period(t.sql))
	if !ok {
		return
	}
	ctx, cancel := context.WithCancel(ctx)
	f := &folding{table: t, fold: fold, late: state.Rows(fold.Late), done: make(chan error, 1), cancel: cancel, since: time.Now()}
	f.rows = state.Rows(fold.From) + f.late
	f.job = s.seen.Begin(observe.Fold, t.sql.Source, int64(f.rows))
	s.folding = f
	s.beginJournal(t, fold.Frozen())
	s.log.Info().Str("table", t.sql.Source).Int("chunks", len(fold.From)).Uint64("late_rows", f.late).
		Uint64("masks", state.Rows(fold.Masks)).Msg("folding")
	held := s.held(t)
	go func() { // ends with the statements or ctx; awaited by endFold or stopFold
		err := t.archive.Build(warehouse.OnProgress(ctx, f.job.Add), &f.fold, splitdate.Since{})
		if err == nil {
			err = t.states.Write(ctx, historicOf(held, f.fold.Built()))
		}
		f.done <- err
	}()
}

func (s *session) foldDone() <-chan error {
	if s.folding == nil {
		return nil
	}
	return s.folding.done
}

// stopFold ends the fold under way and waits until it has; what it wrote is garbage.
func (s *session) stopFold() {
	if s.folding != nil {
		s.folding.cancel()
		if err := <-s.folding.done; err != nil {
			s.log.Debug().Err(err).Msg("fold abandoned")
		}
		s.folding.job.End(errInterrupted)
	}
}

// endFold publishes a fold that was built.
func (s *session) endFold(ctx context.Context, built error) (err error) {
	f := s.folding
	s.folding = nil // whatever follows: nobody will send on done again
	f.cancel()
	defer func() { f.job.End(err) }()
	defer s.endJournal(f.table)
	switch {
	case built != nil: // of the fold alone; the next one tries again
		s.keeper.discard(placeOf(f.table.sql, sql.Historic), f.fold.Built())
		s.failFold(fmt.Errorf("fold %s: %w", f.table.sql.Source, built))
		return nil
	case f.table.journal.void:
		s.keeper.discard(placeOf(f.table.sql, sql.Historic), f.fold.Built())
		return nil
	}
	return s.publishFold(ctx, f)
}

// failFold ends the resync under way.
func (s *session) failFold(err error) {
	s.log.Error().Err(err).Msg("resync failed; views are exact, and the next one tries again")
	if len(s.resyncs) > 0 {
		r := s.resyncs[0]
		s.resyncs = s.resyncs[1:]
		if r.reply != nil {
			r.reply <- jobResult{folded: r.folded, err: err}
		}
	}
}

func (s *session) publishFold(ctx context.Context, f *folding) error {
	t := f.table
	before := s.mark.Tables[t.sql.Name]
	var d splitdate.Delta
	if err := t.archive.Publish(ctx, before, f.fold, t.journal.pieces, &d); err != nil {
		return fmt.Errorf("fold %s: %w", t.sql.Source, err)
	}
	if err := t.window.Release(ctx, before, f.fold.Late, t.journal.pieces, &d); err != nil {
		return fmt.Errorf("fold %s: %w", t.sql.Source, err)
	}
	after, err := before.Apply(d)
	if err != nil {
		return fmt.Errorf("fold %s: %w", t.sql.Source, err)
	}
	if err := historic.Check(before, after); err != nil {
		return fmt.Errorf("table %s: %w", t.sql.Source, err)
	}
	step := splitdate.Step{LSN: s.mark.LSN, CommitTime: s.mark.CommitTime, Deltas: map[string]splitdate.Delta{t.sql.Name: d}}
	if err := s.publish(ctx, step); err != nil {
		return err
	}
	done := Folded{
		Table: t.sql.Source, Chunks: len(f.fold.From), Built: len(f.fold.Built()),
		Late: f.late, Masks: f.rows - after.Rows(f.fold.Built()), Took: time.Since(f.since),
	}
	s.log.Info().Str("table", done.Table).Int("chunks", done.Chunks).Int("built", done.Built).Uint64("late_rows", done.Late).
		Uint64("masks", done.Masks).Dur("took", done.Took).Msg("folded")
	if len(s.resyncs) > 0 {
		s.resyncs[0].folded = append(s.resyncs[0].folded, done)
	}
	return nil
}

// overflowing starts a resync when the late rows and masks of some table exceed limits.late_rows.
func (s *session) overflowing() {
	if len(s.resyncs) > 0 {
		return
	}
	for _, t := range s.tables {
		state := s.mark.Tables[t.sql.Name]
		if rows := state.Rows(state.Late) + state.Rows(state.Masks); s.cfg.Limits.LateRows > 0 && rows > uint64(s.cfg.Limits.LateRows) {
			s.log.Info().Str("table", t.sql.Source).Uint64("rows", rows).Msg("late rows and masks exceed limits.late_rows: resync")
			s.resyncs = append(s.resyncs, &resync{waiting: []*table{t}, rng: splitdate.Everything})
		}
	}
}
