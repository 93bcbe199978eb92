package e2e

import (
	"context"
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/tidemark-db/tidemark/internal/rig"
)

// TestCommitClock lets PostgreSQL's commit clock jump an hour ahead, an hour back, and home again while rows come. The
// split date moves in all three times, never ahead of our own clock and never back.
func TestCommitClock(t *testing.T) {
	t.Parallel()
	r := newAuditRig(t, lateTables("history")...)
	server, err := url.Parse(r.SourceDSN())
	if err != nil {
		t.Fatal(err)
	}
	p := rig.NewPostgresProxy(t, server.Host)
	text := strings.ReplaceAll(read(t, r.config("tick: 100ms\nrt_window: 2s\nsplit_step: 1s\nschedule: {roll: \"@every 1s\"}")), server.Host, p.Addr())
	process := r.Spawn(write(t, text))
	r.await()
	w := r.startStubborn(seed(t))
	w.begin("INSERT INTO history VALUES (1000000 + {v}, now(), {v}, 'new', 0, 'open') ON CONFLICT DO NOTHING")
	for _, jump := range []time.Duration{0, time.Hour, -time.Hour, 0} {
		p.ShiftCommits(jump)
		r.moves(2)
	}
	w.stop()
	r.compare()
	r.checkMarks("", 0)
	var ahead, jumped uint64
	err = r.CH.QueryRow(t.Context(), fmt.Sprintf(`
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
