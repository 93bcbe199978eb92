package block

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"time"

	"github.com/tidemark-db/tidemark/sql"
)

// buffer holds the values of one column as the native protocol lays them out.
//
// Fixed types: width bytes per row in data. Strings: length and bytes of each row in data, ends[i] behind row i.
// LowCardinality: the row's dictionary entry as four bytes in data, 0 for NULL. Arrays: in data eight bytes of each row,
// the number of elements up to its end; the elements are a column of their own. nulls is one byte per row when typ is
// Nullable; it is not sent for a LowCardinality, whose entries tell.
type buffer struct {
	name  string
	alias string // for messages
	typ   sql.Type
	parse func(*buffer, []byte) *refusal // appends one value, or nothing
	zero  func(*buffer)                  // appends the type's default

	form   sql.Binary
	binary func(*buffer, []byte) bool // appends one plain value, or nothing

	rows  int
	width int // 0 for strings
	data  []byte
	ends  []int
	nulls []byte

	zone *zone       // of times and dates
	dict *dictionary // of LowCardinality
	elem *buffer     // of an Array

	bounds  [2][]byte // the smallest and the largest value, where values beyond them are clamped
	scratch []byte
}

func newBuffer(col Column) (buffer, error) {
	c, err := plainBuffer(col)
	if err == nil && col.Type.OutOfRange == sql.Clamp {
		c.setBounds()
	}
	return c, err
}

func plainBuffer(col Column) (buffer, error) {
	c := buffer{name: col.Name, alias: cmp.Or(col.Alias, col.Name), typ: col.Type, zero: zeroFixed, form: col.Binary, binary: binaryOf(col.Binary, col.Type.Kind)}
	switch k := col.Type.Kind; k {
	case sql.KindString:
		c.parse, c.zero = appendString, zeroString
	case sql.KindBytes:
		c.parse, c.zero = appendBytea, zeroString
	case sql.KindLowCardinality:
		c.parse, c.width, c.dict = appendEntry, 4, newDictionary(col.Type.Nullable)
	case sql.KindBool:
		c.parse, c.width = appendBool, 1
	case sql.KindFloat32:
		c.parse, c.width = appendFloat32, 4
	case sql.KindFloat64:
		c.parse, c.width = appendFloat64, 8
	case sql.KindUUID:
		c.parse, c.width = appendUUID, 16
	case sql.KindDecimal:
		c.parse, c.width = appendDecimal, decimalWidth(col.Type.Precision)
	case sql.KindDate, sql.KindDate32:
		c.parse, c.width = appendDay, 4
		if k == sql.KindDate {
			c.width = 2
		}
		return c.inZone(col.ExactFrom)
	case sql.KindTimestamp:
		c.parse, c.width = appendTimestamp, 8
		return c.inZone(col.ExactFrom)
	case sql.KindTimestampTZ:
		c.parse, c.width = appendTimestampTZ, 8
		return c.inZone(col.ExactFrom)
	case sql.KindArray:
		elem, err := newBuffer(Column{Name: col.Name, Type: *col.Type.Elem, ExactFrom: col.ExactFrom})
		c.parse, c.zero, c.width, c.elem = appendArray, zeroArray, 8, &elem
		return c, err
	default:
		return c.integer()
	}
	return c, nil
}

func (c buffer) inZone(exactFrom time.Time) (buffer, error) {
	if c.typ.Zone == nil {
		return buffer{}, fmt.Errorf("type %s has no zone", c.typ.Name)
	}
	c.zone = newZone(c.typ.Zone, exactFrom)
	return c, nil
}

// landed completes a value that parse or zero has put into data.
func (c *buffer) landed(null byte) {
	if c.typ.Nullable {
		c.nulls = append(c.nulls, null)
	}
	if c.width == 0 {
		c.ends = append(c.ends, len(c.data))
	}
	c.rows++
}

func (c *buffer) bytes() int {
	n := len(c.data) + len(c.nulls) + len(c.ends)*8
	if c.dict != nil {
		n += len(c.dict.data)
	}
	if c.elem != nil {
		n += c.elem.bytes()
	}
	return n
}

func (c *buffer) truncate(rows int) {
	if rows >= c.rows {
		return
	}
	c.rows = rows
	end := rows * c.width
	if c.width == 0 {
		if rows > 0 {
			end = c.ends[rows-1]
		}
		c.ends = c.ends[:rows]
	}
	c.data = c.data[:end]
	if c.typ.Nullable {
		c.nulls = c.nulls[:rows]
	}
	if c.elem != nil {
		c.elem.truncate(c.elements())
	}
}

func (c *buffer) reset() {
	c.truncate(0)
	if c.dict != nil {
		c.dict.reset()
	}
}

var zeros [32]byte

func zeroFixed(c *buffer)  { c.data = append(c.data, zeros[:c.width]...) }
func zeroString(c *buffer) { c.data = append(c.data, 0) }

func (c *buffer) instant(row int) int64 {
	at := c.data[row*c.width:]
	switch c.typ.Kind {
	case sql.KindDate:
		return c.zone.dayStart(int64(binary.LittleEndian.Uint16(at))) * microsPerSecond
	case sql.KindDate32:
		return c.zone.dayStart(int64(int32(binary.LittleEndian.Uint32(at)))) * microsPerSecond
	default:
		return int64(binary.LittleEndian.Uint64(at)) * microsPerTick(c.typ)
	}
}

// microsPerTick is what one unit of a DateTime64 stands for.
func microsPerTick(t sql.Type) int64 { return int64(pow10[6-t.Scale]) }

const (
	secondsPerDay   = int64(24 * time.Hour / time.Second)
	microsPerSecond = int64(time.Second / time.Microsecond)
)
