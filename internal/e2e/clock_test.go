package e2e

import (
	"context"
	"fmt"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tidemark-db/tidemark/internal/rig"
)

// TestCommitClock lets PostgreSQL's commit clock jump an hour ahead, an hour back, and home again while rows come; and back
// first, then ahead. The split date moves in all these times, never ahead of our own clock and never back.
func TestCommitClock(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name  string
		jumps []time.Duration
	}{
		{"ahead, then back", []time.Duration{0, time.Hour, -time.Hour, 0}},
		{"back, then ahead", []time.Duration{0, -time.Hour, time.Hour, 0}},
	} {
		t.Run(c.name, func(t *testing.T) { jumpCommitClock(t, c.jumps) })
	}
}

func jumpCommitClock(t *testing.T, jumps []time.Duration) {
	t.Helper()
	r := newAuditRig(t, lateTables("history")...)
	p, file := r.clockProxy("tick: 100ms\nrt_window: 2s\nsplit_step: 1s\nschedule: {roll: \"@every 1s\"}")
	process := r.Spawn(file)
	r.await()
	w := r.startStubborn(seed(t))
	w.begin("INSERT INTO history VALUES (1000000 + {v}, now(), {v}, 'new', 0, 'open') ON CONFLICT DO NOTHING")
	for _, jump := range jumps {
		var commits atomic.Int64
		p.SetClock(func(is time.Time) time.Time {
			commits.Add(1)
			return is.Add(jump)
		})
		r.moves(2)
		if commits.Load() == 0 {
			t.Errorf("no commit came with a clock that is %v off", jump)
		}
	}
	w.stop()
	r.compare()
	r.checkMarks("", 0)
	var ahead, jumped uint64
	err := r.CH.QueryRow(t.Context(), fmt.Sprintf(`
		SELECT countIf(tables['history'].split > written_at - INTERVAL 2 SECOND), countIf(commit_time > written_at + INTERVAL 50 MINUTE)
		FROM (SELECT * FROM %[1]s.split_date UNION ALL SELECT * FROM %[1]s_tidemark.split_date_log)
		WHERE mapContains(tables, 'history')`, r.Name)).Scan(&ahead, &jumped)
	if err != nil || ahead > 0 || jumped == 0 {
		t.Errorf("%d marks have a split date ahead of the clock, %d a commit time an hour ahead, %v", ahead, jumped, err)
	}
	if code := process.Terminate(); code != 0 {
		t.Errorf("exit code %d", code)
	}
}

// clockProxy lies between PostgreSQL and the bridge of the returned configuration.
func (r *auditRig) clockProxy(settings string) (*rig.Proxy, string) {
	r.t.Helper()
	server, err := url.Parse(r.SourceDSN())
	if err != nil {
		r.t.Fatal(err)
	}
	p := rig.NewPostgresProxy(r.t, server.Host)
	return p, write(r.t, strings.ReplaceAll(read(r.t, r.config(settings)), server.Host, p.Addr()))
}

// moves waits until the split date of history has moved that often.
func (r *auditRig) moves(times int) {
	r.t.Helper()
	store := r.store()
	for range times {
		before := store.newest(r.t).Tables["history"].Split
		r.Eventually(3*time.Minute, "a move of the split date", func(context.Context) error {
			if store.newest(r.t).Tables["history"].Split == before {
				return fmt.Errorf("it is %s", before)
			}
			return nil
		})
	}
}
