package aggregate

import (
	"slices"
	"testing"

	"github.com/tidemark-db/tidemark/splitdate"
)

// days is a table of clean chunks with the given rows, and an aggregate with as many states of each as min(rows, groups).
func days(groups uint64, rows ...uint64) (splitdate.Aggregate, splitdate.Table) {
	a := splitdate.Aggregate{States: map[splitdate.Chunk]uint64{}, Merged: map[splitdate.Chunk]splitdate.Merged{}}
	t := splitdate.Table{Chunks: map[splitdate.Chunk]splitdate.Meta{}}
	for i, n := range rows {
		c := splitdate.Chunk(i + 1)
		t.Clean = append(t.Clean, c)
		t.Chunks[c] = splitdate.Meta{Rows: n}
		a.States[c] = min(n, groups)
	}
	return a, t
}

func TestPlan(t *testing.T) {
	for name, c := range map[string]struct {
		rows   []uint64
		merged []splitdate.Chunk // chunk 100 stands for these, with 10 states
		of     []splitdate.Chunk
		from   []splitdate.Chunk
	}{
		"few chunks":               {[]uint64{1000, 1000, 1000}, nil, nil, nil},
		"large ones":               {[]uint64{1000, 1000, 1000, 1000, 10, 10, 10}, nil, []splitdate.Chunk{1, 2, 3, 4}, []splitdate.Chunk{1, 2, 3, 4}},
		"small ones apart":         {[]uint64{1000, 1, 1, 1, 1}, nil, []splitdate.Chunk{2, 3, 4, 5}, []splitdate.Chunk{2, 3, 4, 5}},
		"all are merged":           {[]uint64{1000, 1000}, []splitdate.Chunk{1, 2}, nil, nil},
		"too few since":            {[]uint64{1000, 1000, 1000, 1000}, []splitdate.Chunk{1, 2}, nil, nil},
		"many since":               {[]uint64{1000, 1000, 900, 900, 900, 900}, []splitdate.Chunk{1, 2}, []splitdate.Chunk{1, 2, 3, 4, 5, 6}, []splitdate.Chunk{100, 3, 4, 5, 6}},
		"small ones beside merged": {[]uint64{1000, 1000, 9, 9, 9, 9}, []splitdate.Chunk{1, 2}, []splitdate.Chunk{3, 4, 5, 6}, []splitdate.Chunk{3, 4, 5, 6}},
	} {
		a, table := days(10, c.rows...)
		if c.merged != nil {
			a.Merged[100] = splitdate.Merged{States: 10, Of: c.merged}
		}
		m, ok := Plan(a, table)
		if ok != (c.of != nil) || ok && (!slices.Equal(m.Of, c.of) || !slices.Equal(m.From, c.from)) {
			t.Errorf("%s: merge %v of %v, %v, want %v of %v", name, m.From, m.Of, ok, c.from, c.of)
		}
	}
}

// TestStatesStayFew rolls a thousand chunks of an aggregate without time: reads stay small, and each state is merged a few
// times only.
func TestStatesStayFew(t *testing.T) {
	const groups = 1000
	a, table := days(groups)
	var written, read uint64
	for i := 1; i <= 1000; i++ {
		c := splitdate.Chunk(i)
		table.Clean = append(table.Clean, c)
		table.Chunks[c] = splitdate.Meta{Rows: 300}
		a.States[c] = 300
		if m, ok := Plan(a, table); ok {
			for _, gone := range m.From {
				delete(a.Merged, gone)
			}
			a.Merged[splitdate.Chunk(10_000+i)] = splitdate.Merged{States: min(m.Before, groups), Of: m.Of}
			written += m.Before
		}
		read = 0
		for _, c := range a.Historic(table) {
			read += a.States[c] + a.Merged[c].States
		}
		if read > 3*groups {
			t.Fatalf("%d states are read after %d chunks", read, i)
		}
	}
	if factor := float64(written) / (1000 * 300); factor > 4 {
		t.Errorf("each state was merged %.1f times", factor)
	}
}
