package cdc

import (
	"bytes"
	"fmt"
)

// decodeCopyLine splits one line of COPY's text format, without its newline, into the values of t. They are parts of the
// line, in which escaped ones are written anew.
func decodeCopyLine(t Tuple, line []byte) error {
	if len(t) == 0 {
		return nil
	}
	rest := line
	for i := range t {
		field := rest
		if i < len(t)-1 {
			end := bytes.IndexByte(rest, '\t')
			if end < 0 {
				return fmt.Errorf("decode COPY line: %d columns instead of %d", i+1, len(t))
			}
			field, rest = rest[:end:end], rest[end+1:]
		}
		t[i] = decodeCopyField(field)
	}
	if bytes.IndexByte(rest, '\t') >= 0 {
		return fmt.Errorf("decode COPY line: more than %d columns", len(t))
	}
	return nil
}

// decodeCopyField unescapes in place: a value is never longer than its escaped form.
func decodeCopyField(field []byte) Value {
	if len(field) == 2 && field[0] == '\\' && field[1] == 'N' {
		return Value{Kind: Null}
	}
	at := bytes.IndexByte(field, '\\')
	if at < 0 {
		return NewValue(Text, field)
	}
	out := field[:at]
	for ; at < len(field); at++ {
		c := field[at]
		if c == '\\' && at+1 < len(field) {
			at++
			c = unescape(field[at])
		}
		out = append(out, c)
	}
	return NewValue(Text, out)
}

// unescape returns what stands for \c. The server writes no octal or hexadecimal escapes.
func unescape(c byte) byte {
	switch c {
	case 'b':
		return '\b'
	case 'f':
		return '\f'
	case 'n':
		return '\n'
	case 'r':
		return '\r'
	case 't':
		return '\t'
	case 'v':
		return '\v'
	}
	return c
}
