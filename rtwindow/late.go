package rtwindow

import (
	"context"
	"slices"

	"github.com/tidemark-db/tidemark/internal/warehouse"
	"github.com/tidemark-db/tidemark/splitdate"
)

// Release takes the rows of frozen LATE chunks, which a fold has put into HISTORIC, out of LATE. A frozen chunk that is
// still listed goes as it is: no tick touched it. The other chunks hold what ticks made of the rest, and keep the rows
// that were not frozen and those that changed since, whose keys are in the journal.
func (w *Window) Release(ctx context.Context, state splitdate.Table, frozen, journal []splitdate.Chunk, d *splitdate.Delta) error {
	var gone, later []splitdate.Chunk
	for _, c := range frozen {
		if slices.Contains(state.Late, c) {
			d.DropLate = append(d.DropLate, c)
		} else {
			gone = append(gone, c)
		}
	}
	for _, c := range state.Late {
		if !slices.Contains(frozen, c) {
			later = append(later, c)
		}
	}
	if len(gone) == 0 || len(later) == 0 {
		return nil
	}
	to := w.numbers()
	err := w.db.Exec(ctx, w.table.KeepLate(), warehouse.Params{
		"to": warehouse.U64(to), "from": warehouse.Array(later), "frozen": warehouse.Array(gone), "journal": warehouse.Array(journal),
	})
	if err != nil {
		return err
	}
	metas, err := splitdate.CountChunks(ctx, w.db, w.table, []splitdate.Chunk{to})
	if err != nil {
		return err
	}
	d.DropLate = append(d.DropLate, later...)
	if meta, ok := metas[to]; ok {
		d.AddLate = append(d.AddLate, to)
		d.Write(to, meta)
	}
	return nil
}

// Replace takes the rows of a range that did not change since a barrier out of RT and LATE, and puts the loaded ones of RT
// that did not in their place.
func (w *Window) Replace(ctx context.Context, state splitdate.Table, loaded []splitdate.Chunk, r splitdate.Range, since splitdate.Since, d *splitdate.Delta) error {
	for _, side := range []struct {
		chunks    []splitdate.Chunk
		loaded    []splitdate.Chunk
		add, drop *[]splitdate.Chunk
	}{
		{state.RT, loaded, &d.AddRT, &d.DropRT},
		{state.Late, nil, &d.AddLate, &d.DropLate},
	} {
		touched := slices.DeleteFunc(slices.Clone(side.chunks), func(c splitdate.Chunk) bool {
			return !state.Mirrored && !r.Overlaps(state.Chunks[c])
		})
		if len(touched)+len(side.loaded) == 0 {
			continue
		}
		to := w.numbers()
		params := r.Params(since)
		params["loaded_historic"] = warehouse.Array(since.Loaded)
		params["to"], params["from"], params["loaded"] = warehouse.U64(to), warehouse.Array(touched), warehouse.Array(side.loaded)
		if err := w.db.Exec(ctx, w.table.Replace(), params); err != nil {
			return err
		}
		metas, err := splitdate.CountChunks(ctx, w.db, w.table, []splitdate.Chunk{to})
		if err != nil {
			return err
		}
		*side.drop = append(*side.drop, touched...)
		if meta, ok := metas[to]; ok {
			*side.add = append(*side.add, to)
			d.Write(to, meta)
		}
	}
	return nil
}
