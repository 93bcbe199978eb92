package bridge

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/tidemark-db/tidemark/cdc"
	"github.com/tidemark-db/tidemark/internal/block"
	"github.com/tidemark-db/tidemark/internal/warehouse"
	"github.com/tidemark-db/tidemark/splitdate"
	"github.com/tidemark-db/tidemark/sql"
)

// partitions is what the session knows of a partitioned table's leaves in PostgreSQL. ATTACH, DETACH, DROP and TRUNCATE of a
// leaf change the table without a row of WAL under its name. So the leaves whose rows the mark shows are written down, with
// stamps that all of these change, and compared with the catalogue every few seconds, and whenever the stream describes a
// leaf: it does so before the first change after any of them. From there on, until both are the same, the table is in
// doubt: its ticks expect of a key neither that it is there nor that it is not. What differs is read again.
type partitions struct {
	known   map[uint32]leaf // by OID: those whose rows the mark shows
	asOf    time.Time       // when the catalogue was asked that they are of
	now     map[uint32]leaf // as the catalogue was last seen
	nowAsOf time.Time
	doubt   time.Time // since when rows may have come or gone unannounced; zero: there is none
	reading bool      // what differs is being read again
	unsaved bool      // known is not written down yet
}

// leaf is a partition that holds rows itself.
type leaf struct {
	Name  string          `json:"name"`
	Stamp string          `json:"stamp"`
	Range splitdate.Range `json:"range"` // of the dates of its rows
	empty bool
}

// look is what the catalogue said of the leaves of partitioned tables.
type look struct {
	at     time.Time // before it was asked
	end    cdc.LSN   // of the WAL, after that
	leaves map[string][]cdc.Leaf
}

// leavesOf are a table's leaves with the ranges of its date column.
func leavesOf(t *sql.Table, found []cdc.Leaf) map[uint32]leaf {
	out := make(map[uint32]leaf, len(found))
	for _, l := range found {
		out[l.OID] = leaf{Name: l.Name, Stamp: l.Stamp, Range: leafRange(t, l), empty: l.Empty}
	}
	return out
}

// leafRange is the range of dates that the leaf's definition gives, or Everything.
func leafRange(t *sql.Table, l cdc.Leaf) splitdate.Range {
	if t.Mirrored() {
		return splitdate.Everything
	}
	from, to, ok := l.Bounds(t.Date)
	if !ok {
		return splitdate.Everything
	}
	out := splitdate.Everything
	for _, b := range []struct {
		text string
		at   *splitdate.Instant
	}{{from, &out.From}, {to, &out.To}} {
		if b.text == "" {
			continue
		}
		if *b.at, ok = dateOf(t, b.text); !ok {
			return splitdate.Everything
		}
	}
	return out
}

// dateOf reads a value of the date column.
func dateOf(t *sql.Table, text string) (splitdate.Instant, bool) {
	i := slices.IndexFunc(t.Columns, func(c sql.Column) bool { return c.Name == t.Date })
	b, err := block.NewBuilder(block.Columns(t.Columns[i : i+1]))
	if err != nil || b.AppendText(0, []byte(text)) != nil {
		return 0, false
	}
	at, ok := b.Instant(0, 0)
	return splitdate.Instant(at), ok
}

// readPartitions reads which leaves the newest mark shows. Until the catalogue was asked, all partitioned tables are in
// doubt.
func (s *session) readPartitions(ctx context.Context) error {
	kept := map[string]string{}
	err := s.db.Query(ctx, s.db.Database().ListPartitions(), nil, func(r warehouse.Rows) error {
		var table, leaves string
		err := r.Scan(&table, &leaves)
		kept[table] = leaves
		return err
	})
	if err != nil {
		return fmt.Errorf("read the partitions that the mark shows: %w", err)
	}
	for _, t := range s.tables {
		if t.partitions == nil {
			continue
		}
		t.partitions.doubt = time.Now()
		if text, ok := kept[t.sql.Source]; ok {
			if err := json.Unmarshal([]byte(text), &t.partitions.known); err != nil {
				return fmt.Errorf("decode the partitions of %s: %w", t.sql.Source, err)
			}
		}
		s.mapLeaves(t)
	}
	return nil
}

// mapLeaves maps the names of a table's leaves to it: the publication may send its rows under them.
func (s *session) mapLeaves(t *table) {
	maps.DeleteFunc(s.leaves, func(_ string, of *table) bool { return of == t })
	for _, l := range t.partitions.now {
		s.leaves[l.Name] = t
		delete(s.ignored, l.Name)
	}
}

// described takes note that the stream has described a relation: something may have been done to it.
func (s *session) described(r *cdc.Relation) {
	name := r.FullName()
	of := s.bySlot[name]
	if of == nil {
		of = s.leaves[name]
	}
	for _, t := range s.tables {
		if t.partitions != nil && (of == nil || of == t) { // nil: a leaf that is not known yet, of any of them
			s.doubt(t)
		}
	}
}

// doubt says that rows of a partitioned table may have come or gone unannounced, until the catalogue was asked.
func (s *session) doubt(t *table) {
	t.partitions.doubt = time.Now()
	s.lookSoon()
}

// inDoubt reports whether keys may be there or not, whatever the stream says of them.
func (t *table) inDoubt() bool { return t.partitions != nil && !t.partitions.doubt.IsZero() }

// leafOf asks the catalogue whether an unknown relation is a partition of a table, and which.
func (s *session) leafOf(ctx context.Context, r *cdc.Relation) (*table, error) {
	if !slices.ContainsFunc(s.tables, func(t *table) bool { return t.partitions != nil }) {
		return nil, nil
	}
	names, err := cdc.Ancestors(ctx, s.source, r.OID)
	if err != nil {
		return nil, err
	}
	for _, name := range names {
		if t := s.bySlot[name]; t != nil {
			s.leaves[r.FullName()] = t
			return t, nil
		}
	}
	return nil, nil
}

// truncate empties the tables that a TRUNCATE names. One of some partitions alone leaves the table in doubt.
func (s *session) truncate(ctx context.Context, e *cdc.Event) error {
	leaves := map[*table]int{}
	for _, r := range e.Truncated {
		t, err := s.find(ctx, r)
		switch {
		case err != nil:
			return err
		case t != nil && s.bySlot[r.FullName()] == nil:
			leaves[t]++
		case t != nil && s.wants(t, e):
			t.empty()
		}
	}
	for t, n := range leaves {
		if n >= len(t.partitions.now) && s.wants(t, e) {
			t.empty()
		} else {
			s.doubt(t)
		}
	}
	return nil
}

// empty takes note that a table was truncated.
func (t *table) empty() {
	t.changes.Reset()
	t.pending = t.pending.Truncate()
}

// nextLook is where looks come from while none waits.
func (s *session) nextLook() <-chan look {
	if s.look != nil {
		return nil
	}
	return s.looks
}

// looked compares what the catalogue said with what the mark shows, once that holds all that was done before: what comes
// later in the stream is of the partitions that the catalogue named. What differs is read again.
func (s *session) looked(ctx context.Context) {
	if s.look == nil || s.mark.LSN < s.look.end {
		return
	}
	l := *s.look
	s.look = nil
	for _, t := range s.tables {
		p := t.partitions
		if p == nil || l.at.Before(p.nowAsOf) || l.at.Before(p.asOf) {
			continue
		}
		p.now, p.nowAsOf = leavesOf(t.sql, l.leaves[t.sql.Source]), l.at
		s.mapLeaves(t)
		if s.live(t) && !p.reading {
			s.compareLeaves(ctx, t)
		}
	}
}

func (s *session) compareLeaves(ctx context.Context, t *table) {
	p := t.partitions
	names, ranges := p.differing()
	if len(names) == 0 {
		if p.doubt.Before(p.nowAsOf) {
			p.doubt = time.Time{}
		}
		s.seen.Waiting(t.sql.Source, nil)
		return
	}
	w := &walk{intent: replace, perSec: s.cfg.Limits.CopyRowsPerSecond}
	now, at := p.now, p.nowAsOf
	w.then = func(err error) {
		p.reading = false
		if err == nil {
			p.known, p.asOf, p.unsaved = now, at, true
			s.lookSoon()
		} // else the next look begins again
	}
	state := s.mark.Tables[t.sql.Name]
	for _, r := range ranges {
		switch {
		case !r.filled && (estimate(state, r.Range) == 0 || r.To <= t.ages(state).Keep): // nothing is there, nor here, or it stays
		case r.Range == splitdate.Everything:
			w.parts = append(w.parts, s.parts(t, r.Range)...)
		default: // a partition comes or goes as a whole, in one mark
			w.parts = append(w.parts, part{t, r.Range})
		}
	}
	p.reading = true
	if p.doubt.IsZero() {
		p.doubt = at
	}
	if len(w.parts) > 0 {
		s.log.Warn().Str("table", t.sql.Source).Strs("partitions", names).
			Msg("partitions were attached, detached, dropped or truncated, which the stream does not tell: until their rows are read again, queries see the table without that")
		s.seen.Waiting(t.sql.Source, names)
	}
	s.beginWalk(ctx, w)
}

// leafRanges is a range of dates, and whether PostgreSQL may have rows in it that nothing announced.
type leafRanges struct {
	splitdate.Range
	filled bool
}

// differing names the leaves that came, went or changed since the rows of the mark were read, and the ranges of dates that
// their rows lie in, without overlaps.
func (p *partitions) differing() (names []string, out []leafRanges) {
	var found []leafRanges
	for _, oid := range slices.Sorted(maps.Keys(p.known)) {
		if was := p.known[oid]; was.Stamp != p.now[oid].Stamp {
			names, found = append(names, was.Name), append(found, leafRanges{Range: was.Range})
		}
	}
	for _, oid := range slices.Sorted(maps.Keys(p.now)) {
		is := p.now[oid]
		was, known := p.known[oid]
		if was.Stamp == is.Stamp {
			continue
		}
		if !known {
			names = append(names, is.Name)
		}
		found = append(found, leafRanges{Range: is.Range, filled: !is.empty})
	}
	slices.SortFunc(found, func(a, b leafRanges) int { return cmp.Compare(a.From, b.From) })
	for _, r := range found {
		if n := len(out); n > 0 && r.From < out[n-1].To {
			out[n-1].To, out[n-1].filled = max(out[n-1].To, r.To), out[n-1].filled || r.filled
			continue
		}
		out = append(out, r)
	}
	return names, out
}

// savePartitions writes down whose rows the mark shows.
func (s *session) savePartitions(ctx context.Context) error {
	for _, t := range s.tables {
		if t.partitions == nil || !t.partitions.unsaved {
			continue
		}
		text, err := json.Marshal(t.partitions.known)
		if err != nil {
			return fmt.Errorf("encode the partitions of %s: %w", t.sql.Source, err)
		}
		err = s.db.Exec(ctx, s.db.Database().InsertPartitions(), warehouse.Params{"table": t.sql.Source, "leaves": string(text)})
		if err != nil {
			return fmt.Errorf("write down the partitions of %s: %w", t.sql.Source, err)
		}
		t.partitions.unsaved = false
	}
	return nil
}

// loadsPartitions takes note that a load begins, and will show the rows of the leaves that there are at least.
func (s *session) loadsPartitions(ctx context.Context, t *table) error {
	p := t.partitions
	if p == nil {
		return nil
	}
	p.known, p.asOf, p.unsaved, p.reading = p.now, p.nowAsOf, true, false
	return s.savePartitions(ctx)
}
