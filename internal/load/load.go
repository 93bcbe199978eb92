// Package load writes the rows of a table, as PostgreSQL had them at a barrier, to new chunks: those with a date before
// the split date to HISTORIC, a chunk for each of its periods, the others to RT. It owns neither the reading (cdc) nor
// the mark that will list the chunks (splitdate).
package load

import (
	"context"
	"fmt"
	"maps"
	"math/bits"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"github.com/tidemark-db/tidemark/cdc"
	"github.com/tidemark-db/tidemark/internal/block"
	"github.com/tidemark-db/tidemark/internal/warehouse"
	"github.com/tidemark-db/tidemark/splitdate"
	"github.com/tidemark-db/tidemark/sql"
)

// Options of a load.
type Options struct {
	Barrier cdc.LSN           // the rows are those of the transactions that committed before it
	Split   splitdate.Instant // of a table with a date column
	Range   splitdate.Range   // rows outside it are left out
	Small   bool              // a mirrored table that lies in RT as a whole
	Now     splitdate.Instant // from which ages of rows of RT count
	Numbers func() splitdate.Chunk
}

// Loader takes rows from several workers at once.
type Loader struct {
	Options
	db    *warehouse.Conn
	table *sql.Table
	date  int // position of the date column, -1 if there is none

	period func(splitdate.Instant) int64

	ordinals atomic.Uint64            // keyless rows are numbered in the order of arrival
	first    atomic.Int64             // rows placed in RT
	recent   [maxAge + 1]atomic.Int64 // the same by age, but for those that share a chunk

	mu       sync.Mutex
	historic map[int64]splitdate.Chunk // by period
	rt       map[int64]splitdate.Chunk // by age and number
	workers  map[int]*worker
}

// worker holds what one worker has not sent yet.
type worker struct {
	loader   *Loader
	historic *half
	rt       *half
	placed   uint64 // rows that are in the range

	period int64           // of the last settled row
	chunk  splitdate.Chunk // of that period, 0 before the first one
}

// half is the rows of one region.
type half struct {
	rows    *block.Builder
	chunk   []uint64
	lsn     []uint64
	ordinal []uint64
}

// Rows of one INSERT: large enough for large parts, small enough that a worker needs little memory.
const (
	maxRows  = 250_000
	maxBytes = 32 << 20
)

// The number of rows of a HISTORIC chunk of a mirrored table, and of one of RT at most: ticks rewrite those that they touch.
const (
	mirroredChunk = 1_000_000
	recentChunk   = 250_000
)

// youngest is the age below which rows of RT share chunks; each further chunk has rows of up to twice the age, as the ticks of
// an hour would have left them. What is young changes most, and lies in small chunks.
const (
	youngest = 64 * 1_000_000 // µs
	maxAge   = 32             // in doublings
	together = 1 << 16        // rows that share a chunk before that: few rows need no more
)

// age is how many times youngest doubles to the age of a row of RT; rows without a date, or with one to come, are young.
func (l *Loader) age(at splitdate.Instant, dated bool) int {
	if !dated || at >= l.Now {
		return 0
	}
	return min(bits.Len64(uint64(l.Now-at)/youngest), maxAge)
}

// New returns a loader.
func New(db *warehouse.Conn, t *sql.Table, o Options) (*Loader, error) {
	l := &Loader{Options: o, db: db, table: t, historic: map[int64]splitdate.Chunk{}, rt: map[int64]splitdate.Chunk{}, workers: map[int]*worker{}, period: Period(t)}
	l.date = slices.IndexFunc(t.Columns, func(c sql.Column) bool { return c.Name == t.Date })
	if t.Mirrored() {
		l.date = -1
	}
	_, err := l.worker(0)
	return l, err
}

func (l *Loader) worker(n int) (*worker, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if w, ok := l.workers[n]; ok {
		return w, nil
	}
	w := &worker{loader: l}
	for _, h := range []**half{&w.historic, &w.rt} {
		rows, err := block.NewBuilder(block.Columns(l.table.Columns))
		if err != nil {
			return nil, fmt.Errorf("load %s: %w", l.table.Source, err)
		}
		*h = &half{rows: rows}
	}
	l.workers[n] = w
	return w, nil
}

// Binary reports whether every column can be read from PostgreSQL's binary format.
func (l *Loader) Binary() bool {
	return !slices.ContainsFunc(l.table.Columns, func(c sql.Column) bool { return c.Binary == sql.NoBinary })
}

// Add takes rows, in the order of the table's columns, from one worker.
func (l *Loader) Add(ctx context.Context, n int, rows []cdc.Tuple) error {
	w, err := l.worker(n)
	if err != nil {
		return err
	}
	ordinal := l.ordinals.Add(uint64(len(rows))) - uint64(len(rows))
	for _, row := range rows {
		ordinal++
		if err := w.add(row, ordinal); err != nil {
			return fmt.Errorf("row %s, as of %s: %w", w.key(row), l.Barrier, err)
		}
	}
	for _, h := range []*half{w.historic, w.rt} {
		if h.rows.Rows() >= maxRows || h.rows.Bytes() >= maxBytes {
			if err := l.send(ctx, h); err != nil {
				return err
			}
		}
	}
	return nil
}

// key renders a row's key for messages; without one, all of the row that is short.
func (w *worker) key(row cdc.Tuple) string {
	var out []string
	table := w.loader.table
	for i, c := range table.Columns {
		text := string(row[i].Text())
		if row[i].Kind == cdc.Binary {
			text = w.rt.rows.Text(i, row[i].Text())
		}
		if slices.Contains(table.Key, c.Name) || table.Keyless() && len(text) < 40 {
			out = append(out, fmt.Sprintf("%s=%s", c.Shown(), text))
		}
	}
	return strings.Join(out, ", ")
}

// add appends a row to the half it belongs to. Whether it is settled is known when its date has been read.
func (w *worker) add(row cdc.Tuple, ordinal uint64) error {
	l := w.loader
	if l.date < 0 {
		w.placed++
		if l.Small {
			return w.recent(row, ordinal, 0)
		}
		return w.historic.append(row, l.chunk(l.historic, int64(ordinal/mirroredChunk), true), l.Barrier, ordinal)
	}
	if err := w.historic.append(row, 0, l.Barrier, ordinal); err != nil {
		return err
	}
	last := w.historic.rows.Rows() - 1
	at, dated := w.historic.rows.Instant(l.date, last)
	if !l.Range.Contains(splitdate.Instant(at), dated) {
		w.historic.truncate(last)
		return nil
	}
	w.placed++
	if dated && splitdate.Instant(at) < l.Split {
		w.historic.chunk[last] = uint64(w.settled(l.period(splitdate.Instant(at))))
		return nil
	}
	w.historic.truncate(last)
	return w.recent(row, ordinal, l.age(splitdate.Instant(at), dated))
}

// settled returns the chunk of a period. Rows of one period mostly come together.
func (w *worker) settled(period int64) splitdate.Chunk {
	if w.chunk == 0 || w.period != period {
		w.period, w.chunk = period, w.loader.chunk(w.loader.historic, period, true)
	}
	return w.chunk
}

// recent appends a row of an age to RT.
func (w *worker) recent(row cdc.Tuple, ordinal uint64, age int) error {
	l, number := w.loader, int64(-1)
	if l.first.Add(1) > together {
		number = l.recent[age].Add(1)/recentChunk<<8 | int64(age)
	}
	return w.rt.append(row, l.chunk(l.rt, number, false), l.Barrier, ordinal)
}

// append adds a row. Loaded rows of a table without a key get the position just before the barrier: no transaction has
// it, because WAL records begin at multiples of eight.
func (h *half) append(row cdc.Tuple, chunk splitdate.Chunk, barrier cdc.LSN, ordinal uint64) error {
	rows := h.rows.Rows()
	for i := range row {
		var err error
		switch row[i].Kind {
		case cdc.Null:
			err = h.rows.AppendNull(i)
		case cdc.Binary:
			err = h.rows.AppendBinary(i, row[i].Text())
		default:
			err = h.rows.AppendText(i, row[i].Text())
		}
		if err != nil {
			h.rows.Truncate(rows)
			return err
		}
	}
	h.chunk = append(h.chunk, uint64(chunk))
	h.lsn = append(h.lsn, uint64(barrier)-1)
	h.ordinal = append(h.ordinal, ordinal)
	return nil
}

func (h *half) truncate(rows int) {
	h.rows.Truncate(rows)
	h.chunk, h.lsn, h.ordinal = h.chunk[:rows], h.lsn[:rows], h.ordinal[:rows]
}

// Chunks are the chunks that rows may have gone to, of RT and of HISTORIC.
func (l *Loader) Chunks() (rt, settled []splitdate.Chunk) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Sorted(maps.Values(l.rt)), slices.Sorted(maps.Values(l.historic))
}

// chunk returns the chunk of a period, or of that number; it is settled in HISTORIC.
func (l *Loader) chunk(of map[int64]splitdate.Chunk, n int64, settled bool) splitdate.Chunk {
	l.mu.Lock()
	defer l.mu.Unlock()
	c, ok := of[n]
	if !ok {
		if c = l.Numbers(); settled {
			c = c.Settled()
		}
		of[n] = c
	}
	return c
}

// send inserts what a half holds.
func (l *Loader) send(ctx context.Context, h *half) error {
	if h.rows.Rows() == 0 {
		return nil
	}
	err := l.db.Insert(ctx, l.table.InsertChunk(), func(b driver.Batch) error {
		if err := h.rows.AppendTo(b, 0); err != nil {
			return err
		}
		n := len(l.table.Columns)
		more := []any{h.chunk}
		if l.table.Keyless() {
			more = []any{h.lsn, h.ordinal, h.chunk}
		}
		for i, col := range more {
			if err := b.Column(n + i).Append(col); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("load %s: %w", l.table.Source, err)
	}
	h.rows.Reset()
	h.truncate(0)
	return nil
}

// Finish sends the rest and returns the table's state at the barrier, after counting what arrived.
func (l *Loader) Finish(ctx context.Context) (splitdate.Table, error) {
	state := splitdate.Table{Mirrored: l.table.Mirrored(), Split: l.Split}
	var placed uint64
	for _, w := range l.workers {
		placed += w.placed
		for _, h := range []*half{w.historic, w.rt} {
			if err := l.send(ctx, h); err != nil {
				return state, err
			}
		}
	}
	rt, settled := l.Chunks()
	var err error
	if state.Chunks, err = splitdate.CountChunks(ctx, l.db, l.table, slices.Concat(rt, settled)); err != nil {
		return state, err
	}
	empty := func(c splitdate.Chunk) bool { return !state.Has(c) }
	state.RT, state.Clean = slices.DeleteFunc(rt, empty), slices.DeleteFunc(settled, empty)
	if got := state.Rows(state.Listed()); got != placed {
		return state, fmt.Errorf("load %s: PostgreSQL sent %d rows, %d arrived: %w", l.table.Source, placed, got, splitdate.ErrInvariant)
	}
	return state, nil
}
