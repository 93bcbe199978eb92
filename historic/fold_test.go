package historic

import (
	"slices"
	"testing"
	"time"

	"github.com/tidemark-db/tidemark/splitdate"
)

const (
	minute = splitdate.Instant(60_000_000)
	day    = 24 * 60 * minute
)

func byDay(at splitdate.Instant) int64 { return int64(at / day) }

func chunkOf(rows uint64, at splitdate.Instant) splitdate.Meta {
	return splitdate.Meta{Rows: rows, From: at, To: at + minute - 1}
}

func TestFreeze(t *testing.T) {
	few := splitdate.Table{Clean: []splitdate.Chunk{1, 2}, Chunks: map[splitdate.Chunk]splitdate.Meta{1: chunkOf(5, 0), 2: chunkOf(5, minute)}}
	if f, ok := Freeze(few, splitdate.Everything, byDay); ok {
		t.Errorf("nothing is dirty, late or crowded, but %v is folded", f)
	}
	dirty := few
	dirty.Clean, dirty.Dirty, dirty.Masks, dirty.Late = []splitdate.Chunk{1}, []splitdate.Chunk{2}, []splitdate.Chunk{3}, []splitdate.Chunk{4}
	f, ok := Freeze(dirty, splitdate.Everything, byDay)
	if !ok || !slices.Equal(f.From, []splitdate.Chunk{2}) || !slices.Equal(f.Late, []splitdate.Chunk{4}) || !slices.Equal(f.Masks, []splitdate.Chunk{3}) {
		t.Errorf("froze %+v, %v instead of the dirty chunk, LATE and the masks", f, ok)
	}
	late := splitdate.Table{Late: []splitdate.Chunk{4}}
	if f, ok := Freeze(late, splitdate.Everything, byDay); !ok || len(f.From) != 0 {
		t.Errorf("froze %+v, %v instead of LATE alone", f, ok)
	}
}

// TestChunksStayFew rolls each minute and folds each hour for 90 days: a closed day keeps a handful of chunks, and a row is
// rewritten a few times at most.
func TestChunksStayFew(t *testing.T) {
	state := splitdate.Table{Split: 0, Chunks: map[splitdate.Chunk]splitdate.Meta{}}
	numbers := splitdate.NewNumbers(1)
	var rolled, rewritten uint64
	apply := func(d splitdate.Delta) {
		t.Helper()
		next, err := state.Apply(d)
		if err != nil {
			t.Fatal(err)
		}
		state = next
	}
	for at := splitdate.Instant(0); at < 90*day; at += minute {
		c := numbers.Next()
		apply(splitdate.Delta{AddHistoric: []splitdate.Chunk{c}, Written: map[splitdate.Chunk]splitdate.Meta{c: chunkOf(1000, at)}})
		rolled += 1000
		if at%(60*minute) != 59*minute {
			continue
		}
		f, ok := Freeze(state, splitdate.Everything, byDay)
		if !ok {
			continue
		}
		rewritten += state.Rows(f.From)
		apply(merged(state, f, numbers))
		if n := len(state.Clean); n > int(at/day)*maxPeriodChunks+maxPeriodChunks {
			t.Fatalf("%d chunks after %s", n, time.Duration(at)*time.Microsecond)
		}
	}
	if factor := float64(rewritten) / float64(rolled); factor > 6 {
		t.Errorf("each row was rewritten %.1f times", factor)
	}
	t.Logf("%d chunks after 90 days, each row rewritten %.1f times", len(state.Clean), float64(rewritten)/float64(rolled))
}

// merged is what a fold of clean chunks does to the lists.
func merged(state splitdate.Table, f Fold, numbers *splitdate.Numbers) splitdate.Delta {
	d := splitdate.Delta{DropHistoric: f.From, Written: map[splitdate.Chunk]splitdate.Meta{}}
	periods := map[int64]splitdate.Meta{}
	for _, c := range f.From {
		meta := state.Chunks[c]
		was, ok := periods[byDay(meta.To)]
		if !ok {
			was = meta
			was.Rows = 0
		}
		periods[byDay(meta.To)] = splitdate.Meta{Rows: was.Rows + meta.Rows, From: min(was.From, meta.From), To: max(was.To, meta.To)}
	}
	for _, meta := range periods {
		c := numbers.Next()
		d.AddHistoric = append(d.AddHistoric, c)
		d.Written[c] = meta
	}
	return d
}
