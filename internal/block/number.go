package block

import (
	"encoding/binary"
	"fmt"
	"math"
	"strconv"
	"unsafe"

	"github.com/tidemark-db/tidemark/sql"
)

// integer completes the column of an integer type, or refuses a kind that is unknown.
func (c buffer) integer() (buffer, error) {
	signed := func(bits int) (buffer, error) {
		low, high := int64(-1)<<(bits-1), int64(1)<<(bits-1)-1
		c.width = bits / 8
		c.parse = func(c *buffer, text []byte) *refusal { return appendInt(c, text, low, high) }
		return c, nil
	}
	unsigned := func(bits int) (buffer, error) {
		high := uint64(math.MaxUint64) >> (64 - bits)
		c.width = bits / 8
		c.parse = func(c *buffer, text []byte) *refusal { return appendUint(c, text, high) }
		return c, nil
	}
	switch c.typ.Kind {
	case sql.KindInt8:
		return signed(8)
	case sql.KindInt16:
		return signed(16)
	case sql.KindInt32:
		return signed(32)
	case sql.KindInt64:
		return signed(64)
	case sql.KindUInt8:
		return unsigned(8)
	case sql.KindUInt16:
		return unsigned(16)
	case sql.KindUInt32:
		return unsigned(32)
	case sql.KindUInt64:
		return unsigned(64)
	default:
		return buffer{}, fmt.Errorf("type %q has an unknown kind %d", c.typ.Name, c.typ.Kind)
	}
}

func appendInt(c *buffer, text []byte, low, high int64) *refusal {
	negative := len(text) > 0 && text[0] == '-'
	if negative {
		text = text[1:]
	}
	abs, r := parseUint(text)
	if r != nil {
		return r
	}
	if negative {
		if abs > uint64(-(low+1))+1 {
			return refuseInt
		}
		c.putInt(-abs) // two's complement: right for -2^63 too
		return nil
	}
	if abs > uint64(high) {
		return refuseInt
	}
	c.putInt(abs)
	return nil
}

func appendUint(c *buffer, text []byte, high uint64) *refusal {
	if len(text) > 1 && text[0] == '-' {
		if _, r := parseUint(text[1:]); r != nil {
			return r
		}
		return refuseInt
	}
	v, r := parseUint(text)
	if r != nil {
		return r
	}
	if v > high {
		return refuseInt
	}
	c.putInt(v)
	return nil
}

// putInt appends the low width bytes of v.
func (c *buffer) putInt(v uint64) {
	switch c.width {
	case 1:
		c.data = append(c.data, byte(v))
	case 2:
		c.data = binary.LittleEndian.AppendUint16(c.data, uint16(v))
	case 4:
		c.data = binary.LittleEndian.AppendUint32(c.data, uint32(v))
	default:
		c.data = binary.LittleEndian.AppendUint64(c.data, v)
	}
}

func parseUint(text []byte) (uint64, *refusal) {
	if len(text) == 0 {
		return 0, refuseNumber
	}
	var v uint64
	for i, ch := range text {
		d := uint64(ch - '0')
		if d > 9 {
			return 0, refuseNumber
		}
		if i >= 19 && (v > math.MaxUint64/10 || v*10 > math.MaxUint64-d) {
			return 0, refuseInt
		}
		v = v*10 + d
	}
	return v, nil
}

func appendFloat32(c *buffer, text []byte) *refusal {
	v, ok := parseFloat(text, 32)
	if !ok {
		return refuseFloat
	}
	c.data = binary.LittleEndian.AppendUint32(c.data, math.Float32bits(float32(v)))
	return nil
}

func appendFloat64(c *buffer, text []byte) *refusal {
	v, ok := parseFloat(text, 64)
	if !ok {
		return refuseFloat
	}
	c.data = binary.LittleEndian.AppendUint64(c.data, math.Float64bits(v))
	return nil
}

// parseFloat reads the shortest text that identifies a float, so the nearest float is the one PostgreSQL holds. An
// overflow of the width is an error of ParseFloat. Hex floats and the spellings "inf" and "nan" are Go's, not
// PostgreSQL's.
func parseFloat(text []byte, bits int) (float64, bool) {
	switch string(text) {
	case "NaN", "Infinity", "-Infinity":
	default:
		for _, ch := range text {
			if (ch < '0' || ch > '9') && ch != '-' && ch != '+' && ch != '.' && ch != 'e' {
				return 0, false
			}
		}
	}
	v, err := strconv.ParseFloat(unsafe.String(unsafe.SliceData(text), len(text)), bits) // keeps no reference
	return v, err == nil
}

func appendBool(c *buffer, text []byte) *refusal {
	if len(text) != 1 || (text[0] != 't' && text[0] != 'f') {
		return refuseBool
	}
	v := byte(0)
	if text[0] == 't' {
		v = 1
	}
	c.data = append(c.data, v)
	return nil
}
