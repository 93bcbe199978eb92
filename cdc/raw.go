package cdc

import (
	"encoding/binary"

	"github.com/jackc/pglogrepl"
)

// raw is a run of messages as PostgreSQL sent them, from which a Batch is decoded when its turn comes: what waits takes a third
// of the memory of its events that way, and has no pointers that the collector of garbage would follow.
type raw struct {
	buf   []byte // of each message: its length, its kind, itself
	count int
	last  int  // where the last message begins
	quiet bool // that is a keepalive
}

// rawHeader is the length and the kind.
const rawHeader = 5

// add appends a copy of a message: WAL data, or what a keepalive says. Of two keepalives side by side the later one says it all, so
// that the queue of an idle consumer does not grow.
func (r *raw) add(kind byte, message []byte) {
	keepalive := kind == pglogrepl.PrimaryKeepaliveMessageByteID
	if r.quiet && keepalive {
		r.buf = r.buf[:r.last]
		r.count--
	}
	r.last, r.quiet = len(r.buf), keepalive
	r.count++
	r.buf = binary.BigEndian.AppendUint32(r.buf, uint32(len(message)))
	r.buf = append(r.buf, kind)
	r.buf = append(r.buf, message...)
}

// join appends the messages of another one.
func (r *raw) join(next *raw) {
	if r.quiet && next.buf[rawHeader-1] == pglogrepl.PrimaryKeepaliveMessageByteID {
		r.buf = r.buf[:r.last]
		r.count--
	}
	at := len(r.buf)
	r.buf = append(r.buf, next.buf...)
	r.count, r.last, r.quiet = r.count+next.count, at+next.last, next.quiet
}

// each calls f with every message, which is a part of the buffer.
func (r *raw) each(f func(kind byte, message []byte) error) error {
	for rest := r.buf; len(rest) > 0; {
		n := rawHeader + int(binary.BigEndian.Uint32(rest))
		if err := f(rest[rawHeader-1], rest[rawHeader:n:n]); err != nil {
			return err
		}
		rest = rest[n:]
	}
	return nil
}
