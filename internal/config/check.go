package config

import (
	"slices"
	"time"
)

// check finds what is wrong about values that are each well written. It needs no server.
func (r *reader) check(c *Config) {
	r.required("source.dsn", string(c.Source.DSN), postgresTry)
	r.required("clickhouse.dsn", string(c.ClickHouse.DSN), clickHouseTry)
	r.atLeast("tick", c.Tick, 50*time.Millisecond)
	r.atLeast("rt_window", c.RTWindow, time.Millisecond)
	r.atLeast("split_step", c.SplitStep, time.Millisecond)
	r.atLeast("verify.last", c.Verify.Last, time.Second)
	r.atLeast("limits.max_query_age", c.Limits.MaxQueryAge, time.Second)
	r.atLeast("limits.max_snapshot_age", c.Limits.MaxSnapshotAge, time.Second)
	r.positive("limits.kept_bytes", int64(c.Limits.KeptBytes))
	r.positive("limits.late_rows", c.Limits.LateRows)
	r.positive("limits.copy_workers", int64(c.Limits.CopyWorkers))
	if r.good("split_step", "rt_window") && c.SplitStep > c.RTWindow {
		r.faultAt("split_step", "make it shorter; a step is a small part of the window", "%v is longer than rt_window (%v)", c.SplitStep, c.RTWindow)
	}
	r.checkTables(c)
}

func (r *reader) good(paths ...string) bool {
	return !slices.ContainsFunc(paths, func(path string) bool { return r.bad[path] })
}

func (r *reader) required(path, value, try string) {
	if value == "" && r.good(path) {
		r.faultAt(path, try, "is missing")
	}
}

func (r *reader) atLeast(path string, d, least time.Duration) {
	if d < least && r.good(path) {
		r.faultAt(path, "write "+least.String()+" or more", "%v is less than %v", d, least)
	}
}

func (r *reader) positive(path string, n int64) {
	if n < 1 && r.good(path) {
		r.faultAt(path, "write 1 or more", "%d is less than 1", n)
	}
}

func (r *reader) checkTables(c *Config) {
	aggregates := map[string]string{}
	for i := range c.Tables {
		t := &c.Tables[i]
		path := join("tables", t.Name.String())
		if t.Mirrored() {
			r.checkMirrored(path, t)
		} else {
			r.checkSplit(path, t, c)
			r.checkAges(path, t)
		}
		if p := join(path, "change_feed"); t.ChangeFeed > maxFeed {
			r.faultAt(p, "write 7d or less: what is kept longer belongs in a table of your own", "%v is more than 7d, for which marks are kept", t.ChangeFeed)
		}
		r.checkColumns(path, t)
		for j := range t.Aggregates {
			r.checkAggregate(join(path, "aggregates"), &t.Aggregates[j], aggregates)
		}
	}
}

func (r *reader) checkMirrored(path string, t *Table) {
	if !r.good(join(path, "date_column")) {
		return
	}
	const try = "add date_column, or remove this key"
	if p := join(path, "partition_by"); t.PartitionBy != "" {
		r.faultAt(p, try, "means nothing for a table without date_column")
	}
	for _, a := range append(t.ages(), age{"rt_window", t.RTWindow}) {
		if a.is != 0 {
			r.faultAt(join(path, a.key), try, "means nothing for a table without date_column")
		}
	}
}

// age is one of a table's ages of rows.
type age struct {
	key string
	is  time.Duration
}

func (t *Table) ages() []age { return []age{{keepKey, t.KeepOlderThan}, {"retain", t.Retain}} }

// maxFeed is how long the log keeps marks: what no mark has does not count.
const maxFeed = 7 * 24 * time.Hour

const keepKey = "deletes.keep_older_than"

// checkAges: what is kept or dropped by its age has settled.
func (r *reader) checkAges(path string, t *Table) {
	for _, a := range t.ages() {
		p := join(path, a.key)
		if _, written := r.origins[p]; written && a.is <= t.RTWindow && r.good(p, join(path, "rt_window")) {
			r.faultAt(p, "make it longer", "%v is not longer than rt_window (%v)", a.is, t.RTWindow)
		}
	}
	if p := join(path, "retain"); t.Retain != 0 && t.Retain <= t.KeepOlderThan && r.good(p, join(path, keepKey)) {
		r.faultAt(p, "make it longer, or remove "+keepKey, "%v is not longer than %s (%v), so that nothing would be kept", t.Retain, keepKey, t.KeepOlderThan)
	}
}

func (r *reader) checkSplit(path string, t *Table, c *Config) {
	window := join(path, "rt_window")
	if _, own := r.origins[window]; !own {
		return
	}
	r.atLeast(window, t.RTWindow, time.Millisecond)
	if r.good(window, "split_step") && t.RTWindow < c.SplitStep {
		r.faultAt(window, "make it longer, or split_step shorter", "%v is shorter than split_step (%v)", t.RTWindow, c.SplitStep)
	}
}

func (r *reader) checkColumns(path string, t *Table) {
	exclude, orderBy := join(path, "columns.exclude"), join(path, "order_by")
	r.noRepeats(exclude, t.Columns.Exclude)
	r.noRepeats(orderBy, t.OrderBy)
	for i, column := range t.Columns.Exclude {
		if slices.Contains(t.Columns.Exclude[:i], column) {
			continue
		}
		if column != "" && column == t.DateColumn {
			r.faultAt(exclude, "keep the column", "excludes %q, the date_column", column)
		}
		if slices.Contains(t.OrderBy, column) {
			r.faultAt(orderBy, "keep the column, or order by another", "has the column %q, which columns.exclude leaves out", column)
		}
		for key, named := range map[string]bool{"types": has(t.Columns.Types, column), "out_of_range": has(t.Columns.OutOfRange, column), "codecs": has(t.Columns.Codecs, column)} {
			if named {
				r.faultAt(join(path, join("columns."+key, quotePart(column))), "remove one of the two", "is about a column that columns.exclude leaves out")
			}
		}
	}
}

func has[V any](m map[string]V, key string) bool {
	_, ok := m[key]
	return ok
}

func (r *reader) noRepeats(path string, names []string) {
	for i, name := range names {
		if err := checkIdentifier(name); err != nil {
			r.faultAt(path, "write the names as PostgreSQL stores them", "%v", err)
		}
		if slices.Contains(names[:i], name) {
			r.faultAt(path, "name it once", "has %q twice", name)
		}
	}
}

// checkAggregate also finds two aggregates of one name: each is a view in the same database.
func (r *reader) checkAggregate(path string, a *Aggregate, seen map[string]string) {
	path = join(path, quotePart(a.Name))
	if other, taken := seen[a.Name]; taken {
		r.faultAt(path, "give one of them another name", "has the name of %s", other)
	}
	seen[a.Name] = path
	if len(a.Measures) == 0 && r.good(path, join(path, "measures")) {
		r.faultAt(path, "add e.g. measures: {rows: count()}", "has no measures")
	}
	for _, m := range a.Measures {
		if slices.ContainsFunc(a.By, func(k NamedExpr) bool { return k.Name == m.Name }) {
			r.faultAt(join(path, join("measures", quotePart(m.Name))), "give one of them another name", "has the name of a key in by")
		}
	}
}
