package splitdate

import (
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"
)

// TestDeltaThen applies random deltas one after the other, and at once: the states are the same, and what is in neither is
// among the scratch.
func TestDeltaThen(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	numbers := NewNumbers(1)
	for range 500 {
		state := Table{Chunks: map[Chunk]Meta{}}
		var deltas []Delta
		var states []Table
		for range 3 {
			d := anyDelta(r, state, numbers)
			next, err := state.Apply(d)
			if err != nil {
				t.Fatal(err)
			}
			state = next
			deltas, states = append(deltas, d), append(states, state)
		}
		both := deltas[1].Then(deltas[2])
		got, err := states[0].Apply(both)
		if err != nil {
			t.Fatalf("%+v then %+v: %v", deltas[1], deltas[2], err)
		}
		for _, s := range []*Table{&got, &state} {
			for _, list := range []*[]Chunk{&s.RT, &s.Late, &s.Clean, &s.Dirty, &s.Masks} {
				slices.Sort(*list)
				*list = append([]Chunk{}, *list...)
			}
		}
		if !reflect.DeepEqual(got, state) {
			t.Fatalf("%+v then %+v makes\n%+v instead of\n%+v", deltas[1], deltas[2], got, state)
		}
		n := 0
		for _, list := range both.Scratch {
			n += len(list)
		}
		if want := len(deltas[1].Written) - countIn(deltas[1].Written, state.Chunks); n != want {
			t.Fatalf("%d chunks are scratch, want %d", n, want)
		}
	}
}

func countIn(written, listed map[Chunk]Meta) (n int) {
	for c := range written {
		if _, ok := listed[c]; ok {
			n++
		}
	}
	return n
}

// anyDelta adds and drops chunks of every list, and masks some.
func anyDelta(r *rand.Rand, state Table, numbers *Numbers) Delta {
	d := Delta{Written: map[Chunk]Meta{}}
	add := func(list *[]Chunk) {
		for range r.IntN(3) {
			c := numbers.Next()
			*list = append(*list, c)
			d.Written[c] = Meta{Rows: 1}
		}
	}
	drop := func(from []Chunk) (out []Chunk) {
		for _, c := range from {
			if r.IntN(2) == 0 {
				out = append(out, c)
			}
		}
		return out
	}
	add(&d.AddRT)
	add(&d.AddLate)
	add(&d.AddHistoric)
	add(&d.AddMasks)
	d.DropRT, d.DropLate, d.DropHistoric, d.DropMasks = drop(state.RT), drop(state.Late), drop(state.Historic()), drop(state.Masks)
	for _, c := range slices.Concat(d.AddHistoric, state.Historic()) {
		if !slices.Contains(d.DropHistoric, c) && r.IntN(3) == 0 {
			d.Masked = append(d.Masked, c)
		}
	}
	return d
}
