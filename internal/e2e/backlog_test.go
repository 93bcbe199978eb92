package e2e

import (
	"context"
	"fmt"
	"testing"
	"time"
)

// outage is how long the bridge was away, and backlogMinutes in how many transactions that was written down.
const (
	outage         = 8 * time.Hour
	backlogMinutes = int(outage / time.Minute)
)

// TestBacklog has a bridge come back to what was committed in eight hours, a transaction a minute, most of it before the
// split. It catches up in bounded memory, and every read sees one commit. The soak has more rows.
func TestBacklog(t *testing.T) {
	t.Parallel()
	perMinute := 20
	if soakMinutes(t) > 0 {
		perMinute = 2000
	}
	r := newAuditRig(t, lateTables("history")...)
	proxy, file := r.clockProxy("tick: 100ms\nrt_window: 30m\nsplit_step: 1m\nschedule: {roll: \"@every 1s\", resync: \"\"}")
	process := r.Spawn(file)
	r.await()
	r.terminate(process)
	began := time.Now()
	r.run(fmt.Sprintf(`DO $$ DECLARE away timestamptz := now() - interval '%d min'; BEGIN
		FOR i IN 0 .. %[1]d - 1 LOOP
			INSERT INTO history SELECT 1000000 + i * %[2]d + g, away + i * interval '1 min', g, 'minute ' || i, g, 'open' FROM generate_series(0, %[2]d - 1) g;
			UPDATE history SET v = v + 1, status = 'closed' WHERE id IN (1000000 + i / 2 * %[2]d, 1000000 + (i - 1) * %[2]d, 1 + i * 5);
			DELETE FROM history WHERE id = 1000001 + (i - 40) * %[2]d;
			COMMIT;
		END LOOP;
	END $$`, backlogMinutes, perMinute))
	wrote, back := time.Since(began), time.Now()
	proxy.SetClock(func(is time.Time) time.Time { // what was written within seconds was committed within eight hours
		if is.Before(began) || is.After(back) {
			return is
		}
		return back.Add(-time.Duration(float64(back.Sub(is)) / float64(wrote) * float64(outage)))
	})
	reader := r.startWitness(time.Second)
	process = r.Spawn(file)
	r.await()
	t.Logf("%d rows of %v in %v", backlogMinutes*perMinute, outage, time.Since(back).Round(time.Millisecond))
	r.Eventually(slow, "RT to hold the last half hour", func(context.Context) error {
		marks := r.marks("history")
		if rt, most := marks[len(marks)-1].parts.rt, 35*perMinute; rt > most {
			return fmt.Errorf("it has %d rows, want %d at most", rt, most)
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
