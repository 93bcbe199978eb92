package cdc

// arena hands out memory for rows from few, growing pieces, so that a row costs no allocation of its own. What it
// handed out is never moved.
type arena struct {
	bytes  []byte  // free rest of the present piece
	values []Value // likewise
	next   int     // size of the next piece of bytes
}

const (
	minPiece  = 1 << 10
	maxPiece  = 128 << 10
	valueSize = 32 // of a Value in memory
)

// copy returns a copy of b.
func (a *arena) copy(b []byte) []byte {
	return append(a.space(len(b)), b...)
}

// space returns an empty slice with room for exactly n bytes.
func (a *arena) space(n int) []byte {
	if n > len(a.bytes) {
		a.bytes = make([]byte, max(n, a.grow()))
	}
	s := a.bytes[:0:n]
	a.bytes = a.bytes[n:]
	return s
}

func (a *arena) grow() int {
	a.next = min(max(2*a.next, minPiece), maxPiece)
	return a.next
}

// tuple returns a Tuple of n zero values.
func (a *arena) tuple(n int) Tuple {
	if n > len(a.values) {
		a.values = make([]Value, max(n, a.next/valueSize))
	}
	t := a.values[:n:n]
	a.values = a.values[n:]
	return t
}
