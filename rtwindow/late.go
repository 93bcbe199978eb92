package rtwindow

import (
	"context"
	"slices"

	"github.com/tidemark-db/tidemark/internal/warehouse"
	"github.com/tidemark-db/tidemark/splitdate"
	"github.com/tidemark-db/tidemark/sql"
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
	metas, err := splitdate.CountChunks(ctx, w.db, w.table, sql.Late, []splitdate.Chunk{to})
	if err != nil {
		return err
	}
	d.DropLate = append(d.DropLate, later...)
	if meta, ok := metas[to]; ok {
		d.AddLate = append(d.AddLate, to)
		d.Written = put(d.Written, to, meta)
	}
	return nil
}
