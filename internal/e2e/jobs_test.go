package e2e

import (
	"context"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/tidemark-db/tidemark/internal/bridge"
	"github.com/tidemark-db/tidemark/internal/rig"
)

// jobMix keeps a bridge busy with folds, comparisons and loads of random parts of its tables. What it compares must be equal.
type jobMix struct {
	t                  testing.TB
	bridge             *rig.Bridge
	cancel             context.CancelFunc
	group              sync.WaitGroup
	once               sync.Once
	first              chan struct{} // closed when there was one job of each kind, or there will not be
	comparisons, loads int           // that were asked for
	folds              int           // that were done
	equal, loaded      int           // parts that were compared, loaded
}

func startJobs(t testing.TB, b *rig.Bridge, tables []string, seed uint64) *jobMix {
	ctx, cancel := context.WithCancel(t.Context())
	m := &jobMix{t: t, bridge: b, cancel: cancel, first: make(chan struct{})}
	m.group.Go(func() { m.work(ctx, tables, rand.New(rand.NewPCG(seed, 3))) }) // ends with stop
	t.Cleanup(m.stop)
	return m
}

// stop ends the work and says how much it was. There has to have been some: without it the test shows nothing of jobs.
func (m *jobMix) stop() {
	<-m.first
	m.cancel()
	m.group.Wait()
	m.once.Do(func() {
		m.t.Logf("%d folds, %d comparisons of %d parts, %d loads of %d parts", m.folds, m.comparisons, m.equal, m.loads, m.loaded)
		if m.folds == 0 || m.equal == 0 || m.loaded == 0 {
			m.t.Errorf("%d folds done, %d parts equal and %d loaded: want one of each at least", m.folds, m.equal, m.loaded)
		}
	})
}

// work begins with one job of each kind over whole tables.
func (m *jobMix) work(ctx context.Context, tables []string, random *rand.Rand) {
	if !m.each(ctx, tables, random) {
		return
	}
	for ctx.Err() == nil {
		request := bridge.Request{Table: tables[random.IntN(len(tables))]}
		if random.IntN(2) == 0 {
			from := time.Now().Add(-time.Duration(random.IntN(20)) * time.Second)
			request.From = &from
		}
		if random.IntN(2) == 0 {
			to := time.Now().Add(-time.Duration(random.IntN(8)) * time.Second)
			request.To = &to
		}
		if !m.try(ctx, random.IntN(jobKinds), request) {
			return
		}
	}
}

// each does one job of each kind and reports whether to go on.
func (m *jobMix) each(ctx context.Context, tables []string, random *rand.Rand) bool {
	defer close(m.first)
	for _, kind := range random.Perm(jobKinds) {
		if !m.try(ctx, kind, bridge.Request{Table: tables[random.IntN(len(tables))]}) {
			return false
		}
	}
	return true
}

// jobKinds is how many kinds of jobs do knows.
const jobKinds = 3

// try does a job and reports whether to go on.
func (m *jobMix) try(ctx context.Context, kind int, request bridge.Request) bool {
	done, err := m.do(ctx, kind, request)
	if ctx.Err() != nil {
		return false
	}
	if err != nil {
		m.t.Errorf("%+v: %v", request, err)
		return false
	}
	m.note(done)
	return true
}

func (m *jobMix) do(ctx context.Context, kind int, request bridge.Request) ([]bridge.Reread, error) {
	switch kind {
	case 0:
		m.comparisons++
		return m.bridge.Verify(ctx, request)
	case 1:
		m.loads++
		return m.bridge.Reload(ctx, request)
	default:
		_, err := m.bridge.Resync(ctx, request)
		if err == nil {
			m.folds++
		}
		return nil, err
	}
}

func (m *jobMix) note(done []bridge.Reread) {
	for _, part := range done {
		switch {
		case part.Replaced:
			m.loaded++
		case part.Equal:
			m.equal++
		default:
			m.t.Errorf("false alarm: %+v", part)
		}
	}
}
