package splitdate

import (
	"math"

	"github.com/tidemark-db/tidemark/internal/warehouse"
)

// Range is a half-open range of dates: rows with From ≤ date < To. An end that lies beyond every date is open; an open To
// takes in the rows without a date too.
type Range struct{ From, To Instant }

// Everything is the range of all rows, those without a date included.
var Everything = Range{From: math.MinInt64, To: math.MaxInt64}

// OpenStart and OpenEnd report whether the range has no bound on that side.
func (r Range) OpenStart() bool { return r.From == math.MinInt64 }

// OpenEnd reports whether the range goes on for ever, and so holds the rows without a date.
func (r Range) OpenEnd() bool { return r.To == math.MaxInt64 }

// Empty reports whether no date lies in the range.
func (r Range) Empty() bool { return r.From >= r.To }

// Contains reports whether a date lies in the range; dated is false for a row without one.
func (r Range) Contains(date Instant, dated bool) bool {
	if !dated {
		return r.OpenEnd()
	}
	return r.From <= date && date < r.To
}

// Overlaps reports whether a chunk may hold rows of the range.
func (r Range) Overlaps(m Meta) bool { return m.Rows > 0 && m.From < r.To && m.To >= r.From }

// Intersect returns what lies in both ranges.
func (r Range) Intersect(o Range) Range { return Range{From: max(r.From, o.From), To: min(r.To, o.To)} }

func (r Range) String() string {
	from, to := "the beginning", "the end"
	if !r.OpenStart() {
		from = r.From.String()
	}
	if !r.OpenEnd() {
		to = r.To.String()
	}
	return from + " to " + to
}

// Since tells which rows of a table changed after a barrier: those whose keys are in the journal, the pieces of the ticks
// since. A row without a key never changes; its WAL position tells.
type Since struct {
	Barrier LSN
	Journal []Chunk

	Keep   Instant // rows before it stay where they are not among the loaded ones: the source has deleted them
	Loaded []Chunk // of HISTORIC
}

// Ages say what becomes of rows because of their dates: those before Keep stay when the source deletes them, those before
// Oldest are not there at all, whatever the source has.
type Ages struct{ Keep, Oldest Instant }

// Ancient is before every date that ClickHouse holds.
const Ancient = Instant(-2_208_988_800_000_000)

// Params are the parameters of statements about the rows of a range that did not change since a barrier.
func (r Range) Params(since Since) warehouse.Params {
	bound := func(at Instant, open bool) string {
		if open {
			at = 0
		}
		return warehouse.I64(at)
	}
	return warehouse.Params{
		"since": bound(r.From, r.OpenStart()), "until": bound(r.To, r.OpenEnd()),
		"open_start": flag(r.OpenStart()), "open_end": flag(r.OpenEnd()),
		"barrier": warehouse.U64(since.Barrier), "journal": warehouse.Array(since.Journal), "keep": warehouse.I64(max(since.Keep, Ancient)),
	}
}

func flag(b bool) string {
	if b {
		return "1"
	}
	return "0"
}
