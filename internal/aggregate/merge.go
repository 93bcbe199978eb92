package aggregate

import (
	"context"
	"fmt"
	"slices"

	"github.com/tidemark-db/tidemark/internal/warehouse"
	"github.com/tidemark-db/tidemark/splitdate"
	"github.com/tidemark-db/tidemark/sql"
)

// Merge is a chunk to be, of states of an aggregate whose grain is coarse: read instead of those that it is made from.
type Merge struct {
	From   []splitdate.Chunk // chunks of states that it is made from
	Of     []splitdate.Chunk // chunks of rows that it will stand for
	Before uint64            // states in From
}

// Where the merged level begins to pay: fewer chunks are read as they are, and a merged one is made again, larger, when as
// many states as half of it are not in it. A state is so merged a logarithmic number of times.
const (
	fewChunks = 4
	growth    = 2
)

// smallChunk is the part of the largest chunk of rows up to which a chunk is small. Folds take small chunks away each hour,
// so they are merged apart from the large ones, which stay.
const smallChunk = 16

// Plan returns what of an aggregate is to be merged next; ok is false when nothing is.
func Plan(a splitdate.Aggregate, t splitdate.Table) (m Merge, ok bool) {
	largest := uint64(0)
	for _, c := range t.Clean {
		largest = max(largest, t.Chunks[c].Rows)
	}
	for _, small := range []bool{false, true} {
		m, ok = plan(a, t, func(c splitdate.Chunk) bool { return (t.Chunks[c].Rows < largest/smallChunk) == small })
		if ok {
			return m, true
		}
	}
	return Merge{}, false
}

// plan looks at the clean chunks of one class.
func plan(a splitdate.Aggregate, t splitdate.Table, in func(splitdate.Chunk) bool) (m Merge, ok bool) {
	merged := uint64(0)
	for chunk, old := range a.Merged {
		if !slices.ContainsFunc(old.Of, func(c splitdate.Chunk) bool { return !in(c) }) {
			m.From, m.Of = append(m.From, chunk), append(m.Of, old.Of...)
			merged += old.States
		}
	}
	covered := a.Covered()
	loose, states := 0, uint64(0)
	for _, c := range t.Clean {
		if in(c) && !covered[c] {
			m.From, m.Of = append(m.From, c), append(m.Of, c)
			loose++
			states += a.States[c]
		}
	}
	m.Before = merged + states
	return m, loose >= fewChunks && states*growth >= merged
}

// worthwhile is how many times fewer states a merged chunk has to have.
const worthwhile = 2

// Merge writes a merged chunk, and returns the number of its states; 0 says that it would not be worth it, because the grain
// of the aggregate is too fine.
func (s *States) Merge(ctx context.Context, a *sql.Aggregate, m Merge, to splitdate.Chunk) (states uint64, err error) {
	params := warehouse.Params{"from": warehouse.Array(m.From), "to": warehouse.U64(to)}
	var expected uint64
	err = s.db.Query(ctx, a.EstimateMerged(), params, func(r warehouse.Rows) error { return r.Scan(&expected) })
	if err != nil || expected*worthwhile > m.Before {
		return 0, err
	}
	if err := s.db.Exec(ctx, a.MergeStates(), params); err != nil {
		return 0, fmt.Errorf("aggregate %s: %w", a.Name, err)
	}
	one := warehouse.Params{"chunks": warehouse.Array([]splitdate.Chunk{to})}
	err = s.db.Query(ctx, sql.CountStates([]*sql.Aggregate{a}), one, func(r warehouse.Rows) error {
		var name string
		var chunk uint64
		return r.Scan(&name, &chunk, &states)
	})
	return states, err
}
