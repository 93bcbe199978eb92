package splitdate

import (
	"errors"
	"slices"
	"testing"

	"github.com/tidemark-db/tidemark/sql"
)

// aggregated is a mark of one table, with chunks 1 to 3 in HISTORIC (3 is dirty), 4 as masks, 5 in LATE and 6 in RT, and of
// one aggregate of it.
func aggregated(t *testing.T) Mark {
	t.Helper()
	metas := map[Chunk]Meta{}
	for c := Chunk(1); c <= 6; c++ {
		metas[c] = Meta{Rows: uint64(10 * c), From: 5, To: 6}
	}
	table := Table{
		Split: 5, Clean: []Chunk{1, 2}, Dirty: []Chunk{3}, Masks: []Chunk{4}, Late: []Chunk{5}, RT: []Chunk{6}, Chunks: metas,
	}
	for _, c := range []Chunk{1, 2, 3, 5} {
		metas[c] = Meta{Rows: uint64(10 * c), From: 1, To: 2}
	}
	m := Mark{Term: 1, Epoch: 1}
	step := Step{Add: map[string]Table{"sales": table}}
	step.Aggregates.Add = map[string]Aggregate{"daily": {Table: "sales", Definition: "d"}}
	step.Aggregates.Written = map[string]map[Chunk]uint64{"daily": {1: 1, 2: 2, 3: 3, 5: 5, 6: 6, 7: 7}}
	next, err := m.Next(step)
	if err != nil {
		t.Fatal(err)
	}
	return next
}

func TestAggregateStates(t *testing.T) {
	m := aggregated(t)
	a, table := m.Aggregates["daily"], m.Tables["sales"]
	if got := a.Historic(table); !slices.Equal(got, []Chunk{1, 2}) {
		t.Errorf("the view reads the states %v of HISTORIC", got)
	}
	if got, want := a.rows(table, Format), uint64(1+2+5+6+30); got != want {
		t.Errorf("the guard expects %d rows, want %d", got, want)
	}
	if len(a.States) != 4 {
		t.Errorf("states %v of chunks that need none", a.States)
	}
}

func TestAggregateNeedsStates(t *testing.T) {
	m := aggregated(t)
	step := Step{Deltas: map[string]Delta{"sales": {
		AddRT: []Chunk{8}, DropRT: []Chunk{6}, AddHistoric: []Chunk{9}, AddMasks: []Chunk{10}, Masked: []Chunk{2},
		Written: map[Chunk]Meta{8: {Rows: 1, From: 5, To: 5}, 9: {Rows: 1}, 10: {Rows: 1}},
	}}}
	missing, err := m.MissingStates(step)
	if err != nil {
		t.Fatal(err)
	}
	if got := missing["daily"]; !slices.Equal(got[sql.RT], []Chunk{8}) || !slices.Equal(got[sql.Historic], []Chunk{9}) || len(got) != 2 {
		t.Errorf("missing %v", got)
	}
	if _, err := m.Next(step); !errors.Is(err, ErrInvariant) {
		t.Errorf("a mark without the states of its chunks: %v", err)
	}
	step.Aggregates.Written = map[string]map[Chunk]uint64{"daily": {8: 80, 9: 90}}
	next, err := m.Next(step)
	if err != nil {
		t.Fatal(err)
	}
	if got := next.Aggregates["daily"].Historic(next.Tables["sales"]); !slices.Equal(got, []Chunk{1, 9}) {
		t.Errorf("the view reads the states %v of HISTORIC, although 2 is dirty", got)
	}
	if _, kept := m.Aggregates["daily"].States[6]; !kept {
		t.Error("the mark before has changed")
	}
}

func TestMergedStates(t *testing.T) {
	m := aggregated(t)
	var step Step
	step.Aggregates.Merged = map[string]map[Chunk]Merged{"daily": {11: {States: 2, Of: []Chunk{1, 2}}}}
	merged, err := m.Next(step)
	if err != nil {
		t.Fatal(err)
	}
	a := merged.Aggregates["daily"]
	if got := a.Historic(merged.Tables["sales"]); !slices.Equal(got, []Chunk{11}) {
		t.Errorf("the view reads %v, not the merged chunk alone", got)
	}
	if got, want := a.rows(merged.Tables["sales"], Format), uint64(2+5+6+30); got != want {
		t.Errorf("the guard expects %d rows, want %d", got, want)
	}
	dirty, err := merged.Next(Step{Deltas: map[string]Delta{"sales": {
		AddMasks: []Chunk{12}, Masked: []Chunk{1}, Written: map[Chunk]Meta{12: {Rows: 1}},
	}}})
	if err != nil {
		t.Fatal(err)
	}
	if got := dirty.Aggregates["daily"].Historic(dirty.Tables["sales"]); !slices.Equal(got, []Chunk{2}) {
		t.Errorf("the view reads %v, although the merged chunk stands for a dirty one", got)
	}
	r := NewRetention(merged, nil, 0)
	r.Published(merged, dirty, 10)
	if due := r.Due(30, 20, 1<<40); len(due) != 1 || due[0].Table != "daily" || due[0].Chunk != 11 || due[0].Region != sql.Historic {
		t.Errorf("%v may go, not the merged chunk", due)
	}
	step.Aggregates.Merged = map[string]map[Chunk]Merged{"daily": {11: {States: 2, Of: []Chunk{1, 3}}}}
	if _, err := m.Next(step); !errors.Is(err, ErrInvariant) {
		t.Errorf("a merged chunk that stands for a dirty one: %v", err)
	}
}

func TestAggregateOfNoTable(t *testing.T) {
	m := aggregated(t)
	next, err := m.Next(Step{Remove: []string{"sales"}})
	if err != nil || len(next.Aggregates) != 0 {
		t.Errorf("an aggregate does not go with its table: %v, %v", next.Aggregates, err)
	}
	step := Step{}
	step.Aggregates.Add = map[string]Aggregate{"weekly": {Table: "sales", Definition: "w"}}
	if _, err := next.Next(step); !errors.Is(err, ErrInvariant) {
		t.Errorf("an aggregate of a table that is not there: %v", err)
	}
}
