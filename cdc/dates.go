package cdc

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
)

// CountDates counts the rows of a table whose date column is NULL, and those whose date is more than a day ahead. It reads
// the whole table; ctx bounds it.
func CountDates(ctx context.Context, conn *pgx.Conn, t Table, column string) (nulls, future int64, err error) {
	text := fmt.Sprintf(query("count_dates"), quoteName(column), quoteName(t.Schema, t.Name))
	if err := conn.QueryRow(ctx, text).Scan(&nulls, &future); err != nil {
		return 0, 0, fmt.Errorf("count the dates of %s: %w", t.FullName(), err)
	}
	return nulls, future, nil
}

// DateIndexed reports whether PostgreSQL can find the rows of a range of dates without reading the whole table: the column
// leads an index, or the table is partitioned by it.
func DateIndexed(ctx context.Context, conn *pgx.Conn, t Table, column string) (indexed bool, err error) {
	if err := conn.QueryRow(ctx, query("date_indexed"), t.OID, column).Scan(&indexed); err != nil {
		return false, fmt.Errorf("look for an index on %s of %s: %w", column, t.FullName(), err)
	}
	return indexed, nil
}
