package block

import (
	"bytes"
	"strconv"
	"strings"

	"github.com/tidemark-db/tidemark/sql"
)

// append appends a text, or what the column's policy makes of one that is out of range.
func (c *buffer) append(text []byte) *refusal {
	r := c.parse(c, text)
	switch {
	case r == nil:
		c.landed(0)
	case !r.outside:
		return r
	case c.typ.OutOfRange == sql.NullOutOfRange:
		c.appendNull()
	case c.typ.OutOfRange == sql.Clamp && string(text) != "NaN":
		c.data = append(c.data, c.bounds[c.side(text)]...)
		c.landed(0)
	default:
		return r
	}
	return nil
}

func (c *buffer) appendNull() {
	c.zero(c)
	c.landed(1)
}

// side says beyond which bound a text lies that is out of range: 0 is the smallest value.
func (c *buffer) side(text []byte) int {
	if bytes.HasPrefix(text, []byte("-")) || bytes.HasSuffix(text, []byte(" BC")) {
		return 0
	}
	if c.typ.DateColumn() && !isInfinite(text) {
		s := scanner{text: text}
		if year, _ := s.number(4, 9); year <= firstYearOfDate {
			return 0
		}
	}
	return 1
}

// firstYearOfDate: no year up to it is beyond the largest value of any type, none after it before the smallest.
const firstYearOfDate = 1970

// setBounds encodes the type's smallest and largest value.
func (c *buffer) setBounds() {
	if c.typ.Kind == sql.KindTimestamp || c.typ.Kind == sql.KindTimestampTZ {
		low, high := c.zone.limits()
		c.bounds = [2][]byte{c.encode(func() { c.putMicros(low, 0) }), c.encode(func() { c.putMicros(high, microsPerSecond-1) })}
		return
	}
	for i, text := range c.limits() {
		c.bounds[i] = c.encode(func() { c.parse(c, []byte(text)) })
	}
}

// encode returns what put appends, and leaves the column as it was.
func (c *buffer) encode(put func()) []byte {
	put()
	out := bytes.Clone(c.data)
	c.data = c.data[:0]
	return out
}

// limits are the texts of the smallest and the largest value.
func (c *buffer) limits() [2]string {
	switch c.typ.Kind {
	case sql.KindDate:
		return [2]string{"1970-01-01", "2149-06-06"}
	case sql.KindDate32:
		return [2]string{"1900-01-01", "2299-12-31"}
	case sql.KindDecimal:
		most := strings.Repeat("9", c.typ.Precision-c.typ.Scale) + "." + strings.Repeat("9", c.typ.Scale)
		most = strings.TrimSuffix(most, ".")
		if strings.HasPrefix(most, ".") {
			most = "0" + most
		}
		return [2]string{"-" + most, most}
	case sql.KindUInt8, sql.KindUInt16, sql.KindUInt32, sql.KindUInt64:
		return [2]string{"0", strconv.FormatUint(^uint64(0)>>(64-8*c.width), 10)}
	default:
		high := int64(1)<<(8*c.width-1) - 1
		return [2]string{strconv.FormatInt(-high-1, 10), strconv.FormatInt(high, 10)}
	}
}

// limits are the first and the last second that ClickHouse can hold and show in the zone.
func (z *zone) limits() (low, high int64) {
	first, last := z.periods[0].offset, z.periods[len(z.periods)-1].offset
	low = max(firstDay*secondsPerDay, firstDay*secondsPerDay-first, z.exact)
	high = (lastDay+1)*secondsPerDay - 1
	return low, min(high, high-last)
}
