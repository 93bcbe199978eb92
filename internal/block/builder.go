package block

import (
	"fmt"
	"time"

	"github.com/tidemark-db/tidemark/sql"
)

// Column names a column of a block and its type.
type Column struct {
	Name  string
	Alias string // for messages, where people know it by another name
	Type  sql.Type

	Binary sql.Binary // what AppendBinary reads

	// ExactFrom is AgreesFrom's answer for the zone of a timestamp without zone: earlier times are refused. The zero
	// time refuses none.
	ExactFrom time.Time
}

// Columns are the columns of a block that takes a table's.
func Columns(cols []sql.Column) []Column {
	out := make([]Column, len(cols))
	for i, c := range cols {
		out[i] = Column{Name: c.Name, Alias: c.Alias, Type: c.Type, Binary: c.Binary, ExactFrom: c.ExactFrom}
	}
	return out
}

// Builder collects rows of a fixed list of columns. A row is one AppendText, AppendBinary, AppendNull or AppendZero on each
// column; a row that a ValueError left incomplete is dropped by Truncate(Rows()). A Builder is not for concurrent use.
type Builder struct {
	cols []buffer
	wire *wire
}

// NewBuilder returns an empty Builder. The types must come from sql.MapType.
func NewBuilder(cols []Column) (*Builder, error) {
	b := &Builder{cols: make([]buffer, len(cols))}
	for i, c := range cols {
		col, err := newBuffer(c)
		if err != nil {
			return nil, fmt.Errorf("build column %s: %w", c.Name, err)
		}
		b.cols[i] = col
	}
	return b, nil
}

// AppendText appends a value, given as PostgreSQL's text output. The text is copied. The error is a *ValueError.
func (b *Builder) AppendText(col int, text []byte) error {
	c := &b.cols[col]
	if r := c.append(text); r != nil {
		return c.refuse(r, text)
	}
	return nil
}

// AppendNull appends NULL, or returns a *ValueError when the type is not Nullable. A lossy Array has no elements then.
func (b *Builder) AppendNull(col int) error {
	c := &b.cols[col]
	switch {
	case c.typ.Nullable:
		c.appendNull()
	case c.elem != nil && c.typ.Lossy:
		b.AppendZero(col)
	default:
		return c.refuseNull()
	}
	return nil
}

// AppendZero appends the default of the type, NULL when it is Nullable: what fills columns that have no value, as in
// the row of a delete.
func (b *Builder) AppendZero(col int) {
	c := &b.cols[col]
	c.zero(c)
	null := byte(0)
	if c.typ.Nullable {
		null = 1
	}
	c.landed(null)
}

// Rows returns the number of complete rows.
func (b *Builder) Rows() int {
	if len(b.cols) == 0 {
		return 0
	}
	rows := b.cols[0].rows
	for i := range b.cols[1:] {
		rows = min(rows, b.cols[i+1].rows)
	}
	return rows
}

// Bytes returns about how much memory the rows take.
func (b *Builder) Bytes() int {
	n := 0
	for i := range b.cols {
		n += b.cols[i].bytes()
	}
	return n
}

// Truncate keeps the first rows rows and drops what lies behind them in any column.
func (b *Builder) Truncate(rows int) {
	for i := range b.cols {
		b.cols[i].truncate(rows)
	}
}

// Reset drops all rows and keeps the memory for the next ones.
func (b *Builder) Reset() {
	for i := range b.cols {
		b.cols[i].reset()
	}
}

// Instant returns the instant of a date column's value in microseconds since 1970-01-01 UTC; a date is the first
// instant of its day in the zone of its type. ok is false for NULL and for types that cannot be a date column.
func (b *Builder) Instant(col, row int) (micros int64, ok bool) {
	c := &b.cols[col]
	if !c.typ.DateColumn() || (c.typ.Nullable && c.nulls[row] != 0) {
		return 0, false
	}
	return c.instant(row), true
}
