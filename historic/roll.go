package historic

import (
	"context"
	"fmt"

	"github.com/tidemark-db/tidemark/internal/warehouse"
	"github.com/tidemark-db/tidemark/splitdate"
	"github.com/tidemark-db/tidemark/sql"
)

// Roll copies the rows of RT before the new split date to a HISTORIC chunk, and what those RT chunks hold besides to
// new RT chunks: rows that will not settle soon, with no date or one from far on, to a chunk of their own. RT chunks without
// rows before the split date stay as they are. The delta publishes all of them and the split date. Of a mirrored table,
// which has no split date, all rows roll.
func (a *Archive) Roll(ctx context.Context, state splitdate.Table, split, far splitdate.Instant) (splitdate.Delta, error) {
	d := splitdate.Delta{Split: &split, Written: map[splitdate.Chunk]splitdate.Meta{}}
	if state.Mirrored {
		split = state.Split
	}
	leaving, straddling := settling(state, split)
	if len(leaving) == 0 {
		return d, nil
	}
	params := func(from []splitdate.Chunk, to splitdate.Chunk) warehouse.Params {
		return warehouse.Params{"to": warehouse.U64(to), "from": warehouse.Array(from), "split": warehouse.I64(split)}
	}
	settled := a.numbers().Settled()
	if err := a.db.Exec(ctx, a.table.Roll(), params(leaving, settled)); err != nil {
		return d, err
	}
	rows, err := a.compare(ctx, leaving, settled, split)
	if err != nil {
		return d, err
	}
	d.DropRT = leaving
	if rows > 0 {
		if err := a.written(ctx, &d, &d.AddHistoric, settled); err != nil {
			return d, err
		}
	}
	if len(straddling) > 0 {
		kept, apart := a.numbers(), a.numbers()
		p := params(straddling, kept)
		p["apart"], p["far"] = warehouse.U64(apart), warehouse.I64(far)
		if err := a.db.Exec(ctx, a.table.Keep(), p); err != nil {
			return d, err
		}
		if err := a.written(ctx, &d, &d.AddRT, kept, apart); err != nil {
			return d, err
		}
	}
	if was, is := state.Rows(leaving), count(d); was != is {
		return d, fmt.Errorf("roll %s to %s: %d rows left RT, %d arrived: %w", a.table.Source, split, was, is, splitdate.ErrInvariant)
	}
	return d, nil
}

// settling finds the RT chunks with rows before the split date, and those of them with other rows too.
func settling(state splitdate.Table, split splitdate.Instant) (leaving, straddling []splitdate.Chunk) {
	for _, c := range state.RT {
		meta := state.Chunks[c]
		switch {
		case state.Mirrored:
			leaving = append(leaving, c)
		case meta.From < split:
			leaving = append(leaving, c)
			if meta.To >= split {
				straddling = append(straddling, c)
			}
		}
	}
	return leaving, straddling
}

// compare returns the number of rows that settled, after comparing count and checksum of both sides.
func (a *Archive) compare(ctx context.Context, from []splitdate.Chunk, to splitdate.Chunk, split splitdate.Instant) (uint64, error) {
	var sums [2]struct{ rows, hash uint64 }
	for i, side := range []struct {
		region sql.Region
		chunks []splitdate.Chunk
	}{{sql.RT, from}, {sql.Historic, []splitdate.Chunk{to}}} {
		params := warehouse.Params{"chunks": warehouse.Array(side.chunks), "split": warehouse.I64(split)}
		err := a.db.Query(ctx, a.table.RollChecksum(side.region), params, func(r warehouse.Rows) error {
			return r.Scan(&sums[i].rows, &sums[i].hash)
		})
		if err != nil {
			return 0, err
		}
	}
	if sums[0] != sums[1] {
		return 0, fmt.Errorf("roll %s to %s: RT has %d rows to settle, the new chunk holds %d, or others: %w",
			a.table.Source, split, sums[0].rows, sums[1].rows, splitdate.ErrInvariant)
	}
	return sums[0].rows, nil
}

// written adds to a delta those of the chunks that have rows.
func (a *Archive) written(ctx context.Context, d *splitdate.Delta, add *[]splitdate.Chunk, chunks ...splitdate.Chunk) error {
	metas, err := splitdate.CountChunks(ctx, a.db, a.table, chunks)
	if err != nil {
		return err
	}
	for _, chunk := range chunks {
		if meta, ok := metas[chunk]; ok {
			d.Write(chunk, meta)
			*add = append(*add, chunk)
		}
	}
	return nil
}

func count(d splitdate.Delta) (n uint64) {
	for _, meta := range d.Written {
		n += meta.Rows
	}
	return n
}
