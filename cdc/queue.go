package cdc

import (
	"context"
	"sync"
)

// batchBytes is the size from which a batch is handed over without waiting for more.
const batchBytes = 256 << 10

// queue lies between the reader of a stream and its consumer. It is bounded by the bytes that are not Done, whether
// still here or with the consumer, not by the number of batches: small ones that wait are joined.
type queue struct {
	bound int
	ready chan struct{} // holds one token when there may be a batch
	space chan struct{} // holds one token when there may be room

	mu      sync.Mutex
	batches []*Batch
	bytes   int
}

func newQueue(bound int) *queue {
	return &queue{bound: bound, ready: make(chan struct{}, 1), space: make(chan struct{}, 1)}
}

func notify(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default: // a token is there already
	}
}

// put appends a batch, whatever its size.
func (q *queue) put(b *Batch) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.bytes += b.Bytes
	if last := len(q.batches) - 1; last >= 0 && q.batches[last].Bytes+b.Bytes <= batchBytes {
		q.bytes -= q.batches[last].join(b)
	} else {
		q.batches = append(q.batches, b)
	}
	notify(q.ready)
}

// join appends the events of next and returns by how many bytes the two became smaller: of two Progress events side
// by side the later one says it all, so that an idle consumer's queue does not grow.
func (b *Batch) join(next *Batch) (saved int) {
	last := len(b.Events) - 1
	if b.Events[last].Kind == Progress && next.Events[0].Kind == Progress {
		b.Events, saved = b.Events[:last], eventSize
	}
	b.Events = append(b.Events, next.Events...)
	b.Bytes += next.Bytes - saved
	return saved
}

// wait returns when there is room.
func (q *queue) wait(ctx context.Context) error {
	for q.full() {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-q.space:
		}
	}
	return nil
}

func (q *queue) full() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.bytes >= q.bound
}

func (q *queue) done(b *Batch) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.bytes -= b.Bytes
	b.Bytes = 0 // a second Done changes nothing
	notify(q.space)
}

func (q *queue) pop() *Batch {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.batches) == 0 {
		return nil
	}
	b := q.batches[0]
	q.batches[0] = nil
	q.batches = q.batches[1:]
	return b
}

func (q *queue) waiting() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.batches) > 0
}

// pump hands the batches to out until ctx ends.
func (q *queue) pump(ctx context.Context, out chan<- *Batch) {
	for {
		b := q.pop()
		if b == nil {
			select {
			case <-ctx.Done():
				return
			case <-q.ready:
				continue
			}
		}
		select {
		case <-ctx.Done():
			return
		case out <- b:
		}
	}
}
