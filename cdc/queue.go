package cdc

import (
	"context"
	"sync"
)

// batchBytes is the size from which a run of messages is handed over without waiting for more.
const batchBytes = 256 << 10

// queue lies between the reader of a stream and its decoder. It is bounded by the bytes that are not Done, whether
// still here or with the consumer, not by the number of batches: small ones that wait are joined.
type queue struct {
	bound int
	ready chan struct{} // holds one token when there may be something
	space chan struct{} // holds one token when there may be room

	mu    sync.Mutex
	runs  []*raw
	bytes int
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

// put appends a run of messages, whatever its size, and returns an empty one for the next.
func (q *queue) put(r *raw) (empty *raw) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if last := len(q.runs) - 1; last >= 0 && len(q.runs[last].buf)+len(r.buf) <= batchBytes {
		q.bytes -= len(q.runs[last].buf)
		q.runs[last].join(r)
		q.bytes += len(q.runs[last].buf)
		empty = &raw{buf: r.buf[:0]}
	} else {
		q.runs = append(q.runs, r)
		q.bytes += len(r.buf)
		size := min(len(r.buf), batchBytes) // the next one will be about as large, but for a huge value
		empty = &raw{buf: make([]byte, 0, size+size/8)}
	}
	notify(q.ready)
	return empty
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

// done makes room for that many bytes more.
func (q *queue) done(bytes int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.bytes -= bytes
	notify(q.space)
}

// pop waits for the next run of messages.
func (q *queue) pop(ctx context.Context) (*raw, error) {
	for {
		if r := q.next(); r != nil {
			return r, nil
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-q.ready:
		}
	}
}

func (q *queue) next() *raw {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.runs) == 0 {
		return nil
	}
	r := q.runs[0]
	q.runs[0] = nil
	q.runs = q.runs[1:]
	return r
}

func (q *queue) waiting() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.runs) > 0
}
