package bridge

import (
	"context"
	"maps"
	"slices"
	"time"

	"github.com/tidemark-db/tidemark/cdc"
	"github.com/tidemark-db/tidemark/historic"
	"github.com/tidemark-db/tidemark/internal/load"
	"github.com/tidemark-db/tidemark/internal/observe"
	"github.com/tidemark-db/tidemark/splitdate"
	"github.com/tidemark-db/tidemark/sql"
)

// Reread is what reading a part of a table again found and did.
type Reread struct {
	Table       string                `json:"table"`
	From        *time.Time            `json:"from"` // nil: from the beginning
	To          *time.Time            `json:"to"`   // nil: to the end, rows without a date included
	LSN         string                `json:"lsn"`  // PostgreSQL's rows are those of the transactions before it
	Rows        uint64                `json:"rows"` // that PostgreSQL had
	Live        uint64                `json:"compared_rows,omitempty"`
	Equal       bool                  `json:"equal"`
	Differences []historic.Difference `json:"differences"` // at most 1,000
	Replaced    bool                  `json:"loaded"`      // PostgreSQL's rows took the place of the live ones
	Took        time.Duration         `json:"took_ns"`
}

// walk is a list of parts to read again, one after the other. It is in line until the last part has ended.
type walk struct {
	intent    intent
	parts     []part
	perSec    int64
	scheduled bool
	done      []Reread
	reply     chan<- jobResult // nil: of the schedule
	then      func(error)      // called at the end; nil: nothing
}

// kind is how people know it.
func (w *walk) kind() string {
	if w.intent == replace {
		return observe.Load
	}
	return observe.Verify
}

// maxPartRows bounds the rows of a part, where its range can be cut: what a part needs at ClickHouse, and how long its
// snapshot is held, grow with it.
const maxPartRows = 5_000_000

// parts cuts a range of a table where the partitions of its live rows begin. A table that PostgreSQL could only read as a
// whole is one part.
func (s *session) parts(t *table, rng splitdate.Range) (out []part) {
	if rng.Empty() || t.sql.Mirrored() && rng != splitdate.Everything { // mirrored rows have no date
		return nil
	}
	if t.sql.Mirrored() {
		return []part{{t, rng}}
	}
	state := s.mark.Tables[t.sql.Name]
	if rng = rng.Intersect(t.retained(state)); rng.Empty() {
		return nil
	}
	from := rng.From
	for _, at := range append(s.starts(t, state), rng.To) {
		if at <= from || at > rng.To || !t.indexed && at != rng.To {
			continue
		}
		out = append(out, cut(t, state, splitdate.Range{From: from, To: at})...)
		from = at
	}
	return out
}

// starts are the first instants of the partitions in which chunks begin or end, in order.
func (s *session) starts(t *table, state splitdate.Table) []splitdate.Instant {
	start, found := load.PeriodStart(t.sql), map[splitdate.Instant]bool{}
	for _, c := range slices.Concat(state.Historic(), state.Late, state.RT) {
		for _, at := range []splitdate.Instant{state.Chunks[c].From, state.Chunks[c].To} {
			if at < splitdate.Never {
				found[start(at)] = true
			}
		}
	}
	return slices.Sorted(maps.Keys(found))
}

// cut divides a range with too many rows evenly in time.
func cut(t *table, state splitdate.Table, rng splitdate.Range) (out []part) {
	n := splitdate.Instant(estimate(state, rng)/maxPartRows + 1)
	if rng.OpenStart() || rng.OpenEnd() || !t.indexed || dateOnly(t.sql) {
		n = 1
	}
	for i := range n {
		out = append(out, part{t, splitdate.Range{From: rng.From + (rng.To-rng.From)/n*i, To: rng.From + (rng.To-rng.From)/n*(i+1)}})
	}
	out[n-1].rng.To = rng.To
	return out
}

func dateOnly(t *sql.Table) bool {
	kind := t.DateType().Kind
	return kind == sql.KindDate || kind == sql.KindDate32
}

// between renders a range for PostgreSQL, of columns without a zone a little wider, since a clock change can put wall clocks
// out of order; the loader leaves out what is too much.
func between(t *table, rng splitdate.Range) *cdc.Between {
	if rng == splitdate.Everything || t.sql.Mirrored() {
		return nil
	}
	typ := t.sql.DateType()
	layout, zone, margin := "2006-01-02 15:04:05.999999", typ.Zone, 3*time.Hour
	switch {
	case typ.Kind == sql.KindTimestampTZ:
		layout, zone, margin = layout+"-07", time.UTC, 0
	case dateOnly(t.sql):
		layout, margin = "2006-01-02", 24*time.Hour
	}
	text := func(at splitdate.Instant, open bool, margin time.Duration) string {
		if wall := at.Time().In(zone).Add(margin); !open && wall.Year() > 0 {
			return wall.Format(layout)
		}
		return ""
	}
	return &cdc.Between{
		Column: t.sql.Date, Nulls: rng.OpenEnd(), Indexed: t.indexed,
		From: text(rng.From, rng.OpenStart(), -margin), To: text(rng.To, rng.OpenEnd(), margin),
	}
}

// beginWalk puts a walk in line: what was asked for goes before what is scheduled.
func (s *session) beginWalk(ctx context.Context, w *walk) {
	at := slices.IndexFunc(s.walks, func(o *walk) bool { return o.scheduled && !w.scheduled })
	if at < 0 {
		at = len(s.walks)
	}
	s.walks = slices.Insert(s.walks, at, w)
	s.nextPart(ctx)
}

// nextPart begins the next part in line, unless its table is busy: then a later tick does.
func (s *session) nextPart(ctx context.Context) {
	for s.reread == nil && len(s.walks) > 0 {
		w := s.walks[0]
		if len(w.parts) == 0 {
			s.walks = s.walks[1:]
			w.answer(nil)
			continue
		}
		next := w.parts[0]
		if next.table.busy() {
			return
		}
		w.parts = w.parts[1:]
		next.rng = next.rng.Intersect(next.table.retained(s.mark.Tables[next.table.sql.Name]))
		if s.live(next.table) && !next.rng.Empty() {
			s.beginReread(ctx, next, w)
		}
	}
}

func (w *walk) answer(err error) {
	if w.then != nil {
		w.then(err)
	}
	if w.reply != nil {
		w.reply <- jobResult{reread: w.done, err: err}
	}
}
