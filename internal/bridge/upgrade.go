package bridge

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/tidemark-db/tidemark/internal/fault"
	"github.com/tidemark-db/tidemark/internal/warehouse"
	"github.com/tidemark-db/tidemark/splitdate"
	"github.com/tidemark-db/tidemark/sql"
)

// upgrade brings what a mark of format 1 lists to where format 2 has it: the rows of RT, LATE and HISTORIC into one table,
// HISTORIC's under the numbers of settled chunks. The old views answer until all is copied, and then no view does until the
// new ones are there. What an upgrade that did not end has copied is dropped first, because its chunks had the same numbers.
// Aggregates are computed anew beside the ticks, and first loads begin anew.
func (s *session) upgrade(ctx context.Context) error {
	var err error
	if s.mark.IsApart() {
		err = s.together(ctx)
	}
	if err == nil {
		err = s.dropApart(ctx)
	}
	if warehouse.IsDenied(err) {
		return fault.New(fmt.Sprintf("GRANT DROP TABLE ON %s.* TO the user of clickhouse.dsn; it may be revoked after the upgrade", sql.Ident(s.db.Database().Internals())), "%w", err)
	}
	return err
}

// upgradeMarks gives the tables of marks what format 2 has more, so that marks of either format can be written.
func (s *session) upgradeMarks(ctx context.Context) error {
	if !s.mark.IsApart() {
		return nil
	}
	for _, st := range s.db.Database().AddMasked() {
		if err := s.db.Exec(ctx, st, nil); err != nil {
			return fmt.Errorf("upgrade the marks: %w", err)
		}
	}
	return nil
}

// together copies the chunks and publishes a mark of format 2.
func (s *session) together(ctx context.Context) error {
	step := splitdate.Step{LSN: s.mark.LSN, CommitTime: s.mark.CommitTime, Deltas: map[string]splitdate.Delta{}, Together: true, DropLoads: slices.Collect(maps.Keys(s.mark.Loads))}
	for _, t := range s.tables {
		for _, st := range append([]sql.Statement{t.sql.DropChunks()}, t.sql.CreateTables()...) {
			if err := s.db.Exec(ctx, st, nil); err != nil {
				return fmt.Errorf("table %s: %w", t.sql.Source, err)
			}
		}
		state, ok := s.mark.Tables[t.sql.Name]
		if !ok {
			continue
		}
		s.log.Info().Str("table", t.sql.Source).Uint64("rows", state.Live()).Msg("copying its rows to where this version has them")
		delta, err := s.gather(ctx, t, state)
		if err != nil {
			return fmt.Errorf("upgrade table %s: %w", t.sql.Source, err)
		}
		step.Deltas[t.sql.Name] = delta
	}
	if err := s.publishTogether(ctx, step); err != nil {
		return err
	}
	s.log.Info().Uint16("format", splitdate.Format).Msg("upgraded")
	return nil
}

// gather copies the chunks of a table, and returns what that changes: the numbers of HISTORIC, and so the masks on it.
func (s *session) gather(ctx context.Context, t *table, state splitdate.Table) (d splitdate.Delta, err error) {
	for _, r := range sql.RowRegions() {
		if chunks := state.In(r); len(chunks) > 0 {
			if err := s.db.Exec(ctx, t.sql.UpgradeChunks(r), warehouse.Params{"chunks": warehouse.Array(chunks)}); err != nil {
				return d, err
			}
		}
	}
	copied := slices.Concat(state.RT, state.Late)
	for _, c := range state.Historic() {
		d.AddHistoric, d.DropHistoric = append(d.AddHistoric, c.Settled()), append(d.DropHistoric, c)
		d.Write(c.Settled(), state.Chunks[c])
		copied = append(copied, c.Settled())
	}
	for _, c := range state.Dirty {
		d.Masked = append(d.Masked, c.Settled())
	}
	metas, err := splitdate.CountChunks(ctx, s.db, t.sql, copied)
	if err != nil {
		return d, err
	}
	var rows uint64
	for _, meta := range metas {
		rows += meta.Rows
	}
	if want := state.Rows(state.Listed()) - state.Rows(state.Masks); rows != want {
		return d, fmt.Errorf("%d rows were copied as %d: %w", want, rows, splitdate.ErrInvariant)
	}
	if len(state.Masks) == 0 {
		return d, nil
	}
	to := s.nextChunk()
	d.AddMasks, d.DropMasks = []splitdate.Chunk{to}, state.Masks
	d.Write(to, splitdate.Meta{Rows: state.Rows(state.Masks)})
	return d, s.db.Exec(ctx, t.sql.UpgradeMasks(), warehouse.Params{"to": warehouse.U64(to), "masks": warehouse.Array(state.Masks)})
}

// publishTogether has the views of the old tables answer with an error, and publishes the step. A query of several views must not
// read the mark by two texts, so no view is new while another is old.
func (s *session) publishTogether(ctx context.Context, step splitdate.Step) error {
	for _, t := range s.tables {
		if err := s.db.Exec(ctx, t.sql.HoldView(), nil); err != nil {
			return fmt.Errorf("table %s: %w", t.sql.Source, err)
		}
	}
	first := splitdate.Step{LSN: s.mark.LSN, CommitTime: s.mark.CommitTime}
	first.Aggregates.Remove = slices.Collect(maps.Keys(s.mark.Aggregates))
	for _, mark := range []splitdate.Step{first, step} {
		if err := s.publish(ctx, mark); err != nil {
			return err
		}
	}
	return nil
}

// dropApart drops the tables of format 1, whose names views have now.
func (s *session) dropApart(ctx context.Context) error {
	names := s.db.Database()
	var candidates, there []string
	for _, t := range s.tables {
		candidates = append(candidates, t.sql.ApartNames()...)
	}
	err := s.db.Query(ctx, names.ListApart(), warehouse.Params{"database": names.Internals(), "names": warehouse.Texts(candidates)}, func(r warehouse.Rows) error {
		var name string
		err := r.Scan(&name)
		there = append(there, name)
		return err
	})
	for _, name := range there {
		err = errors.Join(err, s.db.Exec(ctx, names.DropApart(name), nil))
	}
	if err != nil {
		return fmt.Errorf("drop what an upgrade has copied: %w", err)
	}
	return nil
}
