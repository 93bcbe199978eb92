package observe

import (
	"slices"
	"sync/atomic"
	"time"
)

// Kinds of jobs, as the metrics and the page name them.
const (
	Load   = "load"
	Roll   = "roll"
	Fold   = "fold"
	Verify = "verify"

	Aggregate = "aggregate" // the states of one that was declared; its name stands for the table's
)

// Job is something that takes longer than a tick. Its methods are safe for concurrent use, and may be called on nil.
type Job struct {
	o     *Observer
	kind  string
	table string
	begun time.Time
	done  atomic.Int64 // rows
	total atomic.Int64 // rows, 0 where it is not known

	// Under the observer's mutex:
	ended  time.Time // zero: running
	failed bool
	phase  string
	rng    string    // of dates, "" is all of the table
	parts  int       // that wait after this one
	slot   string    // LSN of its barrier, "" is none
	held   time.Time // when the barrier was made
}

// jobsKept is how many jobs that ended the page lists.
const jobsKept = 8

// Begin says that a job began; total is the number of rows it has to go through, 0 where that is not known.
func (o *Observer) Begin(kind, table string, total int64) *Job {
	j := &Job{o: o, kind: kind, table: table, begun: o.now()}
	j.total.Store(total)
	o.mu.Lock()
	defer o.mu.Unlock()
	o.jobs = append(o.jobs, j)
	return j
}

// Advance says how many of how many rows are done.
func (j *Job) Advance(done, total int64) {
	if j != nil {
		j.done.Store(done)
		j.total.Store(total)
	}
}

// Done says how many rows are done.
func (j *Job) Done(rows int64) {
	if j != nil {
		j.done.Store(rows)
	}
}

// Part says which range of the table's dates the job is about, and how many parts wait after it.
func (j *Job) Part(rng string, waiting int) {
	j.set(func() { j.rng, j.parts = rng, waiting })
}

// Enter says what the job does now.
func (j *Job) Enter(phase string) { j.set(func() { j.phase = phase }) }

// Hold says at which LSN the job keeps a slot and a snapshot at PostgreSQL; "" is that it lets go of them.
func (j *Job) Hold(lsn string) { j.set(func() { j.slot, j.held = lsn, j.o.now() }) }

func (j *Job) set(change func()) {
	if j != nil {
		j.o.mu.Lock()
		defer j.o.mu.Unlock()
		change()
	}
}

// Add says that so many rows more are done.
func (j *Job) Add(rows int64) {
	if j != nil {
		j.done.Add(rows)
	}
}

// End says that the job is over; err is why it did not do its work. Only the first End counts.
func (j *Job) End(err error) {
	if j == nil {
		return
	}
	o := j.o
	o.mu.Lock()
	defer o.mu.Unlock()
	if !j.ended.IsZero() {
		return
	}
	j.ended, j.failed = o.now(), err != nil
	if err == nil {
		o.metrics.jobs.WithLabelValues(j.kind).Observe(j.ended.Sub(j.begun).Seconds())
	}
	o.forgetJobs()
}

// Rolled counts a roll, which is done between two ticks and so is nothing to watch.
func (o *Observer) Rolled(took time.Duration) {
	o.metrics.jobs.WithLabelValues(Roll).Observe(took.Seconds())
}

// forgetJobs drops the oldest of the jobs that ended.
func (o *Observer) forgetJobs() {
	ended := 0
	for _, j := range slices.Backward(o.jobs) {
		if j.ended.IsZero() {
			continue
		}
		if ended++; ended > jobsKept {
			o.jobs = slices.DeleteFunc(o.jobs, func(other *Job) bool { return other == j })
		}
	}
}

// JobStatus is a job as the page shows it.
type JobStatus struct {
	Kind    string     `json:"kind"`
	Table   string     `json:"table"`
	Begun   time.Time  `json:"begun"`
	Ended   *time.Time `json:"ended"`
	Failed  bool       `json:"failed"`
	Done    int64      `json:"rows_done"`
	Total   int64      `json:"rows_total"` // 0: not known
	Rate    float64    `json:"rows_per_second"`
	Seconds float64    `json:"seconds"` // since it began, or that it took
	Left    float64    `json:"seconds_left"`
	Phase   string     `json:"phase,omitempty"`
	Range   string     `json:"range,omitempty"` // of dates, where it is a part of the table
	Parts   int        `json:"parts_left,omitempty"`
	Slot    string     `json:"slot_lsn,omitempty"`     // from which a slot of the job's own keeps WAL
	Held    float64    `json:"held_seconds,omitempty"` // for how long it has kept a snapshot, which holds back vacuum
}

func (j *Job) status(now time.Time) JobStatus {
	s := JobStatus{Kind: j.kind, Table: j.table, Begun: j.begun, Failed: j.failed, Done: j.done.Load(), Total: j.total.Load()}
	s.Phase, s.Range, s.Parts, s.Slot = j.phase, j.rng, j.parts, j.slot
	if j.slot != "" {
		s.Held = now.Sub(j.held).Seconds()
	}
	if !j.ended.IsZero() {
		now, s.Ended = j.ended, &j.ended
	}
	s.Seconds = now.Sub(j.begun).Seconds()
	if s.Total > 0 {
		s.Done = min(s.Done, s.Total) // what a server reports as read may be more
	}
	if s.Seconds > 0 {
		s.Rate = float64(s.Done) / s.Seconds
	}
	if s.Rate > 0 && s.Total > s.Done {
		s.Left = float64(s.Total-s.Done) / s.Rate
	}
	return s
}
