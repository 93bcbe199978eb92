package splitdate

import (
	"errors"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"
	"time"
)

func meta(rows uint64, from, to Instant) Meta { return Meta{Rows: rows, From: from, To: to} }

func someTable() Table {
	return Table{
		Split: 100, Clean: []Chunk{1}, Dirty: []Chunk{2}, Masks: []Chunk{3}, Late: []Chunk{4}, RT: []Chunk{5},
		Chunks: map[Chunk]Meta{1: meta(10, 0, 49), 2: meta(10, 50, 99), 3: meta(2, 0, 0), 4: meta(1, 50, 50), 5: meta(7, 100, Never)},
	}
}

func at(i Instant) *Instant { return &i }

func TestApply(t *testing.T) {
	fresh := Chunk(1)<<chunkBits + 9
	written := map[Chunk]Meta{fresh: meta(3, 100, 120)}
	for name, c := range map[string]struct {
		delta Delta
		want  func(*Table)
		wrong bool
	}{
		"nothing": {Delta{}, func(*Table) {}, false},
		"tick": {Delta{AddRT: []Chunk{fresh}, DropRT: []Chunk{5}, Written: written}, func(w *Table) {
			w.RT = []Chunk{fresh}
			delete(w.Chunks, 5)
			w.Chunks[fresh] = written[fresh]
		}, false},
		"masked": {Delta{Masked: []Chunk{1, 2}}, func(w *Table) { w.Clean, w.Dirty = []Chunk{}, []Chunk{2, 1} }, false},
		"split":  {Delta{Split: at(200)}, func(w *Table) { w.Split = 200 }, false},
		"truncate": {Delta{DropRT: []Chunk{5}, DropLate: []Chunk{4}, DropMasks: []Chunk{3}, DropHistoric: []Chunk{1, 2}}, func(w *Table) {
			*w = Table{Split: 100, Clean: []Chunk{}, Dirty: []Chunk{}, Masks: []Chunk{}, Late: []Chunk{}, RT: []Chunk{}, Chunks: map[Chunk]Meta{}}
		}, false},
		"split back":       {Delta{Split: at(99)}, nil, true},
		"drop unlisted":    {Delta{DropRT: []Chunk{77}}, nil, true},
		"drop elsewhere":   {Delta{DropLate: []Chunk{5}}, nil, true},
		"come uncounted":   {Delta{AddRT: []Chunk{fresh}}, nil, true},
		"come twice":       {Delta{AddRT: []Chunk{5}, Written: map[Chunk]Meta{5: {}}}, nil, true},
		"mask an unlisted": {Delta{Masked: []Chunk{77}}, nil, true},
	} {
		t.Run(name, func(t *testing.T) {
			before := someTable()
			got, err := before.Apply(c.delta)
			if !reflect.DeepEqual(before, someTable()) {
				t.Error("Apply changed the state it was given")
			}
			if c.wrong {
				if !errors.Is(err, ErrInvariant) {
					t.Errorf("error %v instead of a violation", err)
				}
				return
			}
			want := someTable()
			c.want(&want)
			if err != nil || !reflect.DeepEqual(got, want) {
				t.Errorf("got %+v, %v\nwant %+v", got, err, want)
			}
		})
	}
}

func TestCheck(t *testing.T) {
	good := Mark{Term: 2, Tables: map[string]Table{"t": someTable()}}
	if err := good.Check(); err != nil {
		t.Fatal(err)
	}
	for name, damage := range map[string]func(*Table){
		"listed twice":        func(w *Table) { w.Late = append(w.Late, 5) },
		"not counted":         func(w *Table) { delete(w.Chunks, 5) },
		"counted, unlisted":   func(w *Table) { w.Chunks[6] = Meta{} },
		"dirty, no masks":     func(w *Table) { delete(w.Chunks, 3); w.Masks = nil },
		"masks, none dirty":   func(w *Table) { w.Clean, w.Dirty = []Chunk{1, 2}, nil },
		"RT before split":     func(w *Table) { w.Chunks[5] = meta(7, 99, 200) },
		"HISTORIC at split":   func(w *Table) { w.Chunks[1] = meta(7, 0, 100) },
		"LATE at split":       func(w *Table) { w.Chunks[4] = meta(1, 0, 100) },
		"chunk of the future": func(w *Table) { c := Chunk(3) << chunkBits; w.RT = append(w.RT, c); w.Chunks[c] = meta(1, 100, 100) },
	} {
		t.Run(name, func(t *testing.T) {
			table := someTable()
			damage(&table)
			err := Mark{Term: 2, Tables: map[string]Table{"t": table}}.Check()
			if !errors.Is(err, ErrInvariant) {
				t.Errorf("error %v instead of a violation", err)
			}
		})
	}
}

func TestNextNeverGoesBack(t *testing.T) {
	m := Mark{Term: 1, Epoch: 5, LSN: 100, CommitTime: time.Unix(50, 0), Tables: map[string]Table{"t": someTable()}}
	if _, err := m.Next(Step{LSN: 99}); !errors.Is(err, ErrInvariant) {
		t.Errorf("an LSN that goes back: %v", err)
	}
	next, err := m.Next(Step{LSN: 100, CommitTime: time.Unix(40, 0)})
	if err != nil || next.Epoch != 6 || !next.CommitTime.Equal(m.CommitTime) {
		t.Errorf("got %+v, %v", next, err)
	}
	if _, err := m.Next(Step{LSN: 100, Add: map[string]Table{"t": {}}}); !errors.Is(err, ErrInvariant) {
		t.Errorf("a table that appears twice: %v", err)
	}
	if _, err := m.Next(Step{LSN: 100, Deltas: map[string]Delta{"x": {}}}); !errors.Is(err, ErrInvariant) {
		t.Errorf("a change to an unknown table: %v", err)
	}
}

// TestRandomHistory applies random legal steps: every mark checks, and a step never changes the mark before it.
func TestRandomHistory(t *testing.T) {
	for seed := range uint64(200) {
		r := rand.New(rand.NewPCG(seed, 1))
		numbers := NewNumbers(1)
		m := Mark{Term: 1, Epoch: 1, Tables: map[string]Table{"t": {Split: 100}}}
		for range 60 {
			before := m.Tables["t"].clone()
			d := randomDelta(r, m.Tables["t"], numbers)
			next, err := m.Next(Step{LSN: m.LSN + LSN(r.IntN(3)), Deltas: map[string]Delta{"t": d}})
			if err != nil {
				t.Fatalf("seed %d: %+v: %v", seed, d, err)
			}
			if !reflect.DeepEqual(before, m.Tables["t"].clone()) {
				t.Fatalf("seed %d: a step changed the mark before it", seed)
			}
			if next.Epoch != m.Epoch+1 || next.LSN < m.LSN || next.Tables["t"].Split < m.Tables["t"].Split {
				t.Fatalf("seed %d: went back", seed)
			}
			m = next
		}
	}
}

func randomDelta(r *rand.Rand, s Table, numbers *Numbers) Delta {
	d := Delta{Written: map[Chunk]Meta{}}
	add := func(list *[]Chunk, m Meta) {
		c := numbers.Next()
		*list = append(*list, c)
		d.Written[c] = m
	}
	pick := func(from []Chunk) []Chunk {
		return slices.DeleteFunc(slices.Clone(from), func(Chunk) bool { return r.IntN(2) == 0 })
	}
	switch r.IntN(4) {
	case 0: // tick
		d.DropRT, d.DropLate = pick(s.RT), pick(s.Late)
		add(&d.AddRT, meta(uint64(r.IntN(9)+1), s.Split, s.Split+Instant(r.IntN(50))))
		add(&d.AddLate, meta(1, 0, s.Split-1))
	case 1: // roll
		split := s.Split + Instant(r.IntN(20))
		d.Split, d.DropRT = &split, s.RT
		add(&d.AddHistoric, meta(5, 0, split-1))
		add(&d.AddRT, meta(5, split, Never))
	case 2: // masks
		if d.Masked = pick(s.Historic()); len(d.Masked) > 0 {
			add(&d.AddMasks, meta(2, 0, 0))
		}
	case 3: // truncate
		d.DropRT, d.DropLate, d.DropMasks, d.DropHistoric = s.RT, s.Late, s.Masks, s.Historic()
	}
	return d
}
