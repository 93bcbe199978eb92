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
	t                         testing.TB
	bridge                    *rig.Bridge
	cancel                    context.CancelFunc
	group                     sync.WaitGroup
	once                      sync.Once
	folds, comparisons, loads int // that were asked for
	equal, loaded             int // parts that were compared, loaded
}

func startJobs(t testing.TB, b *rig.Bridge, tables []string, seed uint64) *jobMix {
	ctx, cancel := context.WithCancel(t.Context())
	m := &jobMix{t: t, bridge: b, cancel: cancel}
	m.group.Go(func() { m.work(ctx, tables, rand.New(rand.NewPCG(seed, 3))) }) // ends with stop
	t.Cleanup(m.stop)
	return m
}

// stop ends the work and says how much it was.
func (m *jobMix) stop() {
	m.cancel()
	m.group.Wait()
	m.once.Do(func() {
		m.t.Logf("%d folds, %d comparisons of %d parts, %d loads of %d parts", m.folds, m.comparisons, m.equal, m.loads, m.loaded)
	})
}

func (m *jobMix) work(ctx context.Context, tables []string, random *rand.Rand) {
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
		done, err := m.do(ctx, random.IntN(3), request)
		if ctx.Err() != nil {
			return
		}
		if err != nil {
			m.t.Errorf("%+v: %v", request, err)
			return
		}
		m.note(done)
	}
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
		m.folds++
		_, err := m.bridge.Resync(ctx, request)
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
