package historic

import (
	"context"
	"slices"

	"github.com/tidemark-db/tidemark/internal/warehouse"
	"github.com/tidemark-db/tidemark/splitdate"
	"github.com/tidemark-db/tidemark/sql"
)

// Archive writes the HISTORIC side of one table.
type Archive struct {
	db      *warehouse.Conn
	table   *sql.Table
	numbers func() splitdate.Chunk
}

// NewArchive returns the archive of a table. numbers hands out chunk numbers and must be safe for concurrent use.
func NewArchive(db *warehouse.Conn, t *sql.Table, numbers func() splitdate.Chunk) *Archive {
	return &Archive{db: db, table: t, numbers: numbers}
}

// maxMaskChunks is how many chunks of masks a table may have before they are merged: a view reads them all.
const maxMaskChunks = 8

// Mask masks the rows of HISTORIC whose keys the pieces change, and adds that to the delta. It returns how many rows it
// masked. A key that is not found is no error here: the caller compares with what it knows.
func (a *Archive) Mask(ctx context.Context, state splitdate.Table, pieces []splitdate.Chunk, d *splitdate.Delta) (uint64, error) {
	if len(state.Historic()) == 0 {
		return 0, nil
	}
	to := a.numbers()
	err := a.db.Exec(ctx, a.table.MaskHistoric(), warehouse.Params{
		"to": warehouse.U64(to), "historic": warehouse.Array(state.Historic()),
		"masks": warehouse.Array(state.Masks), "pieces": warehouse.Array(pieces),
	})
	if err != nil {
		return 0, err
	}
	rows := uint64(0)
	err = a.db.Query(ctx, a.table.CountMasks(), warehouse.Params{"chunks": warehouse.Array([]splitdate.Chunk{to})}, func(r warehouse.Rows) error {
		var of, n uint64
		if err := r.Scan(&of, &n); err != nil {
			return err
		}
		d.Masked = append(d.Masked, splitdate.Chunk(of))
		rows += n
		return nil
	})
	if err != nil || rows == 0 {
		return 0, err
	}
	return rows, a.list(ctx, state, to, rows, d)
}

// list adds a new chunk of masks to the delta, merged with the others if there are many.
func (a *Archive) list(ctx context.Context, state splitdate.Table, fresh splitdate.Chunk, rows uint64, d *splitdate.Delta) error {
	if d.Written == nil {
		d.Written = map[splitdate.Chunk]splitdate.Meta{}
	}
	if len(state.Masks) < maxMaskChunks {
		d.AddMasks = append(d.AddMasks, fresh)
		d.Written[fresh] = splitdate.Meta{Rows: rows}
		return nil
	}
	merge, total := small(state, rows)
	to := a.numbers()
	err := a.db.Exec(ctx, a.table.MergeMasks(), warehouse.Params{
		"to": warehouse.U64(to), "from": warehouse.Array(append(merge, fresh)),
	})
	if err != nil {
		return err
	}
	d.DropMasks = append(d.DropMasks, merge...)
	d.AddMasks = append(d.AddMasks, to)
	d.Written[to] = splitdate.Meta{Rows: total}
	return nil
}

// small picks, from the smallest on, the chunks of masks that are no larger than what is merged already: a mask is
// rewritten a logarithmic number of times.
func small(state splitdate.Table, rows uint64) (merge []splitdate.Chunk, total uint64) {
	all := slices.Clone(state.Masks)
	slices.SortFunc(all, func(a, b splitdate.Chunk) int { return int(state.Chunks[a].Rows) - int(state.Chunks[b].Rows) })
	total = rows
	for i, c := range all {
		if n := state.Chunks[c].Rows; i < 2 || n <= total {
			merge = append(merge, c)
			total += n
		}
	}
	return merge, total
}
