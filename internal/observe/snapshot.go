package observe

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/tidemark-db/tidemark/splitdate"
)

// Snapshot is everything that the page shows.
type Snapshot struct {
	Version  string        `json:"version"`
	Now      time.Time     `json:"now"`
	Started  time.Time     `json:"started"`
	State    string        `json:"state"` // starting, loading, held, running or interrupted
	NotReady []string      `json:"not_ready"`
	Mark     *MarkStatus   `json:"mark"`   // null before the first one of this process
	Source   *SourceStatus `json:"source"` // null before PostgreSQL was asked
	Tables   []TableStatus `json:"tables"`
	Jobs     []JobStatus   `json:"jobs"`     // the newest first
	Failures []Failure     `json:"failures"` // the newest first
	Points   []Point       `json:"points"`
}

// MarkStatus is the newest mark.
type MarkStatus struct {
	Term       uint64    `json:"term"`
	Epoch      uint64    `json:"epoch"`
	LSN        string    `json:"lsn"`
	CommitTime time.Time `json:"commit_time"`
}

// SourceStatus is what PostgreSQL said last.
type SourceStatus struct {
	Source
	LagBytes int64   `json:"lag_bytes"`
	Age      float64 `json:"seconds"` // since it said so
}

// TableStatus is one table. Dates are null for a mirrored table and for a side without rows.
type TableStatus struct {
	Table           string     `json:"table"`
	Loaded          bool       `json:"loaded"`
	Mirrored        bool       `json:"mirrored"`
	SplitDate       *time.Time `json:"split_date"`
	HistoricFrom    *time.Time `json:"historic_from"`
	HistoricRows    uint64     `json:"historic_rows"` // live: without the masked ones
	LateRows        uint64     `json:"late_rows"`
	RTRows          uint64     `json:"rt_rows"`
	Masks           uint64     `json:"masks"`
	HistoricChunks  int        `json:"historic_chunks"`
	RTChunks        int        `json:"rt_chunks"`
	Partitions      int        `json:"partitions"` // of HISTORIC
	DirtyPartitions int        `json:"dirty_partitions"`
	Proven          *time.Time `json:"proven"` // every partition was compared since then; null: some never was
	Differences     uint64     `json:"differing_rows"`
	Waiting         []string   `json:"waiting_partitions,omitempty"` // attached or gone in PostgreSQL, and not so here yet
	Held            *Failure   `json:"held,omitempty"`               // why queries of its view fail
}

// The states of a bridge.
const (
	starting    = "starting"
	loading     = "loading"
	held        = "held" // some tables are
	running     = "running"
	interrupted = "interrupted"
)

// Snapshot returns the present state, with the points of the charts after a serial.
func (o *Observer) Snapshot(after int64) Snapshot {
	o.mu.Lock()
	defer o.mu.Unlock()
	now := o.now()
	o.chart.at(now)
	s := Snapshot{
		Version: o.build.Version, Now: now, Started: o.started, State: o.state(), NotReady: o.notReady(now),
		Tables: o.tableStatus(), Jobs: []JobStatus{}, Failures: []Failure{}, Points: o.chart.since(after),
	}
	if m := o.mark; m.Epoch > 0 {
		s.Mark = &MarkStatus{Term: uint64(m.Term), Epoch: uint64(m.Epoch), LSN: m.LSN.String(), CommitTime: m.CommitTime}
	}
	if !o.sourced.IsZero() {
		s.Source = &SourceStatus{Source: o.source, LagBytes: o.lag(), Age: now.Sub(o.sourced).Seconds()}
	}
	for _, j := range slices.Backward(o.jobs) {
		s.Jobs = append(s.Jobs, j.status(now))
	}
	for _, f := range slices.Backward(o.failures) {
		s.Failures = append(s.Failures, f)
	}
	return s
}

func (o *Observer) state() string {
	switch {
	case !o.working && o.begun.IsZero():
		return starting
	case !o.working:
		return interrupted
	case len(o.held) > 0:
		return held
	case len(o.unloaded()) > 0:
		return loading
	}
	return running
}

// unloaded lists the tables that no mark holds yet.
func (o *Observer) unloaded() (names []string) {
	for _, t := range o.tables {
		if _, ok := o.mark.Tables[t.View]; !ok {
			names = append(names, t.Name)
		}
	}
	return names
}

// notReady says why queries through the views may not see all tables as of now; nothing means ready.
func (o *Observer) notReady(now time.Time) []string {
	reasons := []string{}
	if !o.working {
		reasons = append(reasons, "the bridge is not connected to both servers")
	}
	for _, name := range o.unloaded() {
		if f, held := o.held[name]; held {
			reasons = append(reasons, "table "+name+" is held: "+f.Error)
			continue
		}
		reasons = append(reasons, "table "+name+" is not loaded yet")
	}
	for _, t := range o.tables {
		if names := o.waiting[t.Name]; len(names) > 0 {
			reasons = append(reasons, fmt.Sprintf("table %s: partitions %s were attached, detached or truncated, and are yet to be read again", t.Name, strings.Join(names, ", ")))
		}
	}
	if since := now.Sub(o.ticked); o.working && since > o.patience {
		reasons = append(reasons, fmt.Sprintf("the last tick ended %s ago", since.Round(time.Second)))
	}
	return reasons
}

func (o *Observer) tableStatus() []TableStatus {
	out := make([]TableStatus, 0, len(o.tables))
	for _, t := range o.tables {
		state, loaded := o.mark.Tables[t.View]
		s := describe(t, state)
		s.Loaded, s.Waiting = loaded, o.waiting[t.Name]
		if f, held := o.held[t.Name]; held {
			s.Held = &f
		}
		proof := o.proofs[t.Name]
		if s.Differences = proof.Differences; !proof.Since.IsZero() {
			s.Proven = &proof.Since
		}
		out = append(out, s)
	}
	return out
}

func describe(t Table, state splitdate.Table) TableStatus {
	historic := state.Historic()
	s := TableStatus{
		Table: t.Name, Mirrored: state.Mirrored,
		HistoricRows: state.Rows(historic) - state.Rows(state.Masks), LateRows: state.Rows(state.Late), RTRows: state.Rows(state.RT),
		Masks: state.Rows(state.Masks), HistoricChunks: len(historic), RTChunks: len(state.RT),
		Partitions: len(partitions(t, state, historic)), DirtyPartitions: len(partitions(t, state, state.Dirty)),
	}
	if state.Mirrored || len(state.Chunks) == 0 && state.Split == 0 {
		return s
	}
	split := state.Split.Time()
	s.SplitDate = &split
	if len(historic) > 0 {
		first := splitdate.Never
		for _, c := range historic {
			first = min(first, state.Chunks[c].From)
		}
		from := first.Time()
		s.HistoricFrom = &from
	}
	return s
}

// partitions is the set of those that chunks of HISTORIC lie in.
func partitions(t Table, state splitdate.Table, chunks []splitdate.Chunk) map[int64]bool {
	out := map[int64]bool{}
	for _, c := range chunks {
		out[t.Partition(state.Chunks[c].To)] = true
	}
	return out
}
