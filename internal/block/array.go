package block

import "encoding/binary"

// elements is the number of elements up to the last row.
func (c *buffer) elements() int {
	if len(c.data) == 0 {
		return 0
	}
	return int(binary.LittleEndian.Uint64(c.data[len(c.data)-8:]))
}

func zeroArray(c *buffer) {
	c.data = binary.LittleEndian.AppendUint64(c.data, uint64(c.elements()))
}

// appendArray reads {1,NULL,"a \"b\""}. PostgreSQL prints an array of more dimensions with braces inside, and one that
// does not begin at 1 with its bounds in front; ClickHouse has neither.
func appendArray(c *buffer, text []byte) *refusal {
	last := len(text) - 1
	switch {
	case last > 0 && text[0] == '[':
		return refuseLowerBound
	case last < 1 || text[0] != '{' || text[last] != '}':
		return refuseArray
	}
	rest := text[1:last]
	for more := len(rest) > 0; more; {
		var r *refusal
		if rest, more, r = c.appendElement(rest); r != nil {
			c.elem.truncate(c.elements())
			return r
		}
	}
	c.data = binary.LittleEndian.AppendUint64(c.data, uint64(c.elem.rows))
	return nil
}

// appendElement reads one element and the comma behind it, if there is one.
func (c *buffer) appendElement(text []byte) (rest []byte, more bool, r *refusal) {
	elem, rest, quoted, r := c.cutElement(text)
	if r != nil {
		return nil, false, r
	}
	switch {
	case quoted || string(elem) != "NULL":
		r = c.elem.append(elem)
	case c.elem.typ.Nullable:
		c.elem.appendNull()
	default:
		r = refuseElement
	}
	if r != nil || len(rest) == 0 {
		return nil, false, r
	}
	if rest[0] != ',' {
		return nil, false, refuseArray
	}
	return rest[1:], true, nil
}

// cutElement returns the next element without its quotes.
func (c *buffer) cutElement(text []byte) (elem, rest []byte, quoted bool, r *refusal) {
	if len(text) > 0 && text[0] == '"' {
		elem, rest, r = c.unquote(text[1:])
		return elem, rest, true, r
	}
	n := 0
	for n < len(text) && text[n] != ',' {
		switch text[n] {
		case '{':
			return nil, nil, false, refuseDimensions
		case '}', '"', '\\':
			return nil, nil, false, refuseArray
		}
		n++
	}
	if n == 0 {
		return nil, nil, false, refuseArray
	}
	return text[:n], text[n:], false, nil
}

// unquote reads up to the closing quote; a backslash takes the next byte as it is.
func (c *buffer) unquote(text []byte) (elem, rest []byte, r *refusal) {
	c.scratch = c.scratch[:0]
	for i := 0; i < len(text); i++ {
		switch text[i] {
		case '"':
			return c.scratch, text[i+1:], nil
		case '\\':
			i++
			if i == len(text) {
				return nil, nil, refuseArray
			}
		}
		c.scratch = append(c.scratch, text[i])
	}
	return nil, nil, refuseArray
}
