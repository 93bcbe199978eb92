package historic

import (
	"context"

	"github.com/tidemark-db/tidemark/internal/warehouse"
	"github.com/tidemark-db/tidemark/splitdate"
)

// Kind says in which way a row differs from PostgreSQL's.
type Kind string

// The kinds of differences.
const (
	Missing   Kind = "missing"   // PostgreSQL has it, the view has not
	Extra     Kind = "extra"     // the view has it, PostgreSQL has not
	Different Kind = "different" // both have it, with other values
	Doubled   Kind = "doubled"   // the view has it more than once
)

// Difference is a row that is not as PostgreSQL has it.
type Difference struct {
	Key  []string `json:"key"` // its values as text; all values of a row without a key
	Kind Kind     `json:"kind"`
}

// Comparison is what comparing a range at one LSN found.
type Comparison struct {
	Live   uint64 // rows of the view, but for those that changed since the barrier
	Source uint64 // rows that PostgreSQL had, but for those
	Equal  bool   // in number and in the sum of their hashes
	// Differences are the rows that differ, in the order of their keys, and at most maxDifferences.
	Differences []Difference
}

// maxDifferences bounds what a comparison names.
const maxDifferences = 1000

// Compare compares the rows of a range at a state with the ones that were loaded under a barrier which the state holds.
// Both are in ClickHouse then, so that both have passed the same conversion and one function hashes them.
func (a *Archive) Compare(ctx context.Context, state, loaded splitdate.Table, r splitdate.Range, since splitdate.Since) (c Comparison, err error) {
	params := r.Params(since)
	params["historic"], params["masks"] = warehouse.Array(state.Historic()), warehouse.Array(state.Masks)
	params["late"], params["rt"] = warehouse.Array(state.Late), warehouse.Array(state.RT)
	params["loaded_historic"], params["loaded_rt"] = warehouse.Array(loaded.Clean), warehouse.Array(loaded.RT)
	var live, source uint64
	err = a.db.Query(ctx, a.table.Compare(), params, func(row warehouse.Rows) error {
		return row.Scan(&c.Live, &c.Source, &live, &source)
	})
	if err != nil {
		return c, err
	}
	if c.Equal = c.Live == c.Source && live == source; c.Equal {
		return c, nil
	}
	params["limit"] = warehouse.U64(uint64(maxDifferences))
	err = a.db.Query(ctx, a.table.Differ(), params, func(row warehouse.Rows) error {
		var key []string
		var here, there uint64
		if err := row.Scan(&key, &here, &there); err != nil {
			return err
		}
		c.Differences = append(c.Differences, Difference{Key: key, Kind: kindOf(here, there)})
		return nil
	})
	return c, err
}

func kindOf(here, there uint64) Kind {
	switch {
	case here < there:
		return Missing
	case there == 0:
		return Extra
	case here > there:
		return Doubled
	default:
		return Different
	}
}
