package demo

import (
	"context"
	"sync"
	"time"
)

// pacer holds several workers to a common rate. What they did is charged afterwards, as only then it is known, and the
// next one waits until it is paid for.
type pacer struct {
	each time.Duration // that one change takes

	mu   sync.Mutex
	next time.Time // when everything charged is paid for
}

func newPacer(perSecond int) *pacer {
	return &pacer{each: time.Second / time.Duration(perSecond), next: time.Now()}
}

// mostBehind is how much lost time is made up for; a longer standstill is not followed by a burst of its length.
const mostBehind = 250 * time.Millisecond

// charge adds changes that were made.
func (p *pacer) charge(changes int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if late := time.Now().Add(-mostBehind); p.next.Before(late) {
		p.next = late
	}
	p.next = p.next.Add(time.Duration(changes) * p.each)
}

// wait returns true when the next worker may go on, false when ctx has ended or closing is closed.
func (p *pacer) wait(ctx context.Context, closing <-chan struct{}) bool {
	p.mu.Lock()
	until := time.Until(p.next)
	p.mu.Unlock()
	timer := time.NewTimer(max(0, until))
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-closing:
		return false
	case <-timer.C:
	}
	select { // both may have been ready
	case <-closing:
		return false
	default:
		return ctx.Err() == nil
	}
}
