// Package observe keeps what people and machines want to know of a running bridge, and serves it: metrics for
// Prometheus, a status page, and the two probes.
//
//	internal/bridge ──calls after each mark, tick, job, failure──▶ Observer ──▶ /metrics  counters, histograms, gauges
//	                                                                       ├──▶ /status.json, and the page that reads it
//	                                                                       └──▶ /healthz, /readyz
//
// It owns counters, the points of the charts, the jobs and the failures of this process. It does not own the state that
// queries see: that is the newest mark, of which it keeps the value that was published last. Nothing of it survives the
// process, and nothing reads it back: an Observer that is wrong misleads a person, never the bridge.
//
// The bridge calls it from its loop, so no call waits: there is one mutex, held for a few assignments. What has to be
// computed from the mark (rows by side, dirty partitions) is computed when somebody looks.
package observe
