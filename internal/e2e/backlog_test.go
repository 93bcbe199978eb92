package e2e

import (
	"context"
	"fmt"
	"testing"
	"time"
)

// An outage of eight hours with a window of half an hour, 1,800 times as fast: what counts is that it is 16 windows long.
const (
	backlogWindow  = time.Second
	outage         = 16 * backlogWindow
	backlogMinutes = 480 // transactions that were committed meanwhile, evenly
)

// TestBacklog has a bridge come back to what was committed while it was away. It catches up in bounded memory and rolls as it
// goes, and every read sees one commit. The soak has more rows.
func TestBacklog(t *testing.T) {
	t.Parallel()
	perMinute := 1000
	if soakMinutes(t) > 0 {
		perMinute = 5000
	}
	r := newAuditRig(t, lateTables("history")...)
	file := r.config(fmt.Sprintf("tick: 100ms\nrt_window: %s\nsplit_step: 100ms\nschedule: {roll: \"@every 1s\", resync: \"\"}", backlogWindow))
	process := r.Spawn(file)
	r.await()
	r.terminate(process)
	went := len(r.marks("history"))
	r.run(fmt.Sprintf(`DO $$ BEGIN
		FOR i IN 0 .. %[1]d - 1 LOOP
			INSERT INTO history SELECT 1000000 + i * %[2]d + g, now(), g, 'minute ' || i, g, 'open' FROM generate_series(0, %[2]d - 1) g;
			UPDATE history SET v = v + 1, status = 'closed' WHERE id IN (1000000 + i / 2 * %[2]d, 1000000 + (i - 1) * %[2]d, 1 + i * 5);
			DELETE FROM history WHERE id = 1000001 + (i - 40) * %[2]d;
			COMMIT;
			PERFORM pg_sleep(%[3]f);
		END LOOP;
	END $$`, backlogMinutes, perMinute, outage.Seconds()/float64(backlogMinutes)))
	back := time.Now()
	reader := r.startWitness(time.Second)
	process = r.Spawn(file)
	r.await()
	t.Logf("%d rows of %v in %v", backlogMinutes*perMinute, outage, time.Since(back).Round(time.Millisecond))
	r.rolledAsItWent(r.marks("history")[went:], backlogMinutes*perMinute)
	r.Eventually(slow, "all rows to settle", func(ctx context.Context) error {
		var never int
		if err := r.PG.QueryRow(ctx, "SELECT count(*) FROM history WHERE d IS NULL OR d > now()").Scan(&never); err != nil {
			return err
		}
		marks := r.marks("history")
		if rt := marks[len(marks)-1].parts.rt; rt > never {
			return fmt.Errorf("RT has %d rows, %d never settle", rt, never)
		}
		return nil
	})
	r.compare()
	reader.stop()
	r.checkMarks("history", 1)
	if peak := peakMemory(t, process.Pid()); peak > maxMemory {
		t.Errorf("the bridge took %d MiB", peak>>20)
	}
	r.terminate(process)
}

// rolledAsItWent checks that rows settled while others were yet to come: the marks of a catch-up never hold most of them in RT.
func (r *auditRig) rolledAsItWent(marks []markRow, rows int) {
	r.t.Helper()
	moves, most := 0, 0
	for i, m := range marks {
		most = max(most, m.parts.rt)
		if i > 0 && r.forward("history", marks[i-1], m) && m.lsn < marks[len(marks)-1].lsn {
			moves++
		}
	}
	r.t.Logf("%d marks, %d moves of the split date before the last position, at most %d of %d rows in RT", len(marks), moves, most, rows)
	if moves < 2 || most > rows*3/4 {
		r.t.Errorf("%d moves on the way, want 2 or more; %d of %d rows in RT", moves, most, rows)
	}
}
