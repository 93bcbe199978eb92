package cdc

import (
	"bytes"
	"encoding/binary"
	"errors"
)

var errTruncated = errors.New("message is cut short")

// wire reads the fields of one message. Past the end it returns zeros and remembers that, so that a message is
// checked once, at its end.
type wire struct {
	buf   []byte
	short bool
}

func (w *wire) bytes(n int) []byte {
	if n < 0 || n > len(w.buf) {
		w.short, w.buf = true, nil
		return nil
	}
	b := w.buf[:n:n]
	w.buf = w.buf[n:]
	return b
}

func (w *wire) uint8() byte {
	if b := w.bytes(1); b != nil {
		return b[0]
	}
	return 0
}

func (w *wire) uint16() int {
	if b := w.bytes(2); b != nil {
		return int(binary.BigEndian.Uint16(b))
	}
	return 0
}

func (w *wire) uint32() uint32 {
	if b := w.bytes(4); b != nil {
		return binary.BigEndian.Uint32(b)
	}
	return 0
}

// text reads a string that ends with a zero byte.
func (w *wire) text() string {
	end := bytes.IndexByte(w.buf, 0)
	if end < 0 {
		w.short, w.buf = true, nil
		return ""
	}
	s := string(w.buf[:end])
	w.buf = w.buf[end+1:]
	return s
}

func (w *wire) err() error {
	if w.short {
		return errTruncated
	}
	return nil
}
