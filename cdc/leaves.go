package cdc

import (
	"context"
	"fmt"
	"regexp"
	"strings"

	"github.com/jackc/pgx/v5"
)

// Leaf is a partition of a table that holds rows itself.
type Leaf struct {
	OID  uint32
	Name string // FullName

	// Stamp changes whenever rows come to the table with this leaf, or leave it, that no WAL row announces under the table's
	// name: ATTACH, DETACH, and TRUNCATE of the leaf alone. (VACUUM FULL and the like change it too.)
	Stamp string
	Empty bool // it takes no page

	constraint string
}

// ReadLeaves returns the leaves of those of the tables, given by their FullNames, that are partitioned.
func ReadLeaves(ctx context.Context, conn *pgx.Conn, tables []string) (map[string][]Leaf, error) {
	schemas, names := make([]string, len(tables)), make([]string, len(tables))
	for i, table := range tables {
		schemas[i], names[i] = splitName(table)
	}
	rows, err := conn.Query(ctx, query("leaves"), schemas, names)
	if err != nil {
		return nil, fmt.Errorf("read partitions: %w", err)
	}
	out := map[string][]Leaf{}
	var l Leaf
	var root, leaf [2]string
	_, err = pgx.ForEachRow(rows, []any{&root[0], &root[1], &l.OID, &leaf[0], &leaf[1], &l.Stamp, &l.constraint, &l.Empty}, func() error {
		l.Name = FullName(leaf[0], leaf[1])
		table := FullName(root[0], root[1])
		out[table] = append(out[table], l)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read partitions: %w", err)
	}
	return out, nil
}

// Ancestors returns the FullNames of the partitioned tables that a table, given by its OID, is a partition of now.
func Ancestors(ctx context.Context, cfg Config, oid uint32) ([]string, error) {
	conn, err := Connect(ctx, cfg)
	if err != nil {
		return nil, err
	}
	defer closeConn(ctx, conn)
	rows, err := conn.Query(ctx, query("ancestors"), oid)
	if err != nil {
		return nil, fmt.Errorf("read what table %d is a partition of: %w", oid, err)
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (string, error) {
		var schema, name string
		err := row.Scan(&schema, &name)
		return FullName(schema, name), err
	})
}

// Bounds returns the half-open range of a column that the leaf's rows lie in, as PostgreSQL prints its values, "" for no
// bound. ok is false where the partition's definition does not tell, or it holds NULLs too.
func (l Leaf) Bounds(column string) (from, to string, ok bool) {
	if strings.Contains(l.constraint, " OR ") || strings.Contains(l.constraint, "NOT (") {
		return "", "", false
	}
	name := `(?:` + regexp.QuoteMeta(column) + `|` + regexp.QuoteMeta(quoteName(column)) + `)`
	bound := func(op string) string {
		found := regexp.MustCompile(`\(` + name + ` ` + op + ` '([^']*)'::`).FindStringSubmatch(l.constraint)
		if found == nil {
			return ""
		}
		return found[1]
	}
	from, to = bound(">="), bound("<")
	return from, to, from != "" || to != ""
}
