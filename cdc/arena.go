package cdc

import "unsafe"

// arena hands out the values of rows from few, growing pieces, so that a row costs no allocation of its own. What it handed out
// is never moved.
type arena struct {
	values []Value // free rest of the present piece
	next   int     // size of the next one
}

// Sizes of pieces, in values.
const (
	minPiece = 1 << 5
	maxPiece = 1 << 12
)

// valueSize is what a Value takes in memory, in bytes.
const valueSize = int(unsafe.Sizeof(Value{}))

// tuple returns a Tuple of n zero values.
func (a *arena) tuple(n int) Tuple {
	if n > len(a.values) {
		a.next = min(max(2*a.next, minPiece), maxPiece)
		a.values = make([]Value, max(n, a.next))
	}
	t := a.values[:n:n]
	a.values = a.values[n:]
	return t
}
