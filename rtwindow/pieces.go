package rtwindow

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"github.com/tidemark-db/tidemark/cdc"
	"github.com/tidemark-db/tidemark/internal/block"
	"github.com/tidemark-db/tidemark/internal/warehouse"
	"github.com/tidemark-db/tidemark/splitdate"
	"github.com/tidemark-db/tidemark/sql"
)

// Piece is a chunk of changes in <table>_changes.
type Piece struct {
	Chunk splitdate.Chunk `json:"chunk"`
	Raw   bool            `json:"raw"`   // with TOAST values that the WAL left out
	Flush int             `json:"flush"` // keys occur once per flush
	Feed  bool            `json:"feed"`  // for the change feed alone: every change by itself
}

// Pending is what a tick has to apply to one table: pieces of changes that lie in ClickHouse, in order.
type Pending struct {
	Pieces    []Piece `json:"pieces"`
	Rows      uint64  `json:"rows"`      // in the pieces
	Lookups   uint64  `json:"lookups"`   // keys in the pieces that were there before
	Truncated bool    `json:"truncated"` // the table was emptied before the pieces
	Flushes   int     `json:"flushes"`
	Repeated  bool    `json:"repeated"` // a key may be in two pieces

	// Written are all chunks that this tick wrote to <table>_changes; once a mark holds the tick they are garbage.
	Written []splitdate.Chunk `json:"written"`

	// Overlapping says that the state may hold rows as they were after some of the changes: a key may be there or not, or
	// twice, whatever its first change was.
	Overlapping bool `json:"overlapping"`
}

// Empty reports whether there is nothing to apply.
func (p Pending) Empty() bool { return len(p.Pieces) == 0 && !p.Truncated }

// Truncate returns what is to apply after a TRUNCATE: nothing that came before it, and nothing that was there.
func (p Pending) Truncate() Pending { return Pending{Truncated: true, Written: p.Written} }

// Replace returns what is to apply once a slice of the pieces was compacted: its pieces in the place of all, for the first slice,
// or beside those of the others.
func (p Pending) Replace(slice Pending, first bool) Pending {
	if !first {
		others := slices.DeleteFunc(slices.Clone(p.Pieces), func(piece Piece) bool { return piece.Feed })
		slice.Pieces = append(others, slice.Pieces...)
	}
	return slice
}

// Chunks are the numbers of the pieces that are to be applied, FeedChunks of those for the change feed.
func (p Pending) Chunks() []splitdate.Chunk { return p.chunks(false) }

// FeedChunks are the numbers of the pieces for the change feed.
func (p Pending) FeedChunks() []splitdate.Chunk { return p.chunks(true) }

func (p Pending) chunks(feed bool) []splitdate.Chunk {
	out := make([]splitdate.Chunk, 0, len(p.Pieces))
	for _, piece := range p.Pieces {
		if piece.Feed == feed {
			out = append(out, piece.Chunk)
		}
	}
	return out
}

// Window applies changes to the RT and LATE chunks of one table.
type Window struct {
	db      *warehouse.Conn
	table   *sql.Table
	numbers func() splitdate.Chunk
	rows    *block.Builder
	keys    *block.Builder
}

// NewWindow returns the window of a table. numbers hands out chunk numbers and must be safe for concurrent use.
func NewWindow(db *warehouse.Conn, t *sql.Table, numbers func() splitdate.Chunk) (*Window, error) {
	rows, err := block.NewBuilder(block.Columns(t.Columns))
	if err != nil {
		return nil, fmt.Errorf("table %s: %w", t.Source, err)
	}
	keys, err := block.NewBuilder(block.Columns(t.SourceColumns()))
	if err != nil {
		return nil, fmt.Errorf("table %s: %w", t.Source, err)
	}
	return &Window{db: db, table: t, numbers: numbers, rows: rows, keys: keys}, nil
}

// Flush sends the collected changes as pieces more of the tick, and forgets them. A row that came and went within the tick is
// among them: a snapshot that was taken in between, for a load beside the ticks, has it.
func (w *Window) Flush(ctx context.Context, c *Changes, p Pending) (Pending, error) {
	whole, unresolved := byResolved(c.entries)
	feed, unresolvedFeed := byResolved(c.feed)
	next := p
	next.Pieces = slices.Clone(p.Pieces)
	next.Flushes++
	for _, part := range []struct {
		entries []*entry
		raw     bool
		feed    bool
	}{{whole, false, false}, {unresolved, true, false}, {feed, false, true}, {unresolvedFeed, true, true}} {
		if len(part.entries) == 0 {
			continue
		}
		piece := Piece{Chunk: w.numbers(), Raw: part.raw, Flush: next.Flushes, Feed: part.feed}
		if err := w.send(ctx, c, part.entries, piece); err != nil {
			return p, err
		}
		next.Pieces = append(next.Pieces, piece)
		next.Written = append(next.Written, piece.Chunk)
		if !part.feed {
			next.Rows += uint64(len(part.entries))
			next.Lookups += lookups(part.entries)
		}
	}
	next.Repeated = c.flushed() || p.Repeated
	return next, nil
}

// byResolved divides entries into those that are whole and those that lack TOAST values.
func byResolved(entries []*entry) (whole, unresolved []*entry) {
	for _, e := range entries {
		if e.unresolved() {
			unresolved = append(unresolved, e)
		} else {
			whole = append(whole, e)
		}
	}
	return whole, unresolved
}

func lookups(entries []*entry) (n uint64) {
	for _, e := range entries {
		if !e.insert {
			n++
		}
	}
	return n
}

// Resolve fills in the TOAST values that the WAL left out: from the pieces of earlier flushes, or from the state before
// the tick. Rows that are too old to be there need none.
func (w *Window) Resolve(ctx context.Context, state splitdate.Table, p Pending, ages splitdate.Ages) (Pending, error) {
	next := p
	next.Pieces = slices.Clone(p.Pieces)
	for i, piece := range p.Pieces {
		if !piece.Raw {
			continue
		}
		resolved := Piece{Chunk: w.numbers(), Flush: piece.Flush, Feed: piece.Feed}
		if err := w.resolve(ctx, state, earlier(next.Pieces[:i], piece), piece.Chunk, resolved.Chunk, ages); err != nil {
			return p, err
		}
		next.Pieces[i] = resolved
		next.Written = append(next.Written, resolved.Chunk)
	}
	return next, nil
}

func earlier(pieces []Piece, than Piece) (chunks []splitdate.Chunk) {
	for _, p := range pieces {
		if p.Flush < than.Flush && !p.Feed {
			chunks = append(chunks, p.Chunk)
		}
	}
	return chunks
}

func (w *Window) resolve(ctx context.Context, state splitdate.Table, pieces []splitdate.Chunk, from, to splitdate.Chunk, ages splitdate.Ages) error {
	err := w.db.Exec(ctx, w.table.ResolveUnchanged(), warehouse.Params{
		"to": warehouse.U64(to), "from": warehouse.U64(from), "pieces": warehouse.Array(pieces),
		"here":     warehouse.Array(slices.Concat(state.RT, state.Late)),
		"historic": warehouse.Array(state.Historic()), "masks": warehouse.Array(state.Masks),
	})
	if err != nil {
		return err
	}
	var rows [2]uint64
	for i, chunk := range []splitdate.Chunk{from, to} {
		if rows[i], err = w.count(ctx, w.table.CountChanges(), warehouse.Params{"piece": warehouse.U64(chunk), "oldest": warehouse.I64(ages.Oldest)}); err != nil {
			return err
		}
	}
	if rows[0] != rows[1] {
		return gap(w.table, rows[0]-rows[1], "rows whose unchanged TOAST values it needs")
	}
	return nil
}

// send encodes entries and inserts them as one piece.
func (w *Window) send(ctx context.Context, c *Changes, entries []*entry, piece Piece) error {
	w.rows.Reset()
	chunk, lsn, ordinal := make([]uint64, len(entries)), make([]uint64, len(entries)), make([]uint64, len(entries))
	insert, live, op := make([]uint8, len(entries)), make([]uint8, len(entries)), make([]uint8, len(entries))
	at := make([]time.Time, len(entries))
	for i, e := range entries {
		if err := appendRow(w.rows, e.row, e.live || e.whole, c.key); err != nil {
			return fmt.Errorf("table %s, row %s, at %s: %w", w.table.Source, c.Key(e.row), cdc.LSN(e.lsn), err)
		}
		chunk[i], lsn[i], ordinal[i] = uint64(piece.Chunk), e.lsn, e.ordinal
		insert[i], live[i], op[i], at[i] = flag(e.insert), flag(e.live), uint8(e.op), time.UnixMicro(e.time)
	}
	statement := w.table.InsertChanges()
	if piece.Raw {
		statement = w.table.InsertUnresolved()
	}
	return w.db.Insert(ctx, statement, func(b driver.Batch) error {
		n := len(w.table.Columns)
		if err := w.rows.AppendTo(b, 0); err != nil {
			return err
		}
		for i, col := range []any{chunk, lsn, ordinal, insert, live, op, at} {
			if err := b.Column(n + i).Append(col); err != nil {
				return err
			}
		}
		if !piece.Raw {
			return nil
		}
		return w.appendSources(entries, b, n+7)
	})
}

// appendSources appends which values are missing, and the keys of the rows that have them.
func (w *Window) appendSources(entries []*entry, b driver.Batch, at int) error {
	w.keys.Reset()
	missing := make([][]uint16, len(entries))
	for i, e := range entries {
		for col := range e.row {
			if e.row[col].Kind == cdc.Unchanged {
				missing[i] = append(missing[i], uint16(col))
			}
		}
		if err := appendRow(w.keys, e.source, true, nil); err != nil {
			return fmt.Errorf("table %s: %w", w.table.Source, err)
		}
	}
	if err := b.Column(at).Append(missing); err != nil {
		return err
	}
	return w.keys.AppendTo(b, at+1)
}

// appendRow appends a row, of a dead one the key alone.
func appendRow(b *block.Builder, row cdc.Tuple, live bool, key []int) error {
	rows := b.Rows()
	for i := range row {
		if !live && !contains(key, i) {
			b.AppendZero(i)
			continue
		}
		if err := appendValue(b, i, row[i]); err != nil {
			b.Truncate(rows)
			return err
		}
	}
	return nil
}

func appendValue(b *block.Builder, col int, v cdc.Value) error {
	switch v.Kind {
	case cdc.Text:
		return b.AppendText(col, v.Text())
	case cdc.Null:
		return b.AppendNull(col)
	default:
		b.AppendZero(col)
		return nil
	}
}

func contains(list []int, n int) bool {
	for _, v := range list {
		if v == n {
			return true
		}
	}
	return false
}

func flag(b bool) uint8 {
	if b {
		return 1
	}
	return 0
}

func (w *Window) count(ctx context.Context, s sql.Statement, p warehouse.Params) (n uint64, err error) {
	err = w.db.Query(ctx, s, p, func(r warehouse.Rows) error { return r.Scan(&n) })
	return n, err
}
