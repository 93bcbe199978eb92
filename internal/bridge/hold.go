package bridge

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/tidemark-db/tidemark/internal/block"
	"github.com/tidemark-db/tidemark/internal/config"
	"github.com/tidemark-db/tidemark/internal/fault"
	"github.com/tidemark-db/tidemark/rtwindow"
	"github.com/tidemark-db/tidemark/splitdate"
	"github.com/tidemark-db/tidemark/sql"
)

// tableError is an error that concerns one table alone.
type tableError struct {
	table *table
	err   error
}

func (e *tableError) Error() string { return e.err.Error() }
func (e *tableError) Unwrap() error { return e.err }

// ofTable tells apart what concerns a table alone: a gap, and, where the configuration says so, a bad value. To hold a table
// that keeps what PostgreSQL has deleted would lose it: its bad values stop the bridge.
func (s *session) ofTable(t *table, err error) error {
	bad := s.cfg.OnBadValue == config.HoldTable && isA[*block.ValueError](err)
	if bad && s.live(t) && t.sql.KeepsOld {
		return fmt.Errorf("table %s keeps rows that PostgreSQL has deleted, so it is not held: %w", t.sql.Source, err)
	}
	if bad || errors.Is(err, rtwindow.ErrGap) {
		return &tableError{t, err}
	}
	return err
}

// holdOn holds the table that an error concerns alone. It returns every other error.
func (s *session) holdOn(ctx context.Context, err error) error {
	var concerned *tableError
	if errors.As(err, &concerned) {
		return s.hold(ctx, concerned.table, concerned.err)
	}
	return err
}

// hold takes a table out of the mark: its view throws, the others go on, and so does the slot. The next load brings it back
// as PostgreSQL has it. A load that fails is tried again after a pause, because PostgreSQL has to be corrected first; a new
// configuration begins a new session, and so a load at once. A table that keeps rows which PostgreSQL has deleted is not given
// up: the bridge stops.
func (s *session) hold(ctx context.Context, t *table, why error) error {
	if s.live(t) && t.sql.KeepsOld {
		return keepsAlone(t.sql.Source, why)
	}
	event := s.log.Error().Err(why).Str("table", t.sql.Source).Str("kind", kindOf(why)).Str("try", fault.Try(why))
	if isA[*block.ValueError](why) {
		t.pause = min(max(2*t.pause, firstPause), lastPause)
		t.loadAfter = time.Now().Add(t.pause)
		event = event.Dur("next_load_in", t.pause)
	}
	event.Msg("the table is held: queries of it fail until it is loaded again; the others go on")
	s.seen.Held(kindOf(why), t.sql.Source, why)
	if t.load != nil {
		return s.abandonLoad(ctx, t.load, false)
	}
	if t.journal != nil {
		t.journal.void = true
	}
	s.forget(t)
	return s.publish(ctx, splitdate.Step{LSN: s.mark.LSN, CommitTime: s.mark.CommitTime, Remove: []string{t.sql.Name}})
}

// Between two loads of a table with a bad value.
const (
	firstPause = 5 * time.Second
	lastPause  = 5 * time.Minute
)

// remake drops the internals of a table that no mark holds and that were made for other columns: a held table may be given
// other types.
func (s *session) remake(ctx context.Context, t *table) error {
	if _, kept := s.mark.Loads[t.sql.Name]; kept { // pieces of the old structure
		if err := s.publish(ctx, splitdate.Step{LSN: s.mark.LSN, CommitTime: s.mark.CommitTime, DropLoads: []string{t.sql.Name}}); err != nil {
			return err
		}
	}
	s.log.Warn().Str("table", t.sql.Source).Msg("its columns are others now: its internal tables are made anew")
	statements := append([]sql.Statement{t.sql.HoldView()}, t.sql.DropTables()...)
	for _, st := range append(statements, t.sql.CreateTables()...) {
		if err := s.db.Exec(ctx, st, nil); err != nil {
			return fmt.Errorf("table %s: %w", t.sql.Source, err)
		}
	}
	return nil
}
