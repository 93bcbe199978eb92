package observe

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"

	"github.com/tidemark-db/tidemark/internal/fault"
	"github.com/tidemark-db/tidemark/splitdate"
)

// clock is a clock that tests turn.
type clock struct{ now time.Time }

func (c *clock) turn(d time.Duration) { c.now = c.now.Add(d) }

// at12 is an observer whose clock stands at noon.
func at12() (*Observer, *clock) {
	c := &clock{time.Date(2024, 11, 22, 12, 0, 0, 0, time.UTC)}
	o := New(Build{Version: "v1.2.3", Revision: "abc", Go: "go1.26"})
	o.now, o.started = func() time.Time { return c.now }, c.now
	return o, c
}

func daily(at splitdate.Instant) int64 { return int64(at.Time().YearDay()) }

var tables = []Table{{"public.sales", "sales", daily}, {"public.stores", "stores", daily}}

// sales has three partitions of HISTORIC, one of them dirty with two masked rows.
func sales(noon time.Time) splitdate.Table {
	day := func(n int) splitdate.Instant { return splitdate.InstantOf(noon.AddDate(0, 0, -n)) }
	return splitdate.Table{
		Split: splitdate.InstantOf(noon.Add(-30 * time.Minute)),
		Clean: []splitdate.Chunk{1, 2, 3}, Dirty: []splitdate.Chunk{4}, Masks: []splitdate.Chunk{5}, Late: []splitdate.Chunk{6}, RT: []splitdate.Chunk{7},
		Chunks: map[splitdate.Chunk]splitdate.Meta{
			1: {Rows: 100, From: day(3), To: day(3)}, 2: {Rows: 10, From: day(2), To: day(2)}, 3: {Rows: 1, From: day(2), To: day(2)},
			4: {Rows: 50, From: day(1), To: day(1)}, 5: {Rows: 2}, 6: {Rows: 2, From: day(1), To: day(1)}, 7: {Rows: 9, From: day(0), To: splitdate.Never},
		},
	}
}

func TestTables(t *testing.T) {
	o, c := at12()
	mark := splitdate.Mark{Term: 2, Epoch: 7, LSN: 0x100, CommitTime: c.now, Tables: map[string]splitdate.Table{"sales": sales(c.now)}}
	o.Began(tables, mark, time.Second)
	s := o.Snapshot(0)
	if s.State != loading || !slices.Equal(s.NotReady, []string{"table public.stores is not loaded yet"}) {
		t.Errorf("%s, %q", s.State, s.NotReady)
	}
	mark.Tables["stores"] = splitdate.Table{Mirrored: true}
	o.Published(mark)
	proven := c.now.Add(-time.Hour)
	o.Proven("public.sales", Proof{Since: proven})
	s = o.Snapshot(0)
	if s.State != running || len(s.NotReady) > 0 {
		t.Errorf("%s, %q", s.State, s.NotReady)
	}
	from := c.now.AddDate(0, 0, -3)
	split := c.now.Add(-30 * time.Minute)
	want := TableStatus{
		Table: "public.sales", Loaded: true, SplitDate: &split, HistoricFrom: &from, HistoricRows: 159, LateRows: 2, RTRows: 9, Masks: 2,
		HistoricChunks: 4, RTChunks: 1, Partitions: 3, DirtyPartitions: 1, Proven: &proven,
	}
	if got, want := text(t, s.Tables[0]), text(t, want); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if got, want := text(t, s.Tables[1]), text(t, TableStatus{Table: "public.stores", Loaded: true, Mirrored: true}); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func text(t *testing.T, v any) string {
	t.Helper()
	raw, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

// TestReady goes through every reason for which a bridge is not ready.
func TestReady(t *testing.T) {
	o, c := at12()
	ready := func(want int, text string) {
		t.Helper()
		if code, body := get(t, o, "/readyz"); code != want || strings.TrimSpace(body) != text {
			t.Errorf("%d %q, want %d %q", code, body, want, text)
		}
		if code, _ := get(t, o, "/healthz"); code != http.StatusOK {
			t.Errorf("healthz answers %d", code)
		}
	}
	const apart = "the bridge is not connected to both servers"
	ready(503, apart)
	o.Began(tables[:1], splitdate.Mark{}, time.Second)
	ready(503, "table public.sales is not loaded yet")
	o.Published(splitdate.Mark{Epoch: 1, Tables: map[string]splitdate.Table{"sales": {}}})
	ready(200, "ready")
	c.turn(leastPatience)
	ready(200, "ready")
	c.turn(time.Second)
	ready(503, "the last tick ended 31s ago")
	o.Ticked(0, false, nil)
	ready(200, "ready")
	o.Ended()
	ready(503, apart)
	o.Began(tables[:1], splitdate.Mark{Epoch: 1, Tables: map[string]splitdate.Table{"sales": {}}}, time.Minute)
	c.turn(3 * time.Minute)
	ready(200, "ready")
}

func get(t *testing.T, o *Observer, path string) (int, string) {
	t.Helper()
	mux := http.NewServeMux()
	o.Register(mux)
	w := httptest.NewRecorder()
	mux.ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
	return w.Code, w.Body.String()
}

// TestChart sees that what happens within 5 seconds becomes one point, that time without events makes points too, and that
// no more than 30 minutes are kept.
func TestChart(t *testing.T) {
	o, c := at12()
	ago := func(list ...time.Duration) (times []time.Time) {
		for _, d := range list {
			times = append(times, c.now.Add(-d))
		}
		return times
	}
	o.Received(40, 1000)
	o.Ticked(20*time.Millisecond, true, ago(900*time.Millisecond, 500*time.Millisecond, 100*time.Millisecond))
	c.turn(time.Second)
	o.Received(10, 1000)
	o.Ticked(40*time.Millisecond, true, ago(3*time.Second, time.Second, -time.Second))
	o.Published(splitdate.Mark{Epoch: 1, LSN: 100})
	o.Looked(Source{RetainedBytes: 1000, End: 150})
	c.turn(9 * time.Second)
	points := o.Snapshot(0).Points
	serial := c.now.Unix()/5 - 2
	want := `[{"serial":S,"at":T,"fresh":1,"fresh_most":3,"tick":0.04,"tick_most":0.04,"changes":10,"lag":50,"retained":1000},` +
		`{"serial":S+1,"at":T+5,"fresh":null,"fresh_most":null,"tick":null,"tick_most":null,"changes":0,"lag":50,"retained":1000}]`
	got := strings.NewReplacer(text(t, serial+1), "S+1", text(t, serial), "S", text(t, serial*5+5), "T+5", text(t, serial*5), "T").Replace(text(t, points))
	if got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if rest := o.Snapshot(serial).Points; len(rest) != 1 || rest[0].Serial != serial+1 {
		t.Errorf("after %d: %+v", serial, rest)
	}
	c.turn(24 * time.Hour)
	if points := o.Snapshot(0).Points; len(points) != pointsKept || points[pointsKept-1].Serial != c.now.Unix()/5-1 {
		t.Errorf("%d points", len(points))
	}
}

func TestJobs(t *testing.T) {
	o, c := at12()
	fold := o.Begin(Fold, "public.sales", 0)
	fold.Advance(100, 1000)
	fold.Add(100)
	c.turn(10 * time.Second)
	s := o.Snapshot(0).Jobs[0]
	if s.Done != 200 || s.Rate != 20 || s.Left != 40 || s.Ended != nil {
		t.Errorf("%+v", s)
	}
	fold.Add(5000)
	if s := o.Snapshot(0).Jobs[0]; s.Done != 1000 {
		t.Errorf("%+v", s)
	}
	fold.End(errors.New("no"))
	fold.End(nil)
	if s := o.Snapshot(0).Jobs[0]; !s.Failed || s.Ended == nil || s.Seconds != 10 {
		t.Errorf("%+v", s)
	}
	long := o.Begin(Load, "public.stores", 0)
	for range 2 * jobsKept {
		o.Begin(Fold, "public.sales", 0).End(nil)
	}
	jobs := o.Snapshot(0).Jobs
	if len(jobs) != jobsKept+1 || jobs[jobsKept].Kind != Load {
		t.Errorf("%d jobs: %+v", len(jobs), jobs)
	}
	long.End(nil)
	var none *Job
	none.Advance(1, 1)
	none.Add(1)
	none.End(nil)
}

// TestFailures sees that a failure that repeats is one, that it is over once the bridge works, and that no password is shown.
func TestFailures(t *testing.T) {
	o, _ := at12()
	for range 3 {
		o.Failed("unreachable", fault.New("start it", "connect to postgres://u:CANARY@h/shop: refused"))
	}
	o.Failed("gap", errors.New("rows missing"))
	failures := o.Snapshot(0).Failures
	if len(failures) != 2 || failures[0].Kind != "gap" || failures[1].Try != "start it" || failures[1].Over {
		t.Errorf("%+v", failures)
	}
	if strings.Contains(text(t, failures), "CANARY") {
		t.Errorf("shows the password: %+v", failures)
	}
	o.Began(nil, splitdate.Mark{}, time.Second)
	o.Failed("unreachable", errors.New("again"))
	failures = o.Snapshot(0).Failures
	if len(failures) != 3 || failures[0].Over || !failures[1].Over || !failures[2].Over {
		t.Errorf("%+v", failures)
	}
	o.Began(tables[:1], splitdate.Mark{}, time.Second)
	o.Held("bad_value", "public.sales", fault.New("correct it", "a value of public.sales"))
	o.Published(splitdate.Mark{Epoch: 1})
	o.Began(tables[:1], splitdate.Mark{Epoch: 1}, time.Second)
	s := o.Snapshot(0)
	if f := s.Failures[0]; f.Over || s.Tables[0].Held == nil || s.Tables[0].Held.Try != "correct it" || s.State != held {
		t.Errorf("%s, over while the table is held: %+v", s.State, f)
	}
	if want := []string{"table public.sales is held: a value of public.sales"}; !slices.Equal(s.NotReady, want) {
		t.Errorf("not ready: %q", s.NotReady)
	}
	o.Published(splitdate.Mark{Epoch: 2, Tables: map[string]splitdate.Table{"sales": {}}})
	if s := o.Snapshot(0); !s.Failures[0].Over || s.Tables[0].Held != nil || s.State != running {
		t.Errorf("not over with the table: %+v", s)
	}
	for range failuresKept {
		o.Failed("gap", errors.New("x"))
		o.Failed("fenced", errors.New("y"))
	}
	if n := len(o.Snapshot(0).Failures); n != failuresKept {
		t.Errorf("%d failures", n)
	}
}

// busy is an observer that has seen everything there is a metric for.
func busy() *Observer {
	o, c := at12()
	o.Kinds([]string{"gap", "unreachable"})
	o.Began(tables, splitdate.Mark{Term: 1, Epoch: 3, LSN: 10, CommitTime: c.now, Tables: map[string]splitdate.Table{"sales": sales(c.now)}}, time.Second)
	o.Received(3, 100)
	o.Ticked(time.Second, true, []time.Time{c.now.Add(-time.Second)})
	o.Looked(Source{WALStatus: "reserved", Active: true, RetainedBytes: 10, Transactions: 7, End: 20})
	o.Failed("gap", errors.New("rows missing"))
	o.Rolled(time.Second)
	o.Begin(Fold, "public.sales", 100)
	o.Begin(Fold, "public.sales", 50)
	return o
}

// TestMetricNames holds the metrics to Prometheus' naming conventions.
func TestMetricNames(t *testing.T) {
	code, body := get(t, busy(), "/metrics")
	if code != http.StatusOK {
		t.Fatalf("%d: %s", code, body)
	}
	problems, err := promlint.New(strings.NewReader(body)).Lint()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
}

func TestMetricValues(t *testing.T) {
	_, body := get(t, busy(), "/metrics")
	for _, want := range []string{
		`tidemark_build_info{goversion="go1.26",revision="abc",version="v1.2.3"} 1`,
		"tidemark_ready 0", "tidemark_session_open 1", "tidemark_mark_epoch 3", "tidemark_mark_term 1", "tidemark_mark_age_seconds 0",
		"tidemark_lag_bytes 10", "tidemark_slot_retained_bytes 10", "tidemark_slot_held_transactions 7", "tidemark_slot_active 1",
		`tidemark_slot_wal_status{status="reserved"} 1`, `tidemark_slot_wal_status{status="lost"} 0`,
		`tidemark_table_rows{side="historic",table="public.sales"} 159`, `tidemark_table_rows{side="late",table="public.sales"} 2`,
		`tidemark_table_rows{side="rt",table="public.sales"} 9`, `tidemark_table_masks{table="public.sales"} 2`,
		`tidemark_table_dirty_partitions{table="public.sales"} 1`, `tidemark_table_partitions{table="public.sales"} 3`,
		`tidemark_table_loaded{table="public.stores"} 0`, `tidemark_table_split_age_seconds{table="public.sales"} 1800`,
		`tidemark_table_unproven_seconds{table="public.sales"} 0`,
		"tidemark_changes_total 3", "tidemark_received_bytes_total 100", `tidemark_errors_total{kind="gap"} 1`, `tidemark_errors_total{kind="unreachable"} 0`,
		`tidemark_freshness_seconds_bucket{le="1"} 1`, "tidemark_tick_duration_seconds_sum 1", `tidemark_job_duration_seconds_sum{kind="roll"} 1`,
		`tidemark_job_expected_rows{kind="fold",table="public.sales"} 50`,
	} {
		if !strings.Contains(body, "\n"+want+"\n") {
			t.Errorf("no %s in\n%s", want, body)
		}
	}
}

func TestStatusArguments(t *testing.T) {
	o, _ := at12()
	if code, _ := get(t, o, "/status.json?after=x"); code != http.StatusBadRequest {
		t.Errorf("answers %d", code)
	}
	if code, body := get(t, o, "/status.json?after=9223372036854775807"); code != http.StatusOK || !json.Valid([]byte(body)) {
		t.Errorf("answers %d %s", code, body)
	}
}
