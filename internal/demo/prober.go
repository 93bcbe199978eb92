package demo

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"

	"github.com/tidemark-db/tidemark/internal/warehouse"
)

const (
	probesKept = 20                    // the latest ones make the median
	pollEvery  = 20 * time.Millisecond // how exact a probe is
	pauseMost  = 250 * time.Millisecond
)

// prober measures commit-to-visible: from the return of a sale's COMMIT to the first answer of the view that has it.
type prober struct {
	work  *workload
	users *warehouse.Conn

	mu        sync.Mutex
	latest    []time.Duration
	committed time.Time // of the probe that is not visible yet
}

func newProber(w *workload, users *warehouse.Conn) *prober { return &prober{work: w, users: users} }

// run probes from open on until closing is closed or ctx ends.
func (p *prober) run(ctx context.Context, open, closing <-chan struct{}) error {
	select {
	case <-open:
	case <-closing:
		return nil
	}
	for {
		if err := p.probe(ctx, closing); err != nil {
			return err
		}
		// Of any length, so that probes are not in step with ticks.
		if stop, err := pause(ctx, closing, rand.N(pauseMost)); stop || err != nil {
			return err
		}
	}
}

// probe sells something that nobody may cancel, and waits until the view shows it.
func (p *prober) probe(ctx context.Context, closing <-chan struct{}) error {
	i := p.work.anyItem()
	i.status = "paid"
	id, err := p.work.sell(ctx, p.work.shop.pool, i)
	if err != nil {
		return fmt.Errorf("probe: %w", err)
	}
	p.work.account(2)
	start := time.Now()
	p.set(start)
	for {
		seen, err := p.sees(ctx, id)
		if err != nil {
			return fmt.Errorf("probe: %w", err)
		}
		if seen {
			p.add(time.Since(start))
			return nil
		}
		if stop, err := pause(ctx, closing, pollEvery); stop || err != nil {
			return err
		}
	}
}

// sees asks as a BI tool would, without the query ids by which a bridge knows its own queries.
func (p *prober) sees(ctx context.Context, id int64) (bool, error) {
	var n uint64
	bound := clickhouse.Context(ctx, clickhouse.WithParameters(clickhouse.Parameters{"id": strconv.FormatInt(id, 10)}))
	err := p.users.Driver().QueryRow(bound, statement("visible")).Scan(&n)
	return n == 1, err
}

// pause waits; stop says that closing was closed.
func pause(ctx context.Context, closing <-chan struct{}, d time.Duration) (stop bool, err error) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false, ctx.Err()
	case <-closing:
		return true, nil
	case <-timer.C:
		return false, nil
	}
}

func (p *prober) set(committed time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.committed = committed
}

func (p *prober) add(took time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.committed = time.Time{}
	p.latest = append(p.latest, took)
	if len(p.latest) > probesKept {
		p.latest = p.latest[1:]
	}
}

// delays are the median and the maximum of the latest probes; 0 where there is none yet.
type delays struct{ median, most time.Duration }

// delays counts a probe under way into the maximum: a bridge that stands still must not look as it did before.
func (p *prober) delays() (d delays) {
	p.mu.Lock()
	defer p.mu.Unlock()
	sorted := slices.Sorted(slices.Values(p.latest))
	if len(sorted) > 0 {
		d = delays{median: sorted[len(sorted)/2], most: sorted[len(sorted)-1]}
	}
	if !p.committed.IsZero() {
		d.most = max(d.most, time.Since(p.committed))
	}
	return d
}
