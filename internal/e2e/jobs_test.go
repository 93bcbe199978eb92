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

// TestFolded changes late rows again while a fold is built. What it says that it folded is what there was when it began, whatever
// came meanwhile: of that, masks of the new chunks, there may be more than the fold took away.
func TestFolded(t *testing.T) {
	t.Parallel()
	r := rig.New(t, servers, guardTables...)
	fold := newHold("fold")
	b := r.Run(r.ConfigFile(guardConfig), bridge.Options{Hook: fold.hook})
	r.WaitLSN(1)
	execute(t, r, guardChanges+"; INSERT INTO rows SELECT g, '2026-03-02', g FROM generate_series(1001, 1020) g")
	r.WaitLSN(1)
	done := make(chan error, 1)
	var folded []bridge.Folded
	go func() { // ends with the fold
		var err error
		folded, err = b.Resync(t.Context(), bridge.Request{})
		done <- err
	}()
	<-fold.reached
	execute(t, r, "UPDATE rows SET v = v + 1 WHERE id < 10 OR id > 1000")
	r.WaitLSN(1)
	close(fold.release)
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if len(folded) != 1 || folded[0].Late != 29 || folded[0].Masks != 10 {
		t.Errorf("folded %+v, want 29 late rows and 10 masks", folded)
	}
}
