package bridge

import (
	"context"
	"fmt"
	"slices"

	"github.com/tidemark-db/tidemark/internal/fault"
	"github.com/tidemark-db/tidemark/splitdate"
	"github.com/tidemark-db/tidemark/sql"
)

// createTables creates what is missing of the internals and recreates the views.
func (s *session) createTables(ctx context.Context) error {
	names := s.db.Database()
	if err := s.db.Exec(ctx, names.CreateCurrent(), nil); err != nil {
		return err
	}
	if err := s.holdUnfit(ctx); err != nil {
		return err
	}
	for _, t := range s.tables {
		for _, st := range t.sql.CreateTables() {
			if err := s.db.Exec(ctx, st, nil); err != nil {
				return fmt.Errorf("table %s: %w", t.sql.Source, err)
			}
		}
		if err := s.checkColumns(ctx, t); err != nil {
			return err
		}
		for _, st := range t.sql.CreateRegionViews() {
			if err := s.db.Exec(ctx, st, nil); err != nil {
				return fmt.Errorf("table %s: %w", t.sql.Source, err)
			}
		}
		t.unseen = true
	}
	if err := s.showColumns(ctx); err != nil {
		return err
	}
	if err := s.createAggregates(ctx); err != nil {
		return err
	}
	return s.dropRemoved(ctx)
}

// checkColumns refuses internals that were made for other columns: rows of two structures must not mix. Where no mark holds the
// table, there are none yet, and it makes them anew. It completes the empty table.
func (s *session) checkColumns(ctx context.Context, t *table) error {
	names, types, err := s.columnsOf(ctx, t.sql, sql.Chunks)
	if err != nil {
		return err
	}
	masks, _, err := s.columnsOf(ctx, t.sql, sql.Masks)
	if err != nil {
		return err
	}
	var got, want []string
	for _, name := range names {
		if name != t.sql.ChunkColumn() {
			got = append(got, name+" "+types[name])
		}
	}
	there := true
	for _, c := range t.sql.StoredColumns() {
		want = append(want, c.Name+" "+c.Type.Name)
		there = there && types[c.Name] == c.Type.Name
	}
	switch {
	case slices.Equal(got, want) && t.sql.HasMasks(masks):
		return s.fillEmpty(ctx, t, names, types)
	case !s.live(t):
		return s.remake(ctx, t)
	case there && len(got) > len(want): // columns that went stay in the internals
		return s.fillEmpty(ctx, t, names, types)
	default:
		return fault.New("put the old structure back, or `tidemark uninstall --data` and start again, which loads every table anew",
			"table %s has the columns %v now, but its tables in ClickHouse were made for %v: %w", t.sql.Source, want, got, errRefused)
	}
}

// fillEmpty adds to the empty table the columns of the chunks that an end between two statements has left out of it: partitions
// are replaced by those of a table of the same columns only.
func (s *session) fillEmpty(ctx context.Context, t *table, names []string, types map[string]string) error {
	there, _, err := s.columnsOf(ctx, t.sql, sql.Empty)
	if err != nil {
		return err
	}
	var missing []sql.Added
	for _, name := range names {
		if !slices.Contains(there, name) {
			missing = append(missing, sql.Added{Column: sql.Column{Name: name, Type: sql.Type{Name: types[name]}}})
		}
	}
	if len(missing) == 0 {
		return nil
	}
	return s.db.Exec(ctx, t.sql.FillEmpty(missing), nil)
}

// dropRemoved takes tables that are no longer configured out of the mark and drops their views. Their data stay.
func (s *session) dropRemoved(ctx context.Context) error {
	var gone []string
	for name := range s.mark.Tables {
		if s.byView(name) == nil {
			gone = append(gone, name)
		}
	}
	if len(gone) == 0 {
		return nil
	}
	if err := s.publish(ctx, splitdate.Step{LSN: s.mark.LSN, Remove: gone}); err != nil {
		return err
	}
	for _, name := range gone {
		s.log.Warn().Str("table", name).Msg("no longer configured: its view is dropped, its data stay")
		if err := s.db.Exec(ctx, s.db.Database().DropView(name), nil); err != nil {
			return err
		}
	}
	return nil
}
