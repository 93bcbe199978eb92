package splitdate_test

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
)

// This file is the protocol without its servers: ticks, rolls, folds and loads of ranges on plain maps, in random order.
// Whoever changes the protocol changes the model first. After each step, and for older marks too, what a reader sees must
// be what PostgreSQL had at the mark.

// version is a row of the model: its date (none: nil) and what else it holds.
type version struct {
	date *int
	n    int
}

func (v version) equal(o version) bool {
	if v.n != o.n || (v.date == nil) != (o.date == nil) {
		return false
	}
	return v.date == nil || *v.date == *o.date
}

type rows map[int]version

// maskOf is the row of a key in a chunk.
type maskOf struct{ chunk, key int }

type modelMark struct {
	split    int
	hist     []int // numbers of chunks
	late, rt rows
	masks    map[maskOf]bool
	source   rows // what PostgreSQL had
}

// model is one history.
type model struct {
	random  *rand.Rand
	bug     string // a mechanism that is left out
	source  rows
	n       int // versions
	chunks  map[int]rows
	marks   []modelMark
	fold    *modelFold
	load    *modelLoad
	journal map[int]bool // keys changed since the fold or the load began
}

type modelFold struct {
	from  []int
	late  rows
	built int
}

type modelLoad struct {
	low, high int
	nulls     bool
	from      []int
	rest      rows // of from, outside the range
	read      rows // nil: the barrier is not there yet
}

func (l *modelLoad) has(v version) bool {
	if v.date == nil {
		return l.nulls
	}
	return l.low <= *v.date && *v.date < l.high
}

func newModel(seed uint64, bug string) *model {
	m := &model{random: rand.New(rand.NewPCG(seed, 1)), bug: bug, source: rows{}, chunks: map[int]rows{}}
	m.marks = []modelMark{{split: 10, late: rows{}, rt: rows{}, masks: map[maskOf]bool{}, source: rows{}}}
	return m
}

func (m *model) newest() modelMark { return m.marks[len(m.marks)-1] }

func (m *model) chunk(r rows) int {
	m.chunks[len(m.chunks)+1] = r
	return len(m.chunks)
}

// settled is the side of a row: true is HISTORIC and LATE.
func settled(v version, split int) bool { return v.date != nil && *v.date < split }

// see is what a reader of a mark sees.
func (m *model) see(at modelMark) (rows, error) {
	out := rows{}
	put := func(k int, v version) error {
		if _, twice := out[k]; twice {
			return fmt.Errorf("key %d is there twice", k)
		}
		out[k] = v
		return nil
	}
	for _, c := range at.hist {
		for k, v := range m.chunks[c] {
			if !at.masks[maskOf{c, k}] {
				if err := put(k, v); err != nil {
					return nil, err
				}
			}
		}
	}
	for _, side := range []rows{at.late, at.rt} {
		for k, v := range side {
			if err := put(k, v); err != nil {
				return nil, err
			}
		}
	}
	return out, nil
}

func (m *model) check(at modelMark) error {
	seen, err := m.see(at)
	if err == nil && !maps.EqualFunc(seen, at.source, version.equal) {
		err = errors.New("a state that PostgreSQL never had")
	}
	return err
}

// change changes the source by a few statements and returns the first change of each key: true is an INSERT.
func (m *model) change() map[int]bool {
	first := map[int]bool{}
	note := func(k int, insert bool) {
		if _, ok := first[k]; !ok {
			first[k] = insert
		}
	}
	for range m.random.IntN(6) + 1 {
		k, row := m.random.IntN(8), m.version()
		old, there := m.source[k]
		switch op := m.random.Float64(); {
		case !there:
			note(k, true)
			m.source[k] = row
		case op < 0.3:
			note(k, false)
			delete(m.source, k)
		case op < 0.45: // a key change is a delete and an insert
			if to := m.random.IntN(8); m.source[to] == (version{}) {
				note(k, false)
				note(to, true)
				delete(m.source, k)
				m.source[to] = row
			}
		default:
			note(k, false)
			if op >= 0.7 {
				row.date = old.date
			}
			m.source[k] = row
		}
	}
	return first
}

func (m *model) version() version {
	m.n++
	date := m.random.IntN(m.newest().split + 13)
	if date == 0 {
		return version{n: m.n}
	}
	return version{date: &date, n: m.n}
}

func (m *model) tick() error {
	next := m.newest()
	next.late, next.rt, next.masks = maps.Clone(next.late), maps.Clone(next.rt), maps.Clone(next.masks)
	for k, insert := range m.change() {
		_, late := next.late[k]
		_, rt := next.rt[k]
		delete(next.late, k)
		delete(next.rt, k)
		if !late && !rt && !insert {
			if err := m.mask(next, k); err != nil {
				return err
			}
		}
		if v, live := m.source[k]; live {
			if settled(v, next.split) {
				next.late[k] = v
			} else {
				next.rt[k] = v
			}
		}
		if m.journal != nil {
			m.journal[k] = true
		}
	}
	next.source = maps.Clone(m.source)
	m.marks = append(m.marks, next)
	return nil
}

func (m *model) mask(at modelMark, k int) error {
	for _, c := range at.hist {
		if _, ok := m.chunks[c][k]; ok && !at.masks[maskOf{c, k}] {
			at.masks[maskOf{c, k}] = true
			return nil
		}
	}
	return fmt.Errorf("gap: key %d is nowhere", k)
}

// roll moves the split date, unless a load that is about to be published has rows on both sides of it.
func (m *model) roll() {
	next := m.newest()
	if m.load != nil && m.load.high > next.split && m.bug != "rolls go on" {
		return
	}
	next.split += m.random.IntN(4) + 1
	leave, keep := rows{}, rows{}
	for k, v := range next.rt {
		if settled(v, next.split) {
			leave[k] = v
		} else {
			keep[k] = v
		}
	}
	next.rt = keep
	next.hist = append(slices.Clone(next.hist), m.chunk(leave))
	m.marks = append(m.marks, next)
}

func (m *model) live(at modelMark, chunks []int) rows {
	out := rows{}
	for _, c := range chunks {
		for k, v := range m.chunks[c] {
			if !at.masks[maskOf{c, k}] {
				out[k] = v
			}
		}
	}
	return out
}

func (m *model) beginFold() {
	at := m.newest()
	f := &modelFold{late: maps.Clone(at.late)}
	for _, c := range at.hist {
		if m.random.IntN(2) == 0 {
			f.from = append(f.from, c)
		}
	}
	built := m.live(at, f.from)
	maps.Copy(built, f.late)
	f.built = m.chunk(built)
	m.fold, m.journal = f, map[int]bool{}
}

func (m *model) endFold() {
	next := m.newest()
	next.hist = append(without(next.hist, m.fold.from), m.fold.built)
	next.masks = m.masksFor(next, m.fold.from, m.fold.built)
	next.late = maps.Clone(next.late)
	for k := range m.fold.late {
		if !m.journal[k] {
			delete(next.late, k)
		}
	}
	m.marks = append(m.marks, next)
	m.fold, m.journal = nil, nil
}

// masksFor are the masks of chunks that stay, and those on the rows of a new one that changed since.
func (m *model) masksFor(at modelMark, from []int, built int) map[maskOf]bool {
	masks := map[maskOf]bool{}
	for mask := range at.masks {
		if !slices.Contains(from, mask.chunk) {
			masks[mask] = true
		}
	}
	for k := range m.chunks[built] {
		if m.journal[k] && m.bug != "no masks at the end" {
			masks[maskOf{built, k}] = true
		}
	}
	return masks
}

func without(list, gone []int) []int {
	return slices.DeleteFunc(slices.Clone(list), func(c int) bool { return slices.Contains(gone, c) })
}

// beginLoad freezes what a load of a range will replace. Its barrier comes later.
func (m *model) beginLoad() {
	at := m.newest()
	l := &modelLoad{low: m.random.IntN(at.split + 5), nulls: m.random.IntN(3) == 0, rest: rows{}}
	l.high = l.low + m.random.IntN(14) + 1
	if m.random.IntN(5) == 0 {
		l.low, l.high = -1, 1<<30
	}
	for _, c := range at.hist {
		in := false
		for _, v := range m.chunks[c] {
			in = in || l.has(v)
		}
		if in {
			l.from = append(l.from, c)
		}
	}
	for k, v := range m.live(at, l.from) {
		if !l.has(v) {
			l.rest[k] = v
		}
	}
	m.load, m.journal = l, map[int]bool{}
}

// read makes the barrier: the snapshot is the present state.
func (m *model) read() {
	m.load.read = rows{}
	for k, v := range m.source {
		if m.load.has(v) {
			m.load.read[k] = v
		}
	}
}

// endLoad puts the loaded rows in the place of the live ones, but for those that changed since.
func (m *model) endLoad() {
	next, l := m.newest(), m.load
	if m.bug == "no journal" {
		m.journal = map[int]bool{}
	}
	built := maps.Clone(l.rest)
	keep := func(side rows) rows {
		out := rows{}
		for k, v := range side {
			if !l.has(v) || m.journal[k] {
				out[k] = v
			}
		}
		return out
	}
	next.rt, next.late = keep(next.rt), keep(next.late)
	for k, v := range l.read {
		switch {
		case settled(v, next.split):
			built[k] = v
		case !m.journal[k]:
			next.rt[k] = v
		}
	}
	c := m.chunk(built)
	next.masks = m.masksFor(next, l.from, c)
	next.hist = append(without(next.hist, l.from), c)
	m.marks = append(m.marks, next)
	m.load, m.journal = nil, nil
}

func (m *model) step() error {
	switch at := m.random.Float64(); {
	case at < 0.5:
		return m.tick()
	case at < 0.65:
		m.roll()
	case m.fold != nil:
		m.endFold()
	case m.load != nil && m.load.read == nil:
		m.read()
	case m.load != nil:
		m.endLoad()
	case at < 0.8:
		m.beginFold()
	default:
		m.beginLoad()
	}
	return nil
}

func (m *model) run() error {
	for range 80 {
		if err := m.step(); err != nil {
			return err
		}
		older := m.marks[max(0, len(m.marks)-6):]
		for _, at := range []modelMark{m.newest(), older[m.random.IntN(len(older))]} {
			if err := m.check(at); err != nil {
				return err
			}
		}
	}
	return nil
}

// TestProtocol runs random histories of the protocol, and of the protocol with one mechanism left out, which must break.
func TestProtocol(t *testing.T) {
	const histories = 2000
	for _, bug := range []string{"", "no masks at the end", "no journal", "rolls go on"} {
		broken := 0
		for seed := range uint64(histories) {
			if err := newModel(seed, bug).run(); err != nil {
				broken++
				if bug == "" {
					t.Errorf("history %d: %v", seed, err)
				}
			}
		}
		if bug != "" && broken == 0 {
			t.Errorf("with %q, %d histories held", bug, histories)
		}
		t.Logf("%q: %d of %d histories broken", bug, broken, histories)
	}
}
