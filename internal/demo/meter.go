package demo

import (
	"context"
	"fmt"
	"time"

	"github.com/tidemark-db/tidemark/splitdate"
)

const (
	sampleEvery = 200 * time.Millisecond
	showEvery   = time.Second
	rateWindow  = 5 // readings over which a rate is the mean: a second may see no mark, or two
)

// meter takes a reading every second and shows it.
type meter struct {
	shop    *shop
	marks   *marks
	screen  *screen
	work    *workload
	probe   *prober
	wanted  int        // views
	passed  []position // that the newest mark may not have reached yet
	applied int64      // changes that it holds
	history []counts   // the latest readings
}

// position says that the first so many changes were committed before it.
type position struct {
	lsn     splitdate.LSN
	changes int64
}

// counts are the totals at a time.
type counts struct {
	at                 time.Time
	committed, applied int64
}

// reading is what is shown.
type reading struct {
	at                 time.Time
	mark               splitdate.Mark
	views, wanted      int
	committed, applied float64 // changes per second
	delays             delays
}

func newMeter(d *demo, w *workload, p *prober) *meter {
	return &meter{shop: d.shop, marks: d.marks, screen: d.screen, work: w, probe: p, wanted: len(d.cfg.Tables)}
}

// run shows a reading every second until closing is closed or ctx ends.
func (m *meter) run(ctx context.Context, closing <-chan struct{}) error {
	samples, shows := time.NewTicker(sampleEvery), time.NewTicker(showEvery)
	defer samples.Stop()
	defer shows.Stop()
	for {
		var err error
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-closing:
			return nil
		case <-samples.C:
			err = m.sample(ctx)
		case <-shows.C:
			err = m.show(ctx)
		}
		if err != nil {
			return err
		}
	}
}

// sample notes how many changes were committed before PostgreSQL's position: counted first, so that they are.
func (m *meter) sample(ctx context.Context) error {
	changes := m.work.changes.Load()
	lsn, err := m.shop.position(ctx)
	m.passed = append(m.passed, position{lsn, changes})
	return err
}

func (m *meter) show(ctx context.Context) error {
	mark, _, err := m.marks.newest(ctx)
	if err != nil {
		return fmt.Errorf("read the newest mark: %w", err)
	}
	for len(m.passed) > 0 && m.passed[0].lsn <= mark.LSN {
		m.applied, m.passed = m.passed[0].changes, m.passed[1:]
	}
	now := counts{time.Now(), m.work.changes.Load(), m.applied}
	m.history = append(m.history, now)
	if len(m.history) > rateWindow+1 {
		m.history = m.history[1:]
	}
	r := reading{at: now.at, mark: mark, views: len(mark.Tables), wanted: m.wanted, delays: m.probe.delays()}
	r.committed, r.applied = rates(m.history[0], now)
	m.screen.show(r)
	return nil
}

func rates(from, to counts) (committed, applied float64) {
	seconds := to.at.Sub(from.at).Seconds()
	if seconds <= 0 {
		return 0, 0
	}
	return float64(to.committed-from.committed) / seconds, float64(to.applied-from.applied) / seconds
}
