package cdc

import (
	"context"
	"fmt"

	"github.com/jackc/pglogrepl"
	"github.com/jackc/pgx/v5"
)

// readHistory fills in what tells the tables' present from their past.
func readHistory(ctx context.Context, conn *pgx.Conn, publication string, tables []Table) error {
	byOID := make(map[uint32]*Table, len(tables))
	oids := make([]uint32, len(tables))
	for i := range tables {
		byOID[tables[i].OID], oids[i] = &tables[i], tables[i].OID
	}
	rows, err := conn.Query(ctx, query("table_history"), publication, oids)
	if err != nil {
		return err
	}
	var oid uint32
	var found Table
	_, err = pgx.ForEachRow(rows, []any{&oid, &found.Attributes, &found.Entries, &found.Files, &found.Toast}, func() error {
		t := byOID[oid]
		t.Attributes, t.Entries, t.Files, t.Toast = found.Attributes, found.Entries, found.Files, found.Toast
		found.Entries = nil
		return nil
	})
	if err != nil {
		return err
	}
	if rows, err = conn.Query(ctx, query("column_history"), oids); err != nil {
		return err
	}
	var number int16
	var version string
	var hasDefault bool
	var missing *string
	_, err = pgx.ForEachRow(rows, []any{&oid, &number, &version, &hasDefault, &missing}, func() error {
		columns := byOID[oid].Columns
		for i := range columns {
			if columns[i].Number == number {
				columns[i].Version, columns[i].HasDefault, columns[i].Missing = version, hasDefault, missing
			}
		}
		return nil
	})
	return err
}

// CatalogState is what the catalogue said of some tables at one moment.
type CatalogState struct {
	End    LSN    // of the WAL: what the catalogue says was committed before
	Digest string // of everything that ReadCatalog reads and that DDL changes: equal digests, equal catalogues
}

// ReadCatalogState is much cheaper than ReadCatalog, and waits for no lock. Tables are given by their FullName.
func ReadCatalogState(ctx context.Context, conn *pgx.Conn, publication string, tables []string) (s CatalogState, err error) {
	var end string
	schemas, names := make([]string, len(tables)), make([]string, len(tables))
	for i, table := range tables {
		schemas[i], names[i] = splitName(table)
	}
	if err := conn.QueryRow(ctx, query("catalog_state"), publication, schemas, names).Scan(&end, &s.Digest); err != nil {
		return s, fmt.Errorf("look at the catalogue: %w", err)
	}
	if s.End, err = pglogrepl.ParseLSN(end); err != nil {
		return s, fmt.Errorf("look at the catalogue: %w", err)
	}
	return s, nil
}
