package observe

import (
	"slices"
	"sync"
	"time"

	"github.com/tidemark-db/tidemark/internal/config"
	"github.com/tidemark-db/tidemark/internal/fault"
	"github.com/tidemark-db/tidemark/splitdate"
)

// Table is a configured table as the bridge knows it.
type Table struct {
	Name      string                        // schema.table
	View      string                        // its name in the mark
	Partition func(splitdate.Instant) int64 // numbers the partition of HISTORIC that an instant belongs to
}

// Source is what PostgreSQL says of the slot and of itself.
type Source struct {
	Slot          string        `json:"slot"`
	WALStatus     string        `json:"wal_status"` // reserved, extended, unreserved, lost, or missing where there is no slot
	Active        bool          `json:"active"`     // somebody reads the slot
	RetainedBytes int64         `json:"retained_bytes"`
	Transactions  int64         `json:"held_transactions"` // age of the oldest transaction that vacuum heeds for the slot
	End           splitdate.LSN `json:"-"`                 // of the WAL
}

// Failure is an error that ended a session, or that holds a table.
type Failure struct {
	At    time.Time `json:"at"`
	Kind  string    `json:"kind"`            // names the heading of the runbook
	Table string    `json:"table,omitempty"` // that is held; "": it ended a session
	Error string    `json:"error"`
	Try   string    `json:"try"`
	Over  bool      `json:"over"` // the bridge works again, or a mark holds the table again
}

// failuresKept is how many failures the page lists.
const failuresKept = 10

// Observer is safe for concurrent use.
type Observer struct {
	build   Build
	now     func() time.Time
	started time.Time
	metrics *metrics

	mu       sync.Mutex
	patience time.Duration // the longest time between two ticks of a bridge that is well
	working  bool          // a session is open
	begun    time.Time     // of the session
	tables   []Table
	mark     splitdate.Mark
	ticked   time.Time           // when the last tick ended
	source   Source              // as PostgreSQL said at sourced
	sourced  time.Time           // zero: never
	proofs   map[string]Proof    // by table
	waiting  map[string][]string // partitions of a table that its view does not show as they are, by table
	jobs     []*Job              // running ones, and the latest that ended
	failures []Failure           // the newest last
	held     map[string]Failure  // why tables are held, by table
	chart    chart
}

// Build says which binary this is.
type Build struct{ Version, Revision, Go string }

// New returns the observer of a bridge that is starting.
func New(build Build) *Observer {
	o := &Observer{build: build, now: time.Now, started: time.Now(), proofs: map[string]Proof{}, waiting: map[string][]string{}, held: map[string]Failure{}}
	o.metrics = newMetrics(o)
	return o
}

// Started is when the process began to observe.
func (o *Observer) Started() time.Time { return o.started }

// leastPatience is how old the last tick may be, at least, before a bridge counts as not ready.
const leastPatience = 30 * time.Second

// Began says that a session works on the tables, a tick at a time. What ended the one before is over; a table that was held
// still is.
func (o *Observer) Began(tables []Table, mark splitdate.Mark, tick time.Duration) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.working, o.begun, o.ticked = true, o.now(), o.now()
	o.tables, o.mark, o.patience = tables, mark, max(leastPatience, 3*tick)
	for i := range o.failures {
		o.failures[i].Over = o.failures[i].Over || o.failures[i].Table == ""
	}
	o.release()
}

// release takes note of the tables that are held no longer: the mark holds them, or nobody wants them.
func (o *Observer) release() {
	unloaded := o.unloaded()
	for table := range o.held {
		if !slices.Contains(unloaded, table) {
			delete(o.held, table)
		}
	}
	for i, f := range o.failures {
		if _, held := o.held[f.Table]; f.Table != "" && !held {
			o.failures[i].Over = true
		}
	}
}

// Ended says that the session ended; err is nil when it was asked to.
func (o *Observer) Ended() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.working = false
}

// Failed counts an error that ended a session, and keeps it for the page. Errors that repeat are one failure.
func (o *Observer) Failed(kind string, err error) { o.fail(kind, "", err) }

// Held counts an error that holds a table, and keeps it until a mark holds the table again. It reports whether that is news.
func (o *Observer) Held(kind, table string, err error) (news bool) {
	o.mu.Lock()
	known, held := o.held[table]
	o.mu.Unlock()
	if held && known.Kind == kind && known.Error == config.RedactText(err.Error()) {
		return false
	}
	o.fail(kind, table, err)
	return true
}

func (o *Observer) fail(kind, table string, err error) {
	o.metrics.errors.WithLabelValues(kind).Inc()
	f := Failure{At: o.now(), Kind: kind, Table: table, Error: config.RedactText(err.Error()), Try: fault.Try(err)}
	o.mu.Lock()
	defer o.mu.Unlock()
	if table != "" {
		o.held[table] = f
	}
	if n := len(o.failures); n > 0 && !o.failures[n-1].Over && o.failures[n-1].Kind == kind && o.failures[n-1].Table == table {
		o.failures = o.failures[:n-1]
	}
	o.failures = append(o.failures, f)
	if extra := len(o.failures) - failuresKept; extra > 0 {
		o.failures = slices.Delete(o.failures, 0, extra)
	}
}

// Received counts what the stream delivered.
func (o *Observer) Received(changes, bytes int) {
	o.metrics.changes.Add(float64(changes))
	o.metrics.bytes.Add(float64(bytes))
	o.mu.Lock()
	defer o.mu.Unlock()
	o.chart.at(o.now()).changes += changes
}

// Published takes the mark that queries see from now on.
func (o *Observer) Published(m splitdate.Mark) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.mark = m
	o.release()
}

// Ticked takes note of a tick: how long it took, and the commit times of the transactions that its mark shows first, in
// the order of the stream. A tick that had nothing to publish only shows that the bridge is well.
func (o *Observer) Ticked(took time.Duration, published bool, commits []time.Time) {
	now := o.now()
	for _, at := range commits {
		o.metrics.freshness.Observe(age(now, at))
	}
	if published {
		o.metrics.ticks.Observe(took.Seconds())
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.ticked = now
	if published {
		o.chart.at(now).tick(took, now, commits)
	}
}

// age is in seconds, and never negative: the clocks of two machines differ.
func age(now, at time.Time) float64 { return max(0, now.Sub(at).Seconds()) }

// Looked takes what PostgreSQL said of the slot.
func (o *Observer) Looked(s Source) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if s.WALStatus == NoSlot && o.mark.LSN == 0 {
		return // a first start has yet to make it
	}
	o.source, o.sourced = s, o.now()
	p := o.chart.at(o.now())
	p.retained, p.lag = s.RetainedBytes, o.lag()
}

// lag is the WAL that PostgreSQL has and the newest mark has not, in bytes.
func (o *Observer) lag() int64 {
	if o.mark.LSN == 0 || o.source.End < o.mark.LSN {
		return 0
	}
	return int64(o.source.End - o.mark.LSN)
}

// Proof is what comparisons with PostgreSQL have found out about a table.
type Proof struct {
	Since       time.Time // every part was compared since then; zero: some never was
	Differences uint64    // rows that differed when their part was compared last
}

// Waiting takes the partitions that were attached to a table in PostgreSQL, or left it, and that its view does not show as
// they are yet.
func (o *Observer) Waiting(table string, partitions []string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.waiting[table] = partitions; len(partitions) == 0 {
		delete(o.waiting, table)
	}
}

// Proven takes the newest proof of a table.
func (o *Observer) Proven(table string, p Proof) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.proofs[table] = p
}
