package block

import (
	"encoding/binary"
	"fmt"
	"io"

	"github.com/ClickHouse/ch-go/proto"
	"github.com/ClickHouse/clickhouse-go/v2/lib/column"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
)

// AppendTo puts all rows into the columns of batch from index first on; the caller fills the others. The batch must be
// fresh or flushed, because a column is filled as a whole, and must have the builder's columns under the same names and
// with the same types in the same order. The builder keeps its rows.
func (b *Builder) AppendTo(batch driver.Batch, first int) error {
	columns := batch.Columns()
	if first < 0 || first+len(b.cols) > len(columns) {
		return fmt.Errorf("append %d columns at %d: the batch has %d", len(b.cols), first, len(columns))
	}
	if b.wire == nil {
		b.wire = newWire()
	}
	rows := b.Rows()
	for i := range b.cols {
		if err := b.wire.fill(columns[first+i], &b.cols[i], rows); err != nil {
			b.wire = nil // it may hold the rest of the column
			return fmt.Errorf("append column %s: %w", b.cols[i].name, err)
		}
	}
	return nil
}

// wire reads our bytes as if they came from a server.
type wire struct {
	pieces [][]byte
	reader *proto.Reader
	keys   []byte // of a LowCardinality column, kept for its capacity
}

func newWire() *wire {
	w := &wire{}
	w.reader = proto.NewReader(w)
	return w
}

// Read implements io.Reader. Every piece is read to its end before the next column is filled.
func (w *wire) Read(p []byte) (int, error) {
	for len(w.pieces) > 0 && len(w.pieces[0]) == 0 {
		w.pieces = w.pieces[1:]
	}
	if len(w.pieces) == 0 {
		return 0, io.EOF
	}
	n := copy(p, w.pieces[0])
	w.pieces[0] = w.pieces[0][n:]
	return n, nil
}

func (w *wire) fill(to column.Interface, c *buffer, rows int) error {
	switch {
	case c.rows != rows:
		return fmt.Errorf("it has %d values in %d rows", c.rows, rows)
	case to.Name() != c.name || string(to.Type()) != c.typ.Name:
		return fmt.Errorf("the table has %s %s here, not %s", to.Name(), to.Type(), c.typ.Name)
	case to.Rows() != 0:
		return fmt.Errorf("the batch already has rows")
	case rows == 0:
		return nil
	}
	w.pieces = w.pieces[:0]
	if c.dict != nil {
		w.addLowCardinality(c)
	} else {
		w.addPlain(c)
	}
	if err := to.Decode(w.reader, rows); err != nil {
		return fmt.Errorf("encode: %w", err)
	}
	return nil
}

// addPlain writes the NULLs of a column, its values, and the elements of an Array.
func (w *wire) addPlain(c *buffer) {
	if c.typ.Nullable {
		w.pieces = append(w.pieces, c.nulls)
	}
	w.pieces = append(w.pieces, c.data)
	if c.elem != nil {
		w.addPlain(c.elem)
	}
}

// addLowCardinality writes the dictionary and the rows' entries in it, as ClickHouse's serialization of LowCardinality
// has them: a word of flags with the width of the entries, the dictionary's size and values, the number of rows and
// their entries.
func (w *wire) addLowCardinality(c *buffer) {
	const hasDictionary = 1<<9 | 1<<10 // additional keys, update the dictionary
	size := c.dict.size()
	head := binary.LittleEndian.AppendUint64(nil, hasDictionary|uint64(entryWidth(size)))
	head = binary.LittleEndian.AppendUint64(head, uint64(size))
	w.keys = appendEntries(w.keys[:0], c.data, entryWidth(size))
	w.pieces = append(w.pieces, head, c.dict.data, binary.LittleEndian.AppendUint64(nil, uint64(c.rows)), w.keys)
}

// entryWidth is the protocol's code for entries of 1, 2 and 4 bytes.
func entryWidth(size int) int {
	switch {
	case size <= 1<<8:
		return 0
	case size <= 1<<16:
		return 1
	default:
		return 2
	}
}

// appendEntries narrows the four-byte entries.
func appendEntries(to, entries []byte, width int) []byte {
	for ; len(entries) > 0; entries = entries[4:] {
		to = append(to, entries[:1<<width]...)
	}
	return to
}
