package cdc

import (
	"bytes"
	"fmt"
)

// The framing of COPY's binary format: https://www.postgresql.org/docs/current/sql-copy.html, "Binary Format".
var (
	copySignature = []byte("PGCOPY\n\xff\r\n\x00")
	copyTrailer   = []byte{0xff, 0xff} // where a row has its number of columns
)

// cutCopyHeader returns what follows the signature, the flags and the extension, which has no meaning yet.
func cutCopyHeader(message []byte) ([]byte, error) {
	body, ok := bytes.CutPrefix(message, copySignature)
	if !ok {
		return nil, fmt.Errorf("decode COPY header: it begins with %.20q", message)
	}
	w := wire{buf: body}
	const critical = 0xffff0000 // flags that a reader must know
	if flags := w.uint32(); flags&critical != 0 {
		return nil, fmt.Errorf("decode COPY header: unknown flags %#x", flags)
	}
	w.bytes(int(int32(w.uint32())))
	return w.buf, w.err()
}

// decodeCopyRow splits one row of the binary format into the values of t, which are parts of it.
func decodeCopyRow(t Tuple, row []byte) error {
	w := wire{buf: row}
	if n := w.uint16(); n != len(t) {
		return fmt.Errorf("decode COPY row: %d columns instead of %d", n, len(t))
	}
	for i := range t {
		switch n := int32(w.uint32()); n {
		case -1:
			t[i] = Value{Kind: Null}
		default:
			t[i] = NewValue(Binary, w.bytes(int(n)))
		}
	}
	if len(w.buf) > 0 {
		return fmt.Errorf("decode COPY row: more than %d columns", len(t))
	}
	return w.err()
}
