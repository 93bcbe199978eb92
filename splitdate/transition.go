package splitdate

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/tidemark-db/tidemark/sql"
)

// ErrInvariant is wrapped by the error of every transition that would break an invariant.
var ErrInvariant = errors.New("mark invariant violated")

func violation(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrInvariant, fmt.Sprintf(format, args...))
}

// Delta is what one step does to the state of one table: chunks that come and go, by list. Written holds the Meta of
// every chunk that comes.
type Delta struct {
	AddRT, DropRT             []Chunk
	AddLate, DropLate         []Chunk
	AddHistoric, DropHistoric []Chunk // DropHistoric drops clean and dirty ones
	AddMasks, DropMasks       []Chunk
	Masked                    []Chunk // chunks of HISTORIC that AddMasks makes dirty
	Split                     *Instant
	Written                   map[Chunk]Meta
	Shape                     uint64 // that the table has from now on; 0: the same, and Narrowed too
	Narrowed                  LSN

	Scratch map[sql.Region][]Chunk // written on the way to others: no mark will ever list them
}

// Write notes a chunk that comes.
func (d *Delta) Write(c Chunk, m Meta) {
	if d.Written == nil {
		d.Written = map[Chunk]Meta{}
	}
	d.Written[c] = m
}

// Empty reports whether the delta changes nothing.
func (d Delta) Empty() bool {
	return len(d.AddRT)+len(d.DropRT)+len(d.AddLate)+len(d.DropLate)+len(d.AddHistoric)+len(d.DropHistoric)+
		len(d.AddMasks)+len(d.DropMasks)+len(d.Masked) == 0 && d.Split == nil && d.Shape == 0
}

// Apply returns the table's state after the delta. It returns an error that wraps ErrInvariant when a chunk comes twice
// or without its Meta, when one goes that was not listed, or when the split date would move back.
func (t Table) Apply(d Delta) (Table, error) {
	next := t.clone()
	if d.Split != nil {
		if !t.Mirrored && *d.Split < t.Split {
			return t, violation("split date would move back from %s to %s", t.Split, *d.Split)
		}
		next.Split = *d.Split
	}
	if d.Shape != 0 {
		next.Shape, next.Narrowed = d.Shape, d.Narrowed
	}
	for _, step := range []struct {
		list      *[]Chunk
		add, drop []Chunk
	}{
		{&next.RT, d.AddRT, d.DropRT},
		{&next.Late, d.AddLate, d.DropLate},
		{&next.Masks, d.AddMasks, d.DropMasks},
	} {
		if err := next.replace(step.list, step.add, step.drop, d.Written); err != nil {
			return t, err
		}
	}
	if err := next.applyHistoric(d); err != nil {
		return t, err
	}
	return next, nil
}

func (t *Table) applyHistoric(d Delta) error {
	var clean, dirty []Chunk
	for _, c := range d.DropHistoric {
		if slices.Contains(t.Dirty, c) {
			dirty = append(dirty, c)
		} else {
			clean = append(clean, c)
		}
	}
	if err := t.replace(&t.Dirty, nil, dirty, nil); err != nil {
		return err
	}
	if err := t.replace(&t.Clean, d.AddHistoric, clean, d.Written); err != nil {
		return err
	}
	for _, c := range d.Masked {
		i := slices.Index(t.Clean, c)
		if i < 0 {
			if !slices.Contains(t.Dirty, c) {
				return violation("chunk %d is masked but not listed in HISTORIC", c)
			}
			continue
		}
		t.Clean = slices.Delete(t.Clean, i, i+1)
		t.Dirty = append(t.Dirty, c)
	}
	return nil
}

func (t *Table) replace(list *[]Chunk, add, drop []Chunk, written map[Chunk]Meta) error {
	for _, c := range drop {
		i := slices.Index(*list, c)
		if i < 0 {
			return violation("chunk %d goes but was not listed", c)
		}
		*list = slices.Delete(*list, i, i+1)
		delete(t.Chunks, c)
	}
	for _, c := range add {
		meta, ok := written[c]
		if !ok {
			return violation("chunk %d comes without its row count", c)
		}
		if _, twice := t.Chunks[c]; twice {
			return violation("chunk %d comes twice", c)
		}
		*list = append(*list, c)
		t.Chunks[c] = meta
	}
	return nil
}

// Step is what the next mark holds beyond the last one.
type Step struct {
	LSN        LSN
	CommitTime time.Time
	Deltas     map[string]Delta // by table
	Add        map[string]Table // tables that appear, complete
	Remove     []string
	Loads      map[string]Load // that go on; one ends when its table appears
	DropLoads  []string        // that are given up
	Aggregates AggregateStep
	Together   bool // the chunks are where Format has them now
}

// Next returns the mark after m. Positions never go back; everything else is checked by Apply and Check.
func (m Mark) Next(s Step) (Mark, error) {
	next := m
	next.Epoch++
	if s.LSN < m.LSN {
		return m, violation("LSN would move back from %s to %s", m.LSN, s.LSN)
	}
	next.LSN = s.LSN
	if s.Together {
		next.Format = Format
	}
	if s.CommitTime.After(m.CommitTime) {
		next.CommitTime = s.CommitTime
	}
	var err error
	if next.Tables, err = m.nextTables(s); err != nil {
		return m, err
	}
	if next.Aggregates, err = m.nextAggregates(s.Aggregates, next.Tables); err != nil {
		return m, err
	}
	next.Loads = m.nextLoads(s)
	return next, next.Check()
}

func (m Mark) nextLoads(s Step) map[string]Load {
	next := map[string]Load{}
	maps.Copy(next, m.Loads)
	maps.Copy(next, s.Loads)
	for name := range s.Add {
		delete(next, name)
	}
	for _, name := range s.DropLoads {
		delete(next, name)
	}
	if len(next) == 0 {
		return nil
	}
	return next
}

func (m Mark) nextTables(s Step) (map[string]Table, error) {
	next := maps.Clone(m.Tables)
	if next == nil {
		next = map[string]Table{}
	}
	for _, name := range s.Remove {
		delete(next, name)
	}
	for name, table := range s.Add {
		if _, ok := next[name]; ok {
			return nil, violation("table %s appears twice", name)
		}
		next[name] = table
	}
	for name, delta := range s.Deltas {
		table, ok := next[name]
		if !ok {
			return nil, violation("table %s changes but is not in the mark", name)
		}
		changed, err := table.Apply(delta)
		if err != nil {
			return nil, fmt.Errorf("table %s: %w", name, err)
		}
		next[name] = changed
	}
	return next, nil
}

// Claim returns the mark with which a new writer begins its term: the same state, in the same format, under that term.
func (m Mark) Claim(term Term) Mark {
	m.Term = term
	m.Epoch++
	return m
}

// Check verifies the invariants of the mark that need no rows to be read.
func (m Mark) Check() error {
	for name, t := range m.Tables {
		if err := t.check(m.Term); err != nil {
			return fmt.Errorf("table %s: %w", name, err)
		}
	}
	for name, a := range m.Aggregates {
		if err := a.check(m.Tables[a.Table]); err != nil {
			return fmt.Errorf("aggregate %s: %w", name, err)
		}
	}
	return nil
}

func (t Table) check(term Term) error {
	seen := map[Chunk]bool{}
	for _, c := range t.Listed() {
		if seen[c] {
			return violation("chunk %d is listed twice", c)
		}
		seen[c] = true
		if _, ok := t.Chunks[c]; !ok {
			return violation("chunk %d has no row count", c)
		}
		if c.Term() > term {
			return violation("chunk %d is of term %d, after the mark's term %d", c, c.Term(), term)
		}
	}
	if len(seen) != len(t.Chunks) {
		return violation("%d row counts for %d chunks", len(t.Chunks), len(seen))
	}
	if (len(t.Dirty) == 0) != (len(t.Masks) == 0) {
		return violation("%d dirty chunks with %d chunks of masks", len(t.Dirty), len(t.Masks))
	}
	return t.checkSides()
}

func (t Table) checkSides() error {
	if t.Mirrored {
		return nil
	}
	for _, c := range t.RT {
		if m := t.Chunks[c]; m.Rows > 0 && m.From < t.Split {
			return violation("RT chunk %d begins at %s, before the split date %s", c, m.From, t.Split)
		}
	}
	for _, c := range slices.Concat(t.Historic(), t.Late) {
		if m := t.Chunks[c]; m.Rows > 0 && m.To >= t.Split {
			return violation("chunk %d reaches to %s, not before the split date %s", c, m.To, t.Split)
		}
	}
	return nil
}
