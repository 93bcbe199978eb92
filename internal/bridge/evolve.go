package bridge

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/tidemark-db/tidemark/cdc"
	"github.com/tidemark-db/tidemark/internal/config"
	"github.com/tidemark-db/tidemark/internal/shape"
	"github.com/tidemark-db/tidemark/internal/warehouse"
	"github.com/tidemark-db/tidemark/sql"
)

// evolution is how the internals of a table take other columns without a chunk being touched: a column that is new, or has
// another type, lies in a column of its own, whose default says what the rows of older chunks have in it.
type evolution struct {
	plan            // with the new columns
	added           []sql.Added
	narrow          *sql.Table // with the old columns but for those that go; nil where none goes
	gained, dropped []string   // names in PostgreSQL; a renamed column is in both
}

// evolve plans the way from a table's columns to others: those of rows after a position in the WAL. taken are the names in
// the internals. An error wraps shape.ErrReload, or is a fault of the configuration, which names what is no longer there.
func evolve(cfg *config.Config, was plan, next cdc.Table, after cdc.LSN, taken []string) (*evolution, error) {
	draft, err := planOnly(cfg, was.cfg, shape.Shape{Table: next})
	if err != nil {
		return nil, err
	}
	e := &evolution{plan: draft}
	stored := map[int16]string{}
	for _, c := range next.Columns {
		i := slices.IndexFunc(draft.sql.Columns, func(d sql.Column) bool { return d.Name == c.Name })
		if i < 0 {
			continue // excluded
		}
		column, old := draft.sql.Columns[i], was.column(c.Number)
		if old == nil || old.Type.Name != column.Type.Name || old.Type.Kind != column.Type.Kind {
			a, err := addedColumn(was, old, column, c, taken)
			if err != nil {
				return nil, err
			}
			e.added = append(e.added, a)
			taken = append(taken, a.Name)
			old = &a.Column
		}
		if old.Name != c.Name {
			stored[c.Number] = old.Name
		}
	}
	narrowed := was.of.Narrowed
	if e.tell(was, after); e.narrow != nil {
		narrowed = after
	}
	if e.plan, err = planOnly(cfg, was.cfg, shape.Shape{Table: next, Stored: stored, Since: after, Narrowed: narrowed}); err != nil {
		return nil, err
	}
	return e, e.fits(was)
}

// planOnly is planShape with one error.
func planOnly(cfg *config.Config, t *config.Table, of shape.Shape) (plan, error) {
	p, faults := planShape(cfg, t, of)
	if len(faults) > 0 {
		return p, faults[0]
	}
	return p, nil
}

// column returns the ClickHouse column that holds the source's column of a number, nil where none does.
func (p plan) column(number int16) *sql.Column {
	for _, c := range p.source.Columns {
		if c.Number != number {
			continue
		}
		for i := range p.sql.Columns {
			if p.sql.Columns[i].Shown() == c.Name {
				return &p.sql.Columns[i]
			}
		}
	}
	return nil
}

// addedColumn is the column in the internals of a column that is new, or that has another type than old.
func addedColumn(was plan, old *sql.Column, column sql.Column, c cdc.Column, taken []string) (a sql.Added, err error) {
	a.Column = column
	a.Alias = ""
	for n := 2; slices.Contains(taken, a.Name); n++ {
		a.Name = fmt.Sprintf("%s_%d", c.Name, n)
	}
	ok := true
	switch {
	case old != nil && slices.Contains(append(slices.Clone(was.sql.OrderBy), append([]string{was.sql.Date}, was.sql.Key...)...), old.Name):
		return a, fmt.Errorf("its rows are sorted or found by column %q, which has the type %s now: %w", c.Name, column.Type.Name, shape.ErrReload)
	case old != nil:
		a.Default, ok = sql.Converted(*old, column.Type)
	case c.Missing != nil:
		a.Default, ok = sql.Constant(column.Type, *c.Missing)
	}
	if !ok {
		return a, fmt.Errorf("what its rows have in column %q, as %s, is only known to PostgreSQL: %w", c.Name, column.Type.Name, shape.ErrReload)
	}
	return a, nil
}

// tell finds out what comes and goes.
func (e *evolution) tell(was plan, after cdc.LSN) {
	var kept []sql.Column
	for _, c := range was.source.Columns {
		old := was.column(c.Number)
		switch now := e.column(c.Number); {
		case old == nil:
		case now == nil || now.Shown() != old.Shown():
			e.dropped = append(e.dropped, old.Shown())
			if now != nil { // renamed: what queries know it by stays until they know it by the new name
				kept = append(kept, *old)
			}
		default:
			kept = append(kept, *old)
		}
	}
	for _, c := range e.sql.Columns {
		if !slices.ContainsFunc(was.sql.Columns, func(old sql.Column) bool { return old.Shown() == c.Shown() }) {
			e.gained = append(e.gained, c.Shown())
		}
	}
	if len(kept) < len(was.sql.Columns) {
		config := was.sql.TableConfig
		config.Columns, config.Narrowed = kept, uint64(after)
		e.narrow, _ = sql.NewTable(config) // its key and its date stay: see fits
	}
}

// fits returns why the new columns do not go with the old internals: one of them has a name that would stand for another
// one, or for one of ours.
func (e *evolution) fits(was plan) error {
	for _, c := range e.sql.Columns {
		if slices.ContainsFunc(e.sql.Columns, func(other sql.Column) bool { return other.Name == c.Shown() && other.Shown() != c.Shown() }) {
			return fmt.Errorf("another column was called %q before: %w", c.Shown(), shape.ErrReload)
		}
	}
	same := func(t *sql.Table) bool {
		return t.ChunkColumn() == was.sql.ChunkColumn() && slices.Equal(t.Key, was.sql.Key) && slices.Equal(t.OrderBy, was.sql.OrderBy) && t.Date == was.sql.Date
	}
	if !same(e.sql) || e.narrow != nil && !same(e.narrow) {
		return fmt.Errorf("its rows are sorted by other columns now: %w", shape.ErrReload)
	}
	return nil
}

// columnsOf lists the columns of an internal table, types by name.
func (s *session) columnsOf(ctx context.Context, t *sql.Table, r sql.Region) (names []string, types map[string]string, err error) {
	types = map[string]string{}
	err = s.db.Query(ctx, s.db.Database().ListColumns(), warehouse.Params{"database": s.db.Database().Internals(), "table": t.RegionName(r)},
		func(r warehouse.Rows) error {
			var name, typ string
			err := r.Scan(&name, &typ)
			names, types[name] = append(names, name), typ
			return err
		})
	return names, types, err
}

// saveShape keeps a shape in ClickHouse and returns its number, which a mark can name from now on.
func (s *session) saveShape(ctx context.Context, table string, of shape.Shape) (uint64, error) {
	text, err := json.Marshal(of)
	if err != nil {
		return 0, fmt.Errorf("encode the columns of %s: %w", table, err)
	}
	number := uint64(s.nextChunk())
	err = s.db.Exec(ctx, s.db.Database().InsertShape(), warehouse.Params{"shape": warehouse.U64(number), "table": table, "columns": hex.EncodeToString(text)})
	return number, err
}

// readShapes reads the shapes that the newest mark names, by their number.
func (s *session) readShapes(ctx context.Context) (map[uint64]shape.Shape, error) {
	var numbers []uint64
	for _, t := range s.mark.Tables {
		numbers = append(numbers, t.Shape)
	}
	for _, l := range s.mark.Loads {
		numbers = append(numbers, l.Base.Shape)
	}
	out := map[uint64]shape.Shape{}
	if len(numbers) == 0 {
		return out, nil
	}
	err := s.db.Query(ctx, s.db.Database().ListShapes(), warehouse.Params{"shapes": warehouse.Array(numbers)}, func(r warehouse.Rows) error {
		var number uint64
		var text string
		if err := r.Scan(&number, &text); err != nil {
			return err
		}
		var of shape.Shape
		err := json.Unmarshal([]byte(text), &of)
		out[number] = of
		return err
	})
	return out, err
}
