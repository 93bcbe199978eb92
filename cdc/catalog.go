package cdc

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/tidemark-db/tidemark/internal/fault"
)

// ErrNoPublication is in the chain of errors about a publication that does not exist.
var ErrNoPublication = errors.New("publication does not exist")

// Column is one published column of a table.
type Column struct {
	Name        string
	Number      int16 // attnum
	TypeOID     uint32
	TypeMod     int32
	TypeName    string // as format_type prints it, with its modifier
	BaseTypeOID uint32 // TypeOID after resolving domains
	BaseTypeMod int32
	ElemTypeOID uint32 // of the elements when the base type is an array, after resolving domains; else 0
	ElemTypeMod int32
	Dimensions  int  // as declared; PostgreSQL holds no value to it
	Enum        bool // the base type is an enum, or an array of one
	NotNull     bool // declared and validated
	Generated   bool

	Version    string  // changes whenever ALTER TABLE changes the column
	HasDefault bool    // of rows to come
	Missing    *string // the value of rows from before the column, where that is not NULL and they were not rewritten for it
}

// The values of Table.ReplicaIdentity, PostgreSQL's own.
const (
	IdentityDefault byte = 'd'
	IdentityNothing byte = 'n'
	IdentityFull    byte = 'f'
	IdentityIndex   byte = 'i'
)

// Table is a published table as the catalogue describes it now.
type Table struct {
	OID          uint32
	Schema, Name string
	Columns      []Column // those the publication publishes, by attnum

	// Key are the columns that identify a row: the primary key under DEFAULT, the chosen index under USING INDEX, the
	// primary key if there is one under FULL. Empty: no key. A deferrable key is none.
	Key             []string
	KeyDeferrable   bool // there is a primary key, but a deferrable one
	ReplicaIdentity byte

	EstimatedRows int64 // by the planner's statistics; -1 when never analysed
	Pages         int64
	Partitioned   bool
	Leaves        []string // FullNames under which the publication sends the rows of a partitioned table; none: under its own
	Children      []string // FullNames of the tables that inherit from it, whose rows are not its own; a partition is none
	RowFilter     string   // the publication's WHERE, "" if none
	RowSecurity   bool     // row-level security hides rows from this role
	CanSelect     bool     // this role may read the published columns

	Attributes int16             // how many columns it ever had; the Number of a column that is added is greater
	Entries    map[uint32]string // in the publication, by the OID of the table or of its leaves: others when it left and came back
	Files      string            // others once the rows were rewritten; TRUNCATE and VACUUM FULL make others too
	Toast      uint32            // the OID of its TOAST table, 0 if it has none: another one once ALTER TABLE rewrote the rows, which those do not
}

// FullName is the FullName of the table's schema and name.
func (t Table) FullName() string { return FullName(t.Schema, t.Name) }

// ColumnNames returns the names of the published columns in order.
func (t Table) ColumnNames() []string {
	names := make([]string, len(t.Columns))
	for i := range t.Columns {
		names[i] = t.Columns[i].Name
	}
	return names
}

// Publication is what a publication sends.
type Publication struct {
	OID                              uint32
	Name                             string
	AllTables                        bool
	Insert, Update, Delete, Truncate bool
	ViaRoot                          bool // changes of partitions are sent as changes of the root
}

// ReadPublication returns a publication's flags, or an error that wraps ErrNoPublication.
func ReadPublication(ctx context.Context, conn *pgx.Conn, name string) (Publication, error) {
	p := Publication{Name: name}
	err := conn.QueryRow(ctx, query("publication"), name).Scan(&p.OID, &p.AllTables, &p.Insert, &p.Update, &p.Delete,
		&p.Truncate, &p.ViaRoot)
	if errors.Is(err, pgx.ErrNoRows) {
		return p, noPublication(name, nil)
	}
	if err != nil {
		return p, fmt.Errorf("read publication %q: %w", name, err)
	}
	return p, nil
}

func noPublication(name string, tables []string) error {
	return fault.New("let the owner of the tables run: "+CreatePublication(name, tables),
		"source.publication: %w: %q", ErrNoPublication, name)
}

// ReadCatalog returns every table of the publication, ordered by schema and name. Where the publication sends the rows of a
// partitioned table under the names of its leaves, it returns that table too.
func ReadCatalog(ctx context.Context, conn *pgx.Conn, publication string) (tables []Table, err error) {
	if _, err := ReadPublication(ctx, conn, publication); err != nil {
		return nil, err
	}
	// Its statements have to see the same catalogue: a column that is counted and not listed looks as if it had been there
	// before, unpublished.
	err = pgx.BeginTxFunc(ctx, conn, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly}, func(pgx.Tx) (err error) {
		if tables, err = readTables(ctx, conn, publication); err != nil {
			return fmt.Errorf("read tables of publication %q: %w", publication, err)
		}
		if err := readColumns(ctx, conn, publication, tables); err != nil {
			return fmt.Errorf("read columns of publication %q: %w", publication, err)
		}
		if err := readHistory(ctx, conn, publication, tables); err != nil {
			return fmt.Errorf("read what happened to the tables of publication %q: %w", publication, err)
		}
		return nil
	})
	return tables, err
}

func readTables(ctx context.Context, conn *pgx.Conn, publication string) ([]Table, error) {
	rows, err := conn.Query(ctx, query("published_tables"), publication)
	if err != nil {
		return nil, err
	}
	leaves := map[uint32][]uint32{}
	tables, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (Table, error) {
		var t Table
		var of []uint32
		var children [][]string
		err := row.Scan(&t.OID, &t.Schema, &t.Name, &t.ReplicaIdentity, &t.Partitioned, &t.EstimatedRows, &t.Pages,
			&t.Key, &t.KeyDeferrable, &t.RowFilter, &of, &children, &t.RowSecurity, &t.CanSelect)
		for _, child := range children {
			t.Children = append(t.Children, FullName(child[0], child[1]))
		}
		leaves[t.OID] = of
		return t, err
	})
	for i := range tables {
		for _, leaf := range tables {
			if slices.Contains(leaves[tables[i].OID], leaf.OID) {
				tables[i].Leaves = append(tables[i].Leaves, leaf.FullName())
			}
		}
	}
	return tables, err
}

// readColumns fills in the columns of tables.
func readColumns(ctx context.Context, conn *pgx.Conn, publication string, tables []Table) error {
	byOID := make(map[uint32]*Table, len(tables))
	var roots []uint32
	for i := range tables {
		byOID[tables[i].OID] = &tables[i]
		if len(tables[i].Leaves) > 0 {
			roots = append(roots, tables[i].OID)
		}
	}
	rows, err := conn.Query(ctx, query("published_columns"), publication, roots)
	if err != nil {
		return err
	}
	var oid uint32
	var c Column
	_, err = pgx.ForEachRow(rows, []any{
		&oid, &c.Name, &c.Number, &c.TypeOID, &c.TypeMod, &c.TypeName, &c.BaseTypeOID, &c.BaseTypeMod, &c.ElemTypeOID,
		&c.ElemTypeMod, &c.Dimensions, &c.Enum, &c.NotNull, &c.Generated,
	}, func() error {
		if t := byOID[oid]; t != nil { // a table published between the two statements comes with the next reading
			t.Columns = append(t.Columns, c)
		}
		return nil
	})
	onlyCommon(tables)
	return err
}

// onlyCommon leaves to a table that is sent under the names of its leaves the columns that all of them publish.
func onlyCommon(tables []Table) {
	for i := range tables {
		root := &tables[i]
		for _, leaf := range tables {
			if slices.Contains(root.Leaves, leaf.FullName()) {
				names := leaf.ColumnNames()
				root.Columns = slices.DeleteFunc(root.Columns, func(c Column) bool { return !slices.Contains(names, c.Name) })
			}
		}
	}
}

// CreatePublication returns the statement that publishes the tables, given by their FullName.
func CreatePublication(name string, tables []string) string {
	if len(tables) == 0 {
		return "CREATE PUBLICATION " + quoteName(name) + " FOR ALL TABLES"
	}
	quoted := make([]string, len(tables))
	for i, table := range tables {
		quoted[i] = quoteTable(table)
	}
	return "CREATE PUBLICATION " + quoteName(name) + " FOR TABLE " + strings.Join(quoted, ", ")
}
