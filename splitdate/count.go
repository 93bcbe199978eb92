package splitdate

import (
	"context"
	"fmt"

	"github.com/tidemark-db/tidemark/internal/warehouse"
	"github.com/tidemark-db/tidemark/sql"
)

// CountChunks reads the Meta of chunks that were just written. A chunk without rows has none.
func CountChunks(ctx context.Context, db *warehouse.Conn, t *sql.Table, chunks []Chunk) (map[Chunk]Meta, error) {
	metas := make(map[Chunk]Meta, len(chunks))
	err := db.Query(ctx, t.CountChunks(), warehouse.Params{"chunks": warehouse.Array(chunks)}, func(row warehouse.Rows) error {
		var chunk, rows uint64
		var from, to int64
		if err := row.Scan(&chunk, &rows, &from, &to); err != nil {
			return err
		}
		metas[Chunk(chunk)] = Meta{Rows: rows, From: Instant(from), To: Instant(to)}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("count chunks of %s: %w", t.Source, err)
	}
	return metas, nil
}
