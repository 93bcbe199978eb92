package demo

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"text/template"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/tidemark-db/tidemark/internal/warehouse"
	"github.com/tidemark-db/tidemark/sql"
)

// row is a row in a form that both servers are brought to: the text of each column, nil for NULL.
type row struct {
	key     []int64
	columns []*string
}

// cursor reads rows in the order of their key; nil is the end.
type cursor interface{ next() (*row, error) }

// newRow makes a row; keys are the positions of the key's columns.
func newRow(columns []*string, keys []int) (*row, error) {
	r := &row{columns: columns, key: make([]int64, len(keys))}
	for i, at := range keys {
		if columns[at] == nil {
			return nil, fmt.Errorf("column %d of the key is NULL", at)
		}
		var err error
		if r.key[i], err = strconv.ParseInt(*columns[at], 10, 64); err != nil {
			return nil, fmt.Errorf("read key: %w", err)
		}
	}
	return r, nil
}

// equal compares two columns.
func equal(a, b *string) bool { return a == b || a != nil && b != nil && *a == *b }

// describe names the columns in which the row of a view is not as that of its table.
func describe(names []string, table, view *row) string {
	var parts []string
	for i, name := range names {
		if !equal(table.columns[i], view.columns[i]) {
			parts = append(parts, fmt.Sprintf("%s is %s, not %s", name, quoted(view.columns[i]), quoted(table.columns[i])))
		}
	}
	return strings.Join(parts, "; ")
}

func quoted(value *string) string {
	if value == nil {
		return "NULL"
	}
	return strconv.Quote(clip(*value, 60))
}

// templates are the statements that read a whole table or view.
var templates = template.Must(template.ParseFS(statements, "sql/*.sql.tmpl"))

// wholeTable renders one of them.
func wholeTable(name, table string, key []string, quote func(string) string) (string, error) {
	columns := make([]string, len(key))
	for i, column := range key {
		columns[i] = quote(column)
	}
	var b strings.Builder
	err := templates.ExecuteTemplate(&b, name, map[string]string{"Table": table, "Key": strings.Join(columns, ", ")})
	return b.String(), err
}

// positions returns where the columns of the key are among all columns.
func positions(key, columns []string) ([]int, error) {
	at := make([]int, len(key))
	for i, column := range key {
		if at[i] = slices.Index(columns, column); at[i] < 0 {
			return nil, fmt.Errorf("no column %q", column)
		}
	}
	return at, nil
}

// tableRows are the rows of a table in PostgreSQL.
type tableRows struct {
	rows  pgx.Rows
	names []string
	types []uint32
	keys  []int
}

func readTable(ctx context.Context, tx pgx.Tx, table string, key []string) (*tableRows, error) {
	quote := func(name string) string { return pgx.Identifier{name}.Sanitize() }
	text, err := wholeTable("table.sql.tmpl", pgx.Identifier{"public", table}.Sanitize(), key, quote)
	if err != nil {
		return nil, err
	}
	rows, err := tx.Query(ctx, text, pgx.QueryResultFormats{pgx.TextFormatCode})
	if err != nil {
		return nil, err
	}
	t := &tableRows{rows: rows}
	for _, f := range rows.FieldDescriptions() {
		t.names, t.types = append(t.names, f.Name), append(t.types, f.DataTypeOID)
	}
	if t.keys, err = positions(key, t.names); err != nil {
		rows.Close()
		return nil, err
	}
	return t, nil
}

func (t *tableRows) close() { t.rows.Close() }

func (t *tableRows) next() (*row, error) {
	if !t.rows.Next() {
		return nil, t.rows.Err()
	}
	columns := make([]*string, len(t.types))
	for i, raw := range t.rows.RawValues() {
		if raw == nil {
			continue
		}
		text, err := clickHouseText(t.types[i], string(raw))
		if err != nil {
			return nil, err
		}
		columns[i] = &text
	}
	return newRow(columns, t.keys)
}

// clickHouseText turns PostgreSQL's text of a value, with the time zone UTC, into ClickHouse's.
func clickHouseText(oid uint32, text string) (string, error) {
	switch oid {
	case pgtype.BoolOID:
		return strconv.FormatBool(text == "t"), nil
	case pgtype.NumericOID:
		if strings.Contains(text, ".") {
			text = strings.TrimSuffix(strings.TrimRight(text, "0"), ".")
		}
	case pgtype.TimestamptzOID:
		at, err := time.Parse("2006-01-02 15:04:05.999999-07", text)
		return at.Format("2006-01-02 15:04:05.000000"), err
	}
	return text, nil
}

// viewRows are the rows of a view in ClickHouse.
type viewRows struct {
	rows    driver.Rows
	columns []*string
	targets []any // pointers to columns
	keys    []int
}

func readView(ctx context.Context, users *warehouse.Conn, view string, key []string) (*viewRows, error) {
	text, err := wholeTable("view.sql.tmpl", sql.Ident(string(users.Database()))+"."+sql.Ident(view), key, sql.Ident)
	if err != nil {
		return nil, err
	}
	rows, err := users.Driver().Query(ctx, text)
	if err != nil {
		return nil, err
	}
	v := &viewRows{rows: rows, columns: make([]*string, len(rows.Columns()))}
	for i := range v.columns {
		v.targets = append(v.targets, &v.columns[i])
	}
	wrapped := make([]string, len(key)) // as the columns are called
	for i, column := range key {
		wrapped[i] = "toNullable(toString(" + column + "))"
	}
	if v.keys, err = positions(wrapped, rows.Columns()); err != nil {
		v.close()
		return nil, err
	}
	return v, nil
}

// close ends a query that was not read to its end, too; its errors are those of next.
func (v *viewRows) close() { _ = v.rows.Close() }

func (v *viewRows) next() (*row, error) {
	if !v.rows.Next() {
		return nil, v.rows.Err()
	}
	if err := v.rows.Scan(v.targets...); err != nil {
		return nil, err
	}
	return newRow(slices.Clone(v.columns), v.keys)
}
