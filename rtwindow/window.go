package rtwindow

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/tidemark-db/tidemark/internal/fault"
	"github.com/tidemark-db/tidemark/internal/warehouse"
	"github.com/tidemark-db/tidemark/splitdate"
	"github.com/tidemark-db/tidemark/sql"
)

// ErrGap says that rows which the stream changes are missing in ClickHouse.
var ErrGap = errors.New("rows missing")

func gap(t *sql.Table, n uint64, what string) error {
	return fault.New("find out what removed them; tidemark loads the table again",
		"table %s: the stream changes %d %s that are not in ClickHouse: %w", t.Source, n, what, ErrGap)
}

// Found says where the keys of the changes live, and where their new rows go.
type Found struct {
	RT, Late       []splitdate.Chunk // chunks that hold changed keys
	Rows           uint64            // changed keys in them
	NewRT, NewLate uint64            // rows that the changes leave on either side
	inRT, inLate   uint64
	pieces         []splitdate.Chunk
}

// Slice is a part of the keys, by their hashes: what ClickHouse needs for the changes of one is bounded.
type Slice struct{ Number, Of uint64 }

// bounds are the smallest and the largest hash of the slice.
func (s Slice) bounds() (first, last uint64) {
	width := ^uint64(0)/s.Of + 1 // 0 of one slice: all of them
	if s.Number == s.Of-1 {
		return s.Number * width, ^uint64(0)
	}
	return s.Number * width, (s.Number+1)*width - 1
}

// Compact makes one piece, with one row per key, of a slice of the pieces of several flushes, and counts its lookups. It leaves
// out what the ages of rows make of no effect: deletes of rows of the state that are kept, and new rows that are too old.
func (w *Window) Compact(ctx context.Context, state splitdate.Table, p Pending, ages splitdate.Ages, s Slice) (Pending, error) {
	if w.table.Keyless() || p.Flushes < 2 && !p.Overlapping && s.Of == 1 {
		return p, nil
	}
	to := w.numbers()
	first, last := s.bounds()
	err := w.db.Exec(ctx, w.table.CompactChanges(), warehouse.Params{
		"to": warehouse.U64(to), "pieces": warehouse.Array(p.Chunks()), "maybe_there": flagText(p.Overlapping),
		"historic": warehouse.Array(state.Historic()), "masks": warehouse.Array(state.Masks), "late": warehouse.Array(state.Late),
		"keep": warehouse.I64(ages.Keep), "oldest": warehouse.I64(ages.Oldest), "first": warehouse.U64(first), "last": warehouse.U64(last),
	})
	if err != nil {
		return p, err
	}
	feed := slices.DeleteFunc(slices.Clone(p.Pieces), func(piece Piece) bool { return !piece.Feed })
	p.Pieces, p.Flushes = append([]Piece{{Chunk: to}}, feed...), 1
	p.Written = append(p.Written, to)
	p.Lookups, err = w.count(ctx, w.table.CountLookups(), warehouse.Params{"pieces": warehouse.Array(p.Chunks())})
	return p, err
}

func flagText(b bool) string { return warehouse.U64(uint64(flag(b))) }

// Locate finds the changed keys in RT and LATE.
func (w *Window) Locate(ctx context.Context, state splitdate.Table, p Pending) (Found, error) {
	f := Found{pieces: p.Chunks()}
	params := warehouse.Params{
		"pieces": warehouse.Array(p.Chunks()), "split": warehouse.I64(state.Split),
		"rt": "[]", "late": "[]",
	}
	if p.Lookups > 0 {
		params["rt"], params["late"] = warehouse.Array(state.RT), warehouse.Array(state.Late)
	}
	err := w.db.Query(ctx, w.table.Locate(), params, func(r warehouse.Rows) error {
		var where string
		var chunk, n uint64
		if err := r.Scan(&where, &chunk, &n); err != nil {
			return err
		}
		return f.add(where, splitdate.Chunk(chunk), n)
	})
	f.Rows = f.inRT + f.inLate
	return f, err
}

func (f *Found) add(where string, chunk splitdate.Chunk, n uint64) error {
	switch where {
	case "new_rt":
		f.NewRT = n
	case "new_late":
		f.NewLate = n
	case "rt":
		f.RT = append(f.RT, chunk)
		f.inRT += n
	case "late":
		f.Late = append(f.Late, chunk)
		f.inLate += n
	default:
		return fmt.Errorf("unknown side %q", where)
	}
	return nil
}

// CheckFound returns an error that wraps ErrGap unless every key that was there before was found: in RT and LATE, or
// masked in HISTORIC. Where the state overlaps with the changes, nothing can be said.
func (w *Window) CheckFound(p Pending, f Found, masked uint64) error {
	switch found := f.Rows + masked; {
	case p.Overlapping:
	case found < p.Lookups:
		return gap(w.table, p.Lookups-found, "rows")
	case found > p.Lookups:
		return fmt.Errorf("table %s: %d changed keys live in %d places: %w", w.table.Source, p.Lookups, found, splitdate.ErrInvariant)
	}
	return nil
}

// Rewrite writes the chunks of RT and LATE that the changes make, and adds them to the delta. New rows may lie apart from those
// that stay: what the next slice of the changes touches has none of them then.
func (w *Window) Rewrite(ctx context.Context, state splitdate.Table, f Found, apart bool, d *splitdate.Delta) error {
	for _, r := range []struct {
		region    sql.Region
		chunks    []splitdate.Chunk
		touched   []splitdate.Chunk
		found     uint64
		fresh     uint64
		add, drop *[]splitdate.Chunk
	}{
		{sql.RT, state.RT, f.RT, f.inRT, f.NewRT, &d.AddRT, &d.DropRT},
		{sql.Late, state.Late, f.Late, f.inLate, f.NewLate, &d.AddLate, &d.DropLate},
	} {
		if len(r.touched) == 0 && r.fresh == 0 {
			continue
		}
		from := chosen(state, r.chunks, r.touched, r.fresh)
		to := []splitdate.Chunk{w.numbers()}
		if apart {
			to = append(to, w.numbers())
		}
		metas, err := w.rewrite(ctx, r.region, state, from, to, f.pieces)
		if err != nil {
			return err
		}
		rows := uint64(0)
		for c, meta := range metas {
			rows += meta.Rows
			*r.add = append(*r.add, c)
			d.Write(c, meta)
		}
		slices.Sort(*r.add)
		if want := state.Rows(from) - r.found + r.fresh; rows != want {
			return fmt.Errorf("table %s: new %s chunks %d have %d rows instead of %d: %w", w.table.Source, r.region, to, rows, want, splitdate.ErrInvariant)
		}
		*r.drop = slices.Concat(*r.drop, from) // after a TRUNCATE, the chunks that it emptied stand there
	}
	return nil
}

// rewrite writes what stays to the first chunk, what is new to the last.
func (w *Window) rewrite(ctx context.Context, r sql.Region, state splitdate.Table, from, to, pieces []splitdate.Chunk) (map[splitdate.Chunk]splitdate.Meta, error) {
	err := w.db.Exec(ctx, w.table.Rewrite(r), warehouse.Params{
		"to": warehouse.U64(to[0]), "fresh": warehouse.U64(to[len(to)-1]), "from": warehouse.Array(from), "pieces": warehouse.Array(pieces),
		"split": warehouse.I64(state.Split),
	})
	if err != nil {
		return nil, err
	}
	return splitdate.CountChunks(ctx, w.db, w.table, r, to)
}

// maxChunks is how many chunks RT or LATE may have before a tick merges small ones: enough that inserts need not rewrite
// anything, few enough that a view opens them at no cost.
const maxChunks = 16

// chosen is the chunk policy: which chunks a tick rewrites into one. It takes the touched ones, and, when there are
// many, all that are no larger than what is being rewritten anyway, so that a row is rewritten a logarithmic number of
// times.
func chosen(state splitdate.Table, chunks, touched []splitdate.Chunk, fresh uint64) []splitdate.Chunk {
	from := slices.Clone(touched)
	if len(chunks)-len(touched) < maxChunks {
		return from
	}
	rest := slices.DeleteFunc(slices.Clone(chunks), func(c splitdate.Chunk) bool { return slices.Contains(touched, c) })
	slices.SortFunc(rest, func(a, b splitdate.Chunk) int { return cmp.Compare(state.Chunks[a].Rows, state.Chunks[b].Rows) })
	total := state.Rows(touched) + fresh
	for i, c := range rest {
		if rows := state.Chunks[c].Rows; i < 2 || rows <= total {
			from = append(from, c)
			total += rows
		}
	}
	return from
}
