package bridge

import (
	"context"
	"errors"

	"github.com/tidemark-db/tidemark/rtwindow"
	"github.com/tidemark-db/tidemark/splitdate"
)

// gapError is what a tick found missing in one table.
type gapError struct {
	table *table
	err   error
}

func (e *gapError) Error() string { return e.err.Error() }
func (e *gapError) Unwrap() error { return e.err }

// ofTable tells gaps apart: they concern their table alone.
func ofTable(t *table, err error) error {
	if errors.Is(err, rtwindow.ErrGap) {
		return &gapError{t, err}
	}
	return err
}

// hold takes a table whose state is known to be wrong out of the mark. Its view throws, the others go on, and the next load
// brings it back as PostgreSQL has it.
func (s *session) hold(ctx context.Context, t *table, why error) error {
	s.log.Error().Err(why).Str("table", t.sql.Source).Msg("rows are missing in ClickHouse: the table is held, its queries fail, and it is loaded again")
	if t.journal != nil {
		t.journal.void = true
	}
	s.forget(t)
	return s.publish(ctx, splitdate.Step{LSN: s.mark.LSN, CommitTime: s.mark.CommitTime, Remove: []string{t.sql.Name}})
}
