package splitdate

import (
	"maps"
	"slices"

	"github.com/tidemark-db/tidemark/sql"
)

// Aggregate is the state of a declared aggregate at a mark. The states of a chunk of rows have the chunk's own number;
// those of RT, of LATE and of clean HISTORIC chunks are always there, dirty chunks are computed from their rows. It is a
// value: next returns a new one.
type Aggregate struct {
	Table      string // whose rows it aggregates
	Definition string // of what the states were made

	States map[Chunk]uint64 // number of states, by chunk of rows
	Merged map[Chunk]Merged // chunks that stand for several clean HISTORIC chunks
}

// Merged is a chunk with the states of several chunks merged. Those chunks keep their own states for the day when one of
// them is no longer clean.
type Merged struct {
	States uint64
	Of     []Chunk
}

// Covered returns the chunks that merged ones stand for.
func (a Aggregate) Covered() map[Chunk]bool {
	covered := map[Chunk]bool{}
	for _, m := range a.Merged {
		for _, c := range m.Of {
			covered[c] = true
		}
	}
	return covered
}

// Historic returns the chunks of states that a view reads for the clean HISTORIC chunks of its table.
func (a Aggregate) Historic(t Table) []Chunk {
	covered := a.Covered()
	out := slices.Sorted(maps.Keys(a.Merged))
	for _, c := range t.Clean {
		if !covered[c] {
			out = append(out, c)
		}
	}
	return out
}

// aggregated lists the chunks of a table whose states an aggregate needs.
func (t Table) aggregated() []Chunk { return slices.Concat(t.Clean, t.Late, t.RT) }

// Missing returns the chunks of a table whose states an aggregate has not, by region.
func (a Aggregate) Missing(t Table) map[sql.Region][]Chunk {
	out := map[sql.Region][]Chunk{}
	for r, chunks := range map[sql.Region][]Chunk{sql.Historic: t.Clean, sql.Late: t.Late, sql.RT: t.RT} {
		for _, c := range chunks {
			if _, ok := a.States[c]; !ok {
				out[r] = append(out[r], c)
			}
		}
	}
	return out
}

// MissingStates returns the chunks whose states have to be written before a step can be published, by aggregate and
// region.
func (m Mark) MissingStates(s Step) (map[string]map[sql.Region][]Chunk, error) {
	tables, err := m.nextTables(s)
	if err != nil {
		return nil, err
	}
	out := map[string]map[sql.Region][]Chunk{}
	for _, list := range []map[string]Aggregate{m.Aggregates, s.Aggregates.Add} {
		for name, a := range list {
			if missing := a.Missing(tables[a.Table]); len(missing) > 0 {
				out[name] = missing
			}
		}
	}
	return out, nil
}

// next returns the aggregate that goes with the next state of its table: written are the states of new chunks. A merged
// chunk goes when one that it stands for is no longer clean.
func (a Aggregate) next(t Table, written map[Chunk]uint64) (Aggregate, error) {
	before := a.States
	a.States = make(map[Chunk]uint64, len(before))
	for _, c := range t.aggregated() {
		n, ok := before[c]
		if !ok {
			n, ok = written[c]
		}
		if !ok {
			return a, violation("chunk %d comes without its states", c)
		}
		a.States[c] = n
	}
	clean := map[Chunk]bool{}
	for _, c := range t.Clean {
		clean[c] = true
	}
	a.Merged = maps.Clone(a.Merged)
	maps.DeleteFunc(a.Merged, func(_ Chunk, m Merged) bool {
		return slices.ContainsFunc(m.Of, func(c Chunk) bool { return !clean[c] })
	})
	return a, nil
}

// merge replaces merged chunks by one more, which stands for what they stand for and more.
func (a Aggregate) merge(merged map[Chunk]Merged) Aggregate {
	next := maps.Clone(a.Merged)
	if next == nil {
		next = map[Chunk]Merged{}
	}
	for chunk, m := range merged {
		maps.DeleteFunc(next, func(_ Chunk, old Merged) bool {
			return !slices.ContainsFunc(old.Of, func(c Chunk) bool { return !slices.Contains(m.Of, c) })
		})
		next[chunk] = m
	}
	a.Merged = next
	return a
}

// rows counts what a view of the aggregate reads: its guard compares it.
func (a Aggregate) rows(t Table, format uint16) uint64 {
	n := t.Rows(t.Dirty)
	if format == apart {
		n += t.Rows(t.Masks)
	}
	for _, c := range a.Historic(t) {
		n += a.States[c] + a.Merged[c].States
	}
	for _, c := range slices.Concat(t.Late, t.RT) {
		n += a.States[c]
	}
	return n
}

// check verifies that every chunk has its states and no clean chunk is counted twice.
func (a Aggregate) check(t Table) error {
	if missing := a.Missing(t); len(missing) > 0 {
		return violation("chunks %v have no states", missing)
	}
	seen := map[Chunk]bool{}
	for m, merged := range a.Merged {
		for _, c := range merged.Of {
			if seen[c] || !slices.Contains(t.Clean, c) {
				return violation("merged chunk %d stands for chunk %d, which is not clean or counted twice", m, c)
			}
			seen[c] = true
		}
	}
	return nil
}

// AggregateStep is what the next mark holds of aggregates beyond the last one, by aggregate.
type AggregateStep struct {
	Written map[string]map[Chunk]uint64 // states of chunks that are new to the mark
	Merged  map[string]map[Chunk]Merged
	Add     map[string]Aggregate // that appear, with nothing but Table and Definition; Written has all their states
	Remove  []string
}

// nextAggregates returns the aggregates of the next mark, whose tables are given.
func (m Mark) nextAggregates(s AggregateStep, tables map[string]Table) (map[string]Aggregate, error) {
	next := maps.Clone(m.Aggregates)
	if next == nil {
		next = map[string]Aggregate{}
	}
	for _, name := range s.Remove {
		delete(next, name)
	}
	for name, a := range s.Add {
		if _, ok := next[name]; ok {
			return nil, violation("aggregate %s appears twice", name)
		}
		next[name] = a
	}
	for name, a := range next {
		t, ok := tables[a.Table]
		if _, was := m.Aggregates[name]; !ok && was { // it goes with its table
			delete(next, name)
			continue
		}
		if !ok {
			return nil, violation("aggregate %s is of table %s, which is not in the mark", name, a.Table)
		}
		a, err := a.next(t, s.Written[name])
		if err != nil {
			return nil, violation("aggregate %s: %v", name, err)
		}
		next[name] = a.merge(s.Merged[name])
	}
	return next, nil
}
