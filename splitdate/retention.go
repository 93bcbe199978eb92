package splitdate

import (
	"maps"
	"slices"
	"time"

	"github.com/tidemark-db/tidemark/sql"
)

// Retired is a chunk that the newest mark no longer lists.
type Retired struct {
	Table  string // view name; an aggregate's for a merged chunk of its states
	Region sql.Region
	Chunk  Chunk

	last Epoch   // the last mark that lists it
	at   Instant // ClickHouse's clock when the mark without it was seen to be there
}

type keptMark struct {
	epoch Epoch
	lsn   LSN
}

// Retention decides when a chunk that is no longer listed may be dropped, and up to where the source may forget: never
// past the oldest mark whose chunks are all still there, so that losing the newest mark loses nothing. It is pure and
// not safe for concurrent use.
type Retention struct {
	marks   []keptMark // oldest first; all their chunks are there
	retired []Retired  // oldest first
}

// NewRetention begins with the mark of a new term. older are chunks that a mark before it listed and this one does not:
// queries that began under another writer may still read them.
func NewRetention(m Mark, older []Retired, now Instant) *Retention {
	r := &Retention{marks: []keptMark{{m.Epoch, m.LSN}}}
	for _, c := range older {
		c.last, c.at = m.Epoch-1, now
		r.retired = append(r.retired, c)
	}
	return r
}

// Published takes note of a mark and of the chunks that it no longer lists. now is ClickHouse's clock, read after the
// mark was there: a query that began later cannot have read an older mark.
func (r *Retention) Published(prev, next Mark, now Instant) {
	r.marks = append(r.marks, keptMark{next.Epoch, next.LSN})
	for _, name := range slices.Sorted(maps.Keys(prev.Tables)) {
		before, after := prev.Tables[name], next.Tables[name]
		for _, region := range []sql.Region{sql.RT, sql.Late, sql.Historic, sql.Masks} {
			for _, c := range before.In(region) {
				if _, listed := after.Chunks[c]; !listed {
					r.retired = append(r.retired, Retired{
						Table: name, Region: region, Chunk: c, last: prev.Epoch, at: now,
					})
				}
			}
		}
	}
	r.retireMerged(prev, next, now)
}

// retireMerged takes note of the merged chunks that go. All other states go with the chunk of rows whose number they have.
func (r *Retention) retireMerged(prev, next Mark, now Instant) {
	for _, name := range slices.Sorted(maps.Keys(prev.Aggregates)) {
		for _, c := range slices.Sorted(maps.Keys(prev.Aggregates[name].Merged)) {
			if _, listed := next.Aggregates[name].Merged[c]; !listed {
				r.retired = append(r.retired, Retired{Table: name, Region: sql.Historic, Chunk: c, last: prev.Epoch, at: now})
			}
		}
	}
}

// Due takes out the chunks that may be dropped: no query that runs began before the mark without them, or they are
// older than maxAge. now and oldestQuery are ClickHouse's clock.
func (r *Retention) Due(now, oldestQuery Instant, maxAge time.Duration) []Retired {
	n := 0
	for n < len(r.retired) {
		c := r.retired[n]
		if c.at >= oldestQuery && c.at > now-Instant(maxAge.Microseconds()) {
			break
		}
		n++
	}
	if n == 0 && len(r.retired) == 0 {
		r.forget(r.marks[len(r.marks)-1].epoch - 2)
	}
	return r.take(n)
}

// Over takes out the oldest chunks that waiting queries must do without, because all waiting chunks together are larger
// than limit. sizes are their bytes on disk.
func (r *Retention) Over(limit int64, sizes map[Chunk]int64) []Retired {
	var total int64
	for _, c := range r.retired {
		total += sizes[c.Chunk]
	}
	n := 0
	for n < len(r.retired) && total > limit {
		total -= sizes[r.retired[n].Chunk]
		n++
	}
	return r.take(n)
}

// take takes out the n oldest chunks, and with them the marks that list them.
func (r *Retention) take(n int) []Retired {
	due := r.retired[:n:n]
	r.retired = r.retired[n:]
	if n > 0 {
		r.forget(due[n-1].last)
	}
	return due
}

// forget gives up the marks up to an epoch: their chunks go, or nobody needs them.
func (r *Retention) forget(last Epoch) {
	for len(r.marks) > 1 && r.marks[0].epoch <= last {
		r.marks = r.marks[1:]
	}
}

// Waiting is how many chunks wait to be dropped.
func (r *Retention) Waiting() int { return len(r.retired) }

// Safe returns the oldest mark whose chunks are all still there: its position may be confirmed to the source, and marks
// before its epoch are of no more use.
func (r *Retention) Safe() (Epoch, LSN) { return r.marks[0].epoch, r.marks[0].lsn }
