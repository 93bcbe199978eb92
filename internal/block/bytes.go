package block

import (
	"encoding/binary"
	"encoding/hex"
)

func appendString(c *buffer, text []byte) *refusal {
	c.data = binary.AppendUvarint(c.data, uint64(len(text)))
	c.data = append(c.data, text...)
	return nil
}

// appendBytea decodes the hex form, "\x" and two digits a byte.
func appendBytea(c *buffer, text []byte) *refusal {
	if len(text) < 2 || len(text)%2 != 0 || text[0] != '\\' || text[1] != 'x' {
		return refuseBytea
	}
	start := len(c.data)
	c.data = binary.AppendUvarint(c.data, uint64(len(text)/2-1))
	var err error
	if c.data, err = hex.AppendDecode(c.data, text[2:]); err != nil {
		c.data = c.data[:start]
		return refuseBytea
	}
	return nil
}

// appendUUID writes two words, the first half of the text first, each with its lowest byte first.
func appendUUID(c *buffer, text []byte) *refusal {
	const length = 36
	if len(text) != length || text[8] != '-' || text[13] != '-' || text[18] != '-' || text[23] != '-' {
		return refuseUUID
	}
	var id [16]byte
	for i, at := range [16]int{0, 2, 4, 6, 9, 11, 14, 16, 19, 21, 24, 26, 28, 30, 32, 34} {
		high, low := hexDigit[text[at]], hexDigit[text[at+1]]
		if high|low > 15 {
			return refuseUUID
		}
		id[i] = high<<4 | low
	}
	c.data = binary.LittleEndian.AppendUint64(c.data, binary.BigEndian.Uint64(id[:8]))
	c.data = binary.LittleEndian.AppendUint64(c.data, binary.BigEndian.Uint64(id[8:]))
	return nil
}

// hexDigit is the value of a digit, 255 for what is none. PostgreSQL writes lower case.
var hexDigit = func() (t [256]byte) {
	for i := range t {
		t[i] = 255
	}
	for i := range 10 {
		t['0'+i] = byte(i)
	}
	for i := range 6 {
		t['a'+i] = byte(10 + i)
	}
	return t
}()

// dictionary holds the distinct values of a LowCardinality column, in the form they are sent in. The first entries are
// the defaults that ClickHouse expects: NULL when the column is Nullable, then the empty string.
type dictionary struct {
	nullable bool
	index    map[string]uint32
	data     []byte
}

func newDictionary(nullable bool) *dictionary {
	d := &dictionary{nullable: nullable, index: map[string]uint32{}}
	d.reset()
	return d
}

func (d *dictionary) reset() {
	clear(d.index)
	d.data = append(d.data[:0], zeros[:d.defaults()]...)
}

func (d *dictionary) defaults() int {
	if d.nullable {
		return 2
	}
	return 1
}

func (d *dictionary) size() int { return d.defaults() + len(d.index) }

func appendEntry(c *buffer, text []byte) *refusal {
	i, ok := c.dict.index[string(text)]
	if !ok {
		i = uint32(c.dict.size())
		c.dict.index[string(text)] = i
		c.dict.data = binary.AppendUvarint(c.dict.data, uint64(len(text)))
		c.dict.data = append(c.dict.data, text...)
	}
	c.data = binary.LittleEndian.AppendUint32(c.data, i)
	return nil
}
