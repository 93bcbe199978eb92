package e2e

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/tidemark-db/tidemark/internal/rig"
)

// wideTable takes seconds to be copied, and more than the buffers of a connection.
var wideTable = audited{
	name: "wide", config: "{date_column: d}", columns: append(plainColumns("id", "v", "note"), instantColumn("d")),
	setup: []string{
		"CREATE TABLE wide (id bigint PRIMARY KEY, d timestamptz, v bigint, note text); ALTER TABLE wide ALTER note SET STORAGE EXTERNAL",
		"INSERT INTO wide SELECT g, now() - g * interval '1 min', g, repeat(md5(g::text), 320) FROM generate_series(1, 5000) g",
	},
}

// changeWide changes rows that are read before the next piece of a load and after it.
const changeWide = `UPDATE wide SET v = {v} WHERE id = 1 + {v} % 5000;
	INSERT INTO wide VALUES (1000000 + {v}, now(), {v}, 'new') ON CONFLICT DO NOTHING;
	DELETE FROM wide WHERE id = 1 + {v} / 7 % 5000`

// startLoadStall starts a bridge between proxies that loads slowly, with a status server by which commands reach it.
func startLoadStall(t *testing.T) (s *stall, file string) {
	t.Helper()
	r := newAuditRigOn(t, ownServers(t), wideTable)
	r.run("DROP PUBLICATION tidemark; CREATE PUBLICATION tidemark FOR TABLE wide, audit")
	s = &stall{auditRig: r}
	text := read(t, r.config("limits: {copy_rows_per_second: 1500}\ntick: 100ms\nrt_window: 1h\nschedule: {roll: \"@every 1s\", resync: \"\"}"))
	text = strings.Replace(text, `listen: ""`, "listen: "+freeAddress(t), 1)
	s.postgres, text = behind(t, text, r.SourceDSN())
	s.clickhouse, text = behind(t, text, r.TargetDSN())
	file = write(t, text)
	s.process = r.Spawn(file)
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(r.Log())
		}
	})
	return s, file
}

// copying waits until rows of the table are on their way to the bridge.
func (s *stall) copying() {
	s.t.Helper()
	s.Eventually(time.Minute, "a copy under way", func(ctx context.Context) error {
		var n int
		err := s.PG.QueryRow(ctx, "SELECT count(*) FROM pg_stat_progress_copy WHERE datname = current_database() AND tuples_processed > 0").Scan(&n)
		if err == nil && n == 0 {
			err = errors.New("there is none")
		}
		return err
	})
}

// networkFaults are what networks do to connections. One of them ends when the bridge has noticed.
func (s *stall) networkFaults() []networkFault {
	noticed := func(begin, end func()) func() {
		return func() {
			before := s.interruptions()
			begin()
			s.awaitLog(before+1, "interrupted;")
			end()
		}
	}
	var out []networkFault
	for _, of := range []struct {
		name string
		*rig.Proxy
	}{{"ClickHouse", s.clickhouse}, {"PostgreSQL", s.postgres}} {
		name, p := of.name, of.Proxy
		out = append(
			out,
			networkFault{name + " hangs up", p.Cut},
			networkFault{name + " says no more", func() { p.HalfClose(true) }},
			networkFault{name + " hears no more", func() { p.HalfClose(false) }},
			networkFault{name + "'s answers are lost", noticed(func() { p.Mute(true) }, func() { p.Mute(false) })},
			networkFault{name + " is silent", noticed(p.Freeze, p.Thaw)},
			networkFault{name + " is far away", func() { p.Delay(20 * time.Millisecond); s.interlude(); p.Delay(0) }},
		)
	}
	return out
}

type networkFault struct {
	name string
	do   func()
}

// interlude is a second in which others work.
func (s *stall) interlude() { s.until(time.Second, nil) }

func (s *stall) interruptions() int { return strings.Count(s.Log(), "interrupted;") }

// TestStallsWhileLoading does to the connections of a bridge what networks do, in the midst of a first load and of a resync from
// the source, while the table changes. The bridge recovers by itself, and every row is there once.
func TestStallsWhileLoading(t *testing.T) {
	s, file := startLoadStall(t)
	w := s.startStubborn(seed(t))
	w.begin(changeWide)
	for i, f := range s.networkFaults() {
		t.Run("first load, "+f.name, func(t *testing.T) {
			if i > 0 { // a table that was out of the publication is loaded as if for the first time
				s.run("ALTER PUBLICATION tidemark DROP TABLE wide; ALTER PUBLICATION tidemark ADD TABLE wide")
			}
			s.copying()
			if _, live := s.store().newest(t).Tables["wide"]; live {
				t.Error("the table is there: nothing is being loaded for the first time")
			}
			s.suffer(t, f)
			s.right(t, w)
		})
	}
	s.await()
	for _, f := range s.networkFaults() {
		t.Run("resync, "+f.name, func(t *testing.T) {
			done := make(chan outcome, 1)
			go func() { done <- command(t, file, "resync", "--from-source", "--table", "public.wide") }() // ends with the load
			s.copying()
			s.suffer(t, f)
			if got := <-done; got.code != 0 { // a load of a live table that is broken off is asked for again
				t.Logf("exit code %d: %s", got.code, got.stderr)
				s.await()
				command(t, file, "resync", "--from-source", "--table", "public.wide").works(t)
			}
			s.right(t, w)
		})
	}
	w.stop()
	s.checkMarks("", 0)
	if n := s.interruptions(); n < len(s.networkFaults()) { // half of them
		t.Errorf("%d interruptions: most faults came to nothing", n)
	} else {
		t.Logf("%d interruptions", n)
	}
	if code := s.process.Terminate(); code != 0 {
		t.Errorf("exit code %d", code)
	}
}

// suffer does a thing and waits until the bridge is well again.
func (s *stall) suffer(t *testing.T, f networkFault) {
	t.Helper()
	began := time.Now()
	f.do()
	s.await()
	t.Logf("well after %v", time.Since(began).Round(time.Millisecond))
}

// right compares the view with the table while nobody writes.
func (s *stall) right(t *testing.T, w *stubborn) {
	t.Helper()
	w.rest()
	defer w.begin(changeWide)
	s.await()
	if err := s.compareRows(wideTable, "wide"); err != nil {
		t.Error(err)
	}
	if _, err := s.read(t.Context(), s.CH, ""); err != nil {
		t.Error(fmt.Errorf("audit: %w", err))
	}
}
