package splitdate

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/jackc/pglogrepl"

	"github.com/tidemark-db/tidemark/sql"
)

// Format is the version of the mark that this binary writes. It reads and upgrades the previous one, and refuses newer
// ones.
const Format = 2

// apart is the format in which RT, LATE and HISTORIC lay in tables of their own, and a table's rows counted its masks; see
// bridge.upgrade.
const apart = 1

// LSN is a position in PostgreSQL's WAL. A mark's LSN is the end of the commit record of the last transaction that it
// holds, or a later position up to which there was nothing to apply.
type LSN = pglogrepl.LSN

// Term numbers the tenure of a writer, Epoch the marks. Both count up and never go back.
type (
	Term  uint64
	Epoch uint64
)

// Instant is a point in time in µs since the Unix epoch, UTC: the resolution of PostgreSQL's timestamps.
type Instant int64

// Never is the end of a chunk that holds rows without a date; it is later than any date.
const Never = Instant(1)<<62 - 1

// InstantOf converts a time, cutting what is finer than a microsecond.
func InstantOf(t time.Time) Instant { return Instant(t.UnixMicro()) }

// Time converts to a time in UTC.
func (i Instant) Time() time.Time { return time.UnixMicro(int64(i)).UTC() }

func (i Instant) String() string { return i.Time().Format("2006-01-02 15:04:05.000000") }

// Chunk is the number of an immutable set of rows of one internal table. The upper 24 bits are the writer's term.
type Chunk uint64

const chunkBits = 40

// Settled returns the number of a chunk of HISTORIC, which lies in a partition for each period of its dates.
func (c Chunk) Settled() Chunk { return c | 1<<sql.SettledBit }

// IsSettled reports whether the number is one that Settled returned.
func (c Chunk) IsSettled() bool { return c == c.Settled() }

// Term returns the term in which the chunk was written.
func (c Chunk) Term() Term { return Term(c >> chunkBits) }

// Meta is what the mark knows of a chunk: its rows, and the first and last instant of its date column (0 for chunks of
// mirrored tables and of masks; Never as the last one if there are rows without a date).
type Meta struct {
	Rows     uint64
	From, To Instant
}

// Source identifies the history that LSNs belong to. Marks of another source are never continued.
type Source struct {
	SystemID string
	Timeline int32
	Database string
	Slot     string
}

// Table is the state of one table at a mark. It is a value: Apply returns a new one.
type Table struct {
	Mirrored bool
	Split    Instant // meaningless when mirrored

	Clean []Chunk // HISTORIC without masks
	Dirty []Chunk // HISTORIC with masks
	Masks []Chunk
	Late  []Chunk
	RT    []Chunk

	Chunks map[Chunk]Meta // of every listed chunk

	Shape    uint64 // number of the columns that the chunks have, in shapes
	Narrowed LSN    // from here on, a view that knows nothing of it may show a column that is no more
}

// Mark is one row of split_date.
type Mark struct {
	Format     uint16
	Term       Term
	Epoch      Epoch
	LSN        LSN
	CommitTime time.Time
	Source     Source
	Tables     map[string]Table     // by the name of the view
	Aggregates map[string]Aggregate // those that are complete, by the name of the view
	Loads      map[string]Load      // tables that are read in pieces, by the name of the view to be
}

// Historic returns the chunks of HISTORIC, clean and dirty.
func (t Table) Historic() []Chunk { return slices.Concat(t.Clean, t.Dirty) }

// In returns the chunks of one region.
func (t Table) In(r sql.Region) []Chunk {
	switch r {
	case sql.RT:
		return t.RT
	case sql.Late:
		return t.Late
	case sql.Masks:
		return t.Masks
	case sql.Historic:
		return t.Historic()
	default:
		return nil
	}
}

// Listed returns every chunk of the table.
func (t Table) Listed() []Chunk { return slices.Concat(t.Clean, t.Dirty, t.Masks, t.Late, t.RT) }

// Has reports whether the table has a chunk.
func (t Table) Has(c Chunk) bool { _, ok := t.Chunks[c]; return ok }

// Rows sums the rows of the given chunks.
func (t Table) Rows(chunks []Chunk) uint64 {
	var n uint64
	for _, c := range chunks {
		n += t.Chunks[c].Rows
	}
	return n
}

// Live is the number of rows that the table's view shows.
func (t Table) Live() uint64 { return t.Rows(t.Listed()) - 2*t.Rows(t.Masks) }

// counted are the rows that the guard of the table's view counts.
func (t Table) counted(format uint16) uint64 {
	if format == apart {
		return t.Rows(t.Listed())
	}
	return t.Rows(t.Listed()) - t.Rows(t.Masks)
}

// IsApart reports whether the mark's chunks are where format 1 had them.
func (m Mark) IsApart() bool { return m.Format == apart }

// Numbers hands out the chunk numbers of one term. It is not safe for concurrent use by itself.
type Numbers struct{ next Chunk }

// NewNumbers starts the numbers of a term.
func NewNumbers(t Term) *Numbers { return &Numbers{next: Chunk(t) << chunkBits} }

// Next returns a number that was never used before.
func (n *Numbers) Next() Chunk { n.next++; return n.next }

func (t Table) clone() Table {
	t.Clean, t.Dirty, t.Masks = slices.Clone(t.Clean), slices.Clone(t.Dirty), slices.Clone(t.Masks)
	t.Late, t.RT = slices.Clone(t.Late), slices.Clone(t.RT)
	t.Chunks = maps.Clone(t.Chunks)
	if t.Chunks == nil {
		t.Chunks = map[Chunk]Meta{}
	}
	return t
}

func (m Mark) String() string {
	return fmt.Sprintf("mark (%d, %d) at %s", m.Term, m.Epoch, m.LSN)
}
