package observe

import (
	"net/http"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// metrics are what is counted as it happens. What the newest mark, the slot and the clocks say is collected when
// Prometheus asks, by gauges.
type metrics struct {
	registry  *prometheus.Registry
	freshness prometheus.Histogram
	ticks     prometheus.Histogram
	jobs      *prometheus.HistogramVec
	changes   prometheus.Counter
	bytes     prometheus.Counter
	errors    *prometheus.CounterVec
}

func newMetrics(o *Observer) *metrics {
	m := &metrics{
		registry: prometheus.NewRegistry(),
		freshness: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name:    "tidemark_freshness_seconds",
			Help:    "Time from a transaction's commit in PostgreSQL, by its clock, to the mark that shows it, by ours.",
			Buckets: []float64{.1, .25, .5, .75, 1, 1.5, 2, 3, 5, 10, 30, 60, 300, 1800, 7200},
		}),
		ticks: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name:    "tidemark_tick_duration_seconds",
			Help:    "Time from the begin of a tick that published a mark to its end.",
			Buckets: []float64{.01, .025, .05, .1, .25, .5, 1, 2, 5, 10, 30, 60},
		}),
		jobs: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "tidemark_job_duration_seconds",
			Help:    "Time that a load, roll, fold or verify took, of those that did their work.",
			Buckets: prometheus.ExponentialBuckets(.05, 4, 10), // to 3.6 hours
		}, []string{"kind"}),
		changes: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "tidemark_changes_total", Help: "Row changes and truncates received from PostgreSQL.",
		}),
		bytes: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "tidemark_received_bytes_total", Help: "Memory that the received changes took once decoded.",
		}),
		errors: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "tidemark_errors_total", Help: "Errors that ended a session, by kind.",
		}, []string{"kind"}),
	}
	for _, kind := range []string{Load, Roll, Fold, Verify, Aggregate} {
		m.jobs.WithLabelValues(kind)
	}
	m.registry.MustRegister(m.freshness, m.ticks, m.jobs, m.changes, m.bytes, m.errors, newGauges(o),
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

// Kinds makes the counters of all kinds of errors exist, so that a rate over the first error of a kind is not lost.
func (o *Observer) Kinds(kinds []string) {
	for _, kind := range kinds {
		o.metrics.errors.WithLabelValues(kind)
	}
}

func (m *metrics) handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{})
}

// gauges reads the observer's snapshot when Prometheus asks.
type gauges struct {
	o *Observer

	build, ready, working                          *prometheus.Desc
	epoch, term, markAge, lag                      *prometheus.Desc
	retained, held, active, walStatus, sourceAge   *prometheus.Desc
	rows, chunks, masks, partitions, dirty, loaded *prometheus.Desc
	splitAge, unproven, differing                  *prometheus.Desc
	jobRows, jobTotal                              *prometheus.Desc
}

func newGauges(o *Observer) *gauges {
	desc := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc("tidemark_"+name, help, labels, nil)
	}
	return &gauges{
		o:          o,
		build:      desc("build_info", "Always 1; the labels say which binary this is.", "version", "revision", "goversion"),
		ready:      desc("ready", "1 if /readyz answers 200."),
		working:    desc("session_open", "1 while the bridge holds the lock and is connected to both servers."),
		epoch:      desc("mark_epoch", "Number of the newest mark."),
		term:       desc("mark_term", "Number of the writer's tenure."),
		markAge:    desc("mark_age_seconds", "Age of the last commit that the newest mark holds. Grows while PostgreSQL is idle."),
		lag:        desc("lag_bytes", "WAL that PostgreSQL has and the newest mark has not."),
		retained:   desc("slot_retained_bytes", "WAL that PostgreSQL keeps on its disk for the slot."),
		held:       desc("slot_held_transactions", "Age, in transactions, of the oldest one whose catalogue rows vacuum leaves for the slot."),
		active:     desc("slot_active", "1 if somebody reads the slot."),
		walStatus:  desc("slot_wal_status", "1 for the present wal_status of the slot, 0 for the others.", "status"),
		sourceAge:  desc("source_seen_seconds", "Time since PostgreSQL last answered about the slot."),
		rows:       desc("table_rows", "Live rows by side of the split.", "table", "side"),
		chunks:     desc("table_chunks", "Chunks by side of the split.", "table", "side"),
		masks:      desc("table_masks", "Masked rows of HISTORIC.", "table"),
		partitions: desc("table_partitions", "Partitions of HISTORIC.", "table"),
		dirty:      desc("table_dirty_partitions", "Partitions of HISTORIC with masked rows.", "table"),
		loaded:     desc("table_loaded", "1 if the newest mark holds the table.", "table"),
		splitAge:   desc("table_split_age_seconds", "Time since the split date.", "table"),
		unproven:   desc("table_unproven_seconds", "Time since the partition that was compared longest ago was compared with PostgreSQL, or since the start of the process if some never was.", "table"),
		differing:  desc("table_differing_rows", "Rows that differed from PostgreSQL when their part was compared last, and were not repaired since.", "table"),
		jobRows:    desc("job_rows", "Rows that the running job has gone through.", "kind", "table"),
		jobTotal:   desc("job_expected_rows", "Rows that the running job has to go through, 0 if not known.", "kind", "table"),
	}
}

// NoSlot stands for the wal_status of a slot that there is not.
const NoSlot = "missing"

// walStatuses are those of pg_replication_slots, and NoSlot.
var walStatuses = []string{"reserved", "extended", "unreserved", "lost", NoSlot}

// Describe implements prometheus.Collector.
func (g *gauges) Describe(out chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{
		g.build, g.ready, g.working, g.epoch, g.term, g.markAge, g.lag, g.retained, g.held, g.active, g.walStatus, g.sourceAge,
		g.rows, g.chunks, g.masks, g.partitions, g.dirty, g.loaded, g.splitAge, g.unproven, g.differing, g.jobRows, g.jobTotal,
	} {
		out <- d
	}
}

// sample is one value of a gauge.
type sample func(desc *prometheus.Desc, value float64, labels ...string)

// Collect implements prometheus.Collector.
func (g *gauges) Collect(out chan<- prometheus.Metric) {
	s := g.o.Snapshot(latest)
	send := func(desc *prometheus.Desc, value float64, labels ...string) {
		out <- prometheus.MustNewConstMetric(desc, prometheus.GaugeValue, value, labels...)
	}
	b := g.o.build
	send(g.build, 1, b.Version, b.Revision, b.Go)
	send(g.ready, truth(len(s.NotReady) == 0))
	send(g.working, truth(s.State == loading || s.State == running))
	if m := s.Mark; m != nil {
		send(g.epoch, float64(m.Epoch))
		send(g.term, float64(m.Term))
		send(g.markAge, age(s.Now, m.CommitTime))
	}
	if s.Source != nil {
		g.collectSource(send, s.Source)
	}
	for _, t := range s.Tables {
		g.collectTable(send, s, t)
	}
	seen := map[[2]string]bool{} // Prometheus takes one value for a label set
	for _, j := range s.Jobs {
		if id := [2]string{j.Kind, j.Table}; j.Ended == nil && !seen[id] {
			seen[id] = true
			send(g.jobRows, float64(j.Done), j.Kind, j.Table)
			send(g.jobTotal, float64(j.Total), j.Kind, j.Table)
		}
	}
}

func (g *gauges) collectSource(send sample, s *SourceStatus) {
	send(g.lag, float64(s.LagBytes))
	send(g.retained, float64(s.RetainedBytes))
	send(g.held, float64(s.Transactions))
	send(g.active, truth(s.Active))
	send(g.sourceAge, s.Age)
	for _, status := range walStatuses {
		send(g.walStatus, truth(status == s.WALStatus), status)
	}
}

func (g *gauges) collectTable(send sample, s Snapshot, t TableStatus) {
	send(g.loaded, truth(t.Loaded), t.Table)
	send(g.rows, float64(t.RTRows), t.Table, "rt")
	send(g.rows, float64(t.HistoricRows), t.Table, "historic")
	send(g.rows, float64(t.LateRows), t.Table, "late")
	send(g.chunks, float64(t.RTChunks), t.Table, "rt")
	send(g.chunks, float64(t.HistoricChunks), t.Table, "historic")
	send(g.masks, float64(t.Masks), t.Table)
	send(g.partitions, float64(t.Partitions), t.Table)
	send(g.dirty, float64(t.DirtyPartitions), t.Table)
	if t.SplitDate != nil {
		send(g.splitAge, age(s.Now, *t.SplitDate), t.Table)
	}
	since := s.Started
	if t.Proven != nil {
		since = *t.Proven
	}
	send(g.unproven, age(s.Now, since), t.Table)
	send(g.differing, float64(t.Differences), t.Table)
}

func truth(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
