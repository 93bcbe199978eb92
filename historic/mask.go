package historic

import (
	"context"
	"maps"
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
// masked. A key that is not found is no error here: the caller compares with what it knows. Where drop allows it, a chunk
// whose last live row this masks goes at once, with its masks.
func (a *Archive) Mask(ctx context.Context, state splitdate.Table, pieces []splitdate.Chunk, drop bool, d *splitdate.Delta) (uint64, error) {
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
	masked, err := a.masked(ctx, to)
	rows := total(masked)
	if err != nil || rows == 0 {
		return 0, err
	}
	if drop {
		dead, err := a.dead(ctx, state, masked)
		if err != nil {
			return 0, err
		}
		if len(dead) > 0 { // folded to nothing
			return rows, a.carry(ctx, state, Fold{From: dead}, []splitdate.Chunk{to}, nil, d)
		}
	}
	d.Masked = slices.Sorted(maps.Keys(masked))
	return rows, a.list(ctx, state, to, rows, d)
}

// masked counts masks by the chunk that they lie on.
func (a *Archive) masked(ctx context.Context, chunks ...splitdate.Chunk) (map[splitdate.Chunk]uint64, error) {
	out := map[splitdate.Chunk]uint64{}
	err := a.db.Query(ctx, a.table.CountMasks(), warehouse.Params{"chunks": warehouse.Array(chunks)}, func(r warehouse.Rows) error {
		var of, n uint64
		if err := r.Scan(&of, &n); err != nil {
			return err
		}
		out[splitdate.Chunk(of)] = n
		return nil
	})
	return out, err
}

func total(masked map[splitdate.Chunk]uint64) (rows uint64) {
	for _, n := range masked {
		rows += n
	}
	return rows
}

// dead lists the chunks of which the new masks leave no live row.
func (a *Archive) dead(ctx context.Context, state splitdate.Table, fresh map[splitdate.Chunk]uint64) (dead []splitdate.Chunk, err error) {
	before, most := map[splitdate.Chunk]uint64{}, state.Rows(state.Masks)
	if slices.ContainsFunc(state.Dirty, func(c splitdate.Chunk) bool { return fresh[c] > 0 && fresh[c]+most >= state.Chunks[c].Rows }) {
		if before, err = a.masked(ctx, state.Masks...); err != nil {
			return nil, err
		}
	}
	for c, n := range fresh {
		if n+before[c] == state.Chunks[c].Rows {
			dead = append(dead, c)
		}
	}
	slices.Sort(dead)
	return dead, nil
}

// list adds a new chunk of masks to the delta, merged with the others if there are many.
func (a *Archive) list(ctx context.Context, state splitdate.Table, fresh splitdate.Chunk, rows uint64, d *splitdate.Delta) error {
	if len(state.Masks) < maxMaskChunks {
		d.AddMasks = append(d.AddMasks, fresh)
		d.Write(fresh, splitdate.Meta{Rows: rows})
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
	d.Scratch = map[sql.Region][]splitdate.Chunk{sql.Masks: {fresh}}
	d.AddMasks = append(d.AddMasks, to)
	d.Write(to, splitdate.Meta{Rows: total})
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
