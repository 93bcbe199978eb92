package rtwindow

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"golang.org/x/sync/errgroup"

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

// Compact makes one piece, with one row per key, of a slice of the pieces of several flushes, and counts its lookups. Pieces that
// share no key are left as they are, unless they have to be sliced: it costs more than all else that a tick does. It leaves
// out what the ages of rows make of no effect: deletes of rows of the state that are kept, and new rows that are too old.
func (w *Window) Compact(ctx context.Context, state splitdate.Table, p Pending, ages splitdate.Ages, s Slice) (Pending, error) {
	if w.table.Keyless() || !p.Repeated && !p.Overlapping && s.Of == 1 {
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
	p.Repeated = false
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
		"here": "[]",
	}
	if p.Lookups > 0 {
		params["here"] = warehouse.Array(slices.Concat(state.RT, state.Late))
	}
	err := w.db.Query(ctx, w.table.Locate(), params, func(r warehouse.Rows) error {
		var where string
		var chunk, n uint64
		if err := r.Scan(&where, &chunk, &n); err != nil {
			return err
		}
		return f.add(state, where, splitdate.Chunk(chunk), n)
	})
	f.Rows = f.inRT + f.inLate
	return f, err
}

func (f *Found) add(state splitdate.Table, where string, chunk splitdate.Chunk, n uint64) error {
	switch {
	case where == "new_rt":
		f.NewRT = n
	case where == "new_late":
		f.NewLate = n
	case where == "here" && slices.Contains(state.RT, chunk):
		f.RT = append(f.RT, chunk)
		f.inRT += n
	case where == "here" && slices.Contains(state.Late, chunk):
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

// Rewrite writes the chunks of RT and LATE that the changes make, and adds them to the delta. Where more changes are to come,
// new rows lie apart from those that stay: the next slice of the changes touches none of them then.
func (w *Window) Rewrite(ctx context.Context, state splitdate.Table, f Found, more bool, d *splitdate.Delta) error {
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
		l := w.lay(chosen(state, r.chunks, r.touched, r.fresh, more), r.fresh, more)
		metas, err := w.rewrite(ctx, r.region, state, l, f.pieces)
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
		if want := state.Rows(l.from()) - r.found + r.fresh; rows != want {
			return fmt.Errorf("table %s: new %s chunks %d have %d rows instead of %d: %w", w.table.Source, r.region, l.all(), rows, want, splitdate.ErrInvariant)
		}
		*r.drop = slices.Concat(*r.drop, l.from()) // after a TRUNCATE, the chunks that it emptied stand there
	}
	return nil
}

// layout says where a rewrite writes: what stays of the merged chunks to into, what stays of each other one to the number beside
// it, new rows to fresh.
type layout struct {
	choice
	into, fresh splitdate.Chunk
	rows        uint64            // new ones
	apart       []splitdate.Chunk // for alone
}

// lay numbers the chunks that a choice makes.
func (w *Window) lay(c choice, rows uint64, more bool) layout {
	l := layout{choice: c, fresh: w.numbers(), rows: rows}
	l.into = l.fresh
	if more && len(c.merged) > 0 {
		l.into = w.numbers()
	}
	for range c.alone {
		l.apart = append(l.apart, w.numbers())
	}
	return l
}

// from lists the chunks that go.
func (l layout) from() []splitdate.Chunk { return slices.Concat(l.merged, l.alone) }

// all lists the chunks that may come.
func (l layout) all() []splitdate.Chunk {
	to := append([]splitdate.Chunk{l.fresh, l.into}, l.apart...)
	slices.Sort(to)
	return slices.Compact(to)
}

// rewriters is how many statements of a rewrite run at once. Each reads one large chunk in its order and writes one partition, so
// that nothing is sorted or scattered: two at a time on two cores take half as long as one statement of several threads.
const rewriters = 4

func (w *Window) rewrite(ctx context.Context, r sql.Region, state splitdate.Table, l layout, pieces []splitdate.Chunk) (map[splitdate.Chunk]splitdate.Meta, error) {
	group, inner := errgroup.WithContext(ctx)
	group.SetLimit(rewriters)
	exec := func(st sql.Statement, params warehouse.Params) {
		params["pieces"] = warehouse.Array(pieces)
		group.Go(func() error { return w.db.Exec(inner, st, params) })
	}
	for i, chunk := range l.alone {
		exec(w.table.Thin(), warehouse.Params{"from": warehouse.Array([]splitdate.Chunk{chunk}), "to": warehouse.U64(l.apart[i])})
	}
	if l.rows > 0 || len(l.merged) > 0 {
		exec(w.table.Rewrite(r, state.Rows(l.merged) >= manyRows), warehouse.Params{
			"from": warehouse.Array(l.merged), "to": warehouse.U64(l.into), "fresh": warehouse.U64(l.fresh), "split": warehouse.I64(state.Split),
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	return splitdate.CountChunks(ctx, w.db, w.table, l.all())
}

const (
	// maxChunks is how many chunks RT or LATE may have before a tick merges small ones: enough that inserts need not rewrite
	// anything, few enough that a view opens them at no cost.
	maxChunks = 16
	// smallChunk is the number of rows of a chunk that costs no more to be merged than to be written by itself.
	smallChunk = 1 << 16
	// manyRows is from how many rows on merging is worth several threads.
	manyRows = 400_000
)

// choice is which chunks a tick rewrites: those that it merges with the new rows, and touched ones that keep a chunk of their
// own.
type choice struct{ merged, alone []splitdate.Chunk }

// chosen is the chunk policy. A tick merges the touched chunks that are no larger than what it writes with them anyway, so that
// a row is rewritten a logarithmic number of times; the larger ones stay apart, so that rows which came at one time, and
// mostly change at one time, stay together, and a tick costs what it touches. When there are many chunks, small ones that are
// not touched are merged too. Where more changes are to come, only that merges any.
func chosen(state splitdate.Table, chunks, touched []splitdate.Chunk, fresh uint64, more bool) (c choice) {
	total, small := fresh, uint64(smallChunk)
	if more {
		total, small = 0, 0
	}
	take := func(chunk splitdate.Chunk) {
		c.merged = append(c.merged, chunk)
		total += state.Chunks[chunk].Rows
	}
	for _, chunk := range bySize(state, touched) {
		if state.Chunks[chunk].Rows <= max(total, small) {
			take(chunk)
		}
	}
	if len(chunks)-len(c.merged) >= maxChunks {
		for i, chunk := range bySize(state, without(chunks, c.merged)) {
			if i < 2 || state.Chunks[chunk].Rows <= total {
				take(chunk)
			}
		}
	}
	c.alone = without(touched, c.merged)
	return c
}

func bySize(state splitdate.Table, chunks []splitdate.Chunk) []splitdate.Chunk {
	return slices.SortedStableFunc(slices.Values(chunks), func(a, b splitdate.Chunk) int { return cmp.Compare(state.Chunks[a].Rows, state.Chunks[b].Rows) })
}

func without(chunks, others []splitdate.Chunk) []splitdate.Chunk {
	return slices.DeleteFunc(slices.Clone(chunks), func(c splitdate.Chunk) bool { return slices.Contains(others, c) })
}
