package e2e

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/tidemark-db/tidemark/internal/bridge"
	"github.com/tidemark-db/tidemark/internal/config"
)

// declaredRows is the table rows of caseTables with aggregates: ids 1 to 99 and 201 to 299 are settled, 101 to 199 fresh.
func declaredRows(list ...declared) audited {
	rows := caseTables()[0]
	rows.aggregates = list
	return rows
}

var (
	rowsByDay = declared{
		name: "rows_by_day", keys: []column{{"day", "toDate(d, 'UTC')"}}, measures: []column{{"n", "count()"}, {"v", "sum(v)"}, {"most", "max(v)"}},
		postgres: "SELECT coalesce((d AT TIME ZONE 'UTC')::date::text, '~') || '|' || count(*) || '|' || sum(v) || '|' || max(v) FROM rows GROUP BY (d AT TIME ZONE 'UTC')::date",
	}
	rowsInAll = declared{
		name: "rows_in_all", measures: []column{{"v", "sum(v)"}, {"ids", "uniqExact(id)"}}, where: "id != 7",
		postgres: "SELECT sum(v) || '|' || count(DISTINCT id) FROM rows WHERE id <> 7",
	}
)

// TestAggregateControl takes from copies of a view what makes it right, and sees the comparison find out.
func TestAggregateControl(t *testing.T) {
	t.Parallel()
	r := newAuditRig(t, declaredRows(rowsByDay, rowsInAll))
	b := r.Run(r.config("tick: 50ms\nrt_window: 1h\nschedule: {roll: \"\", resync: \"\"}"), bridge.Options{})
	r.await()
	r.awaitAggregates()
	r.commit(`UPDATE rows SET v = 0 WHERE id = 1; DELETE FROM rows WHERE id = 2; INSERT INTO rows VALUES (1000, '2024-01-01', 1, 'x'); UPDATE rows SET v = 5 WHERE id = 101`)
	r.compare()
	r.compareAggregates()
	for _, c := range []struct {
		name  string
		cut   func(statement string) string
		wrong bool
	}{
		{"whole", func(s string) string { return s }, false},
		{"without_masks", func(s string) string { return cutLines(s, "AND (`_chunk`, identity(", 0, 2) }, true},
		{"without_rt", func(s string) string { return strings.Replace(s, ", (`_mark`.5)['rows'].rt)", ")", 1) }, true},
		{"without_dirty", func(s string) string { return replaceOnce(s, "IN (`_mark`", ".dirty)", "IN [0] AND 1 IN (`_mark`") }, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			prefix := c.name + "_"
			r.createVariant(b, "rows", prefix, func(s string) string { return s })
			for _, g := range r.tables[0].aggregates {
				r.createVariant(b, g.name, prefix, c.cut)
			}
			_, err := r.read(t.Context(), r.CH, prefix)
			if errors.Is(err, errAudit) != c.wrong || !c.wrong && err != nil {
				t.Errorf("found out %v, want it to: %v", err, c.wrong)
			}
		})
	}
	_ = b.Stop()
}

// replaceOnce replaces a text in the first line that has both it and another one.
func replaceOnce(text, part, other, by string) string {
	lines := strings.Split(text, "\n")
	at := slices.IndexFunc(lines, func(line string) bool { return strings.Contains(line, part) && strings.Contains(line, other) })
	if at < 0 {
		return "no line with " + part
	}
	lines[at] = strings.Replace(lines[at], part, by, 1)
	return strings.Join(lines, "\n")
}

// TestAggregateFilters makes sure that filters on keys reach the primary key of the states, and the rows of dirty
// chunks.
func TestAggregateFilters(t *testing.T) {
	t.Parallel()
	r := newAuditRig(t, declaredRows(rowsByDay))
	b := r.Run(r.config("tick: 50ms\nrt_window: 1h\nschedule: {roll: \"\", resync: \"\"}"), bridge.Options{})
	r.await()
	r.awaitAggregates()
	queries := []string{
		"SELECT v FROM %s.rows_by_day WHERE day = '2024-02-29'",
		"SELECT sum(v) FROM %s.rows_by_day WHERE day >= '2024-02-29' AND n > 1",
		"SELECT * FROM (SELECT day, sum(n) FROM %s.rows_by_day GROUP BY day) WHERE day < '2024-03-01'",
	}
	for _, query := range queries {
		r.needs(query, "PrimaryKey rows_by_day_chunks", "(day in ")
	}
	r.commit(`UPDATE rows SET v = 0 WHERE id = 1`) // the only chunk of HISTORIC is dirty now
	for _, query := range queries {
		r.needs(query, "Min-Max rows_chunks", "toDate(d, 'UTC') in ")
	}
	_ = b.Stop()
}

// needs makes sure that a query reads a table by an index whose condition has a part.
func (r *auditRig) needs(query, index, part string) {
	r.t.Helper()
	if plan := r.explain(fmt.Sprintf(query, r.Name)); !strings.Contains(plan[index], part) {
		r.t.Errorf("%s: %s has %q, want %q in it; all of %v", query, index, plan[index], part, plan)
	}
}

// explain returns the conditions by which a query reads, by index and table.
func (r *auditRig) explain(query string) map[string]string {
	r.t.Helper()
	rows, err := r.CH.Query(r.t.Context(), "EXPLAIN indexes = 1 "+query)
	if err != nil {
		r.t.Fatal(err)
	}
	defer rows.Close()
	out := map[string]string{}
	table, index := "", ""
	for rows.Next() {
		var line string
		if err := rows.Scan(&line); err != nil {
			r.t.Fatal(err)
		}
		line = strings.TrimLeft(line, " │├└─")
		if _, read, ok := strings.Cut(line, "ReadFromMergeTree ("); ok {
			_, table, _ = strings.Cut(strings.TrimSuffix(read, ")"), ".")
		}
		if slices.Contains([]string{"Min-Max", "Partition", "PrimaryKey"}, line) {
			index = line
		}
		if condition, ok := strings.CutPrefix(line, "Condition: "); ok && out[index+" "+table] == "" {
			out[index+" "+table] = condition
		}
	}
	return out
}

// TestAggregateReload declares, changes and removes aggregates of a running bridge while rows of any age change. At each
// moment a view is exact or answers with an error.
func TestAggregateReload(t *testing.T) {
	t.Parallel()
	full := aggregatedTables("history", "products")
	first := slices.Clone(full)
	first[0].aggregates = full[0].aggregates[:1]
	first[1].aggregates = nil
	r := newAuditRig(t, first...)
	w := r.start(seed(t))
	reloads := make(chan *config.Config)
	b := r.Run(r.config(lateSettings), bridge.Options{Reloads: reloads})
	r.await()
	r.awaitAggregates()

	changed := slices.Clone(full)
	changed[0].aggregates = slices.Clone(full[0].aggregates[:4])
	changed[0].aggregates[0].where = "v % 2 = 0"
	changed[0].aggregates[0].postgres = strings.Replace(changed[0].aggregates[0].postgres, "GROUP BY", "WHERE v % 2 = 0 GROUP BY", 1)
	for _, step := range []struct {
		name    string
		tables  []audited
		changes bool
	}{{"added", full, false}, {"changed and removed", changed, true}} {
		t.Run(step.name, func(t *testing.T) {
			before := r.definition("history_by_instant")
			r.tables = step.tables
			r.reload(b.Done(), reloads)
			if step.changes { // until then the old view answers, exactly by the old definition
				r.Eventually(slow, "the new definition", func(context.Context) error {
					if r.definition("history_by_instant") == before {
						return errors.New("the mark holds the old one")
					}
					return nil
				})
			}
			r.watchAggregates(t)
		})
	}
	w.stop()
	r.compare()
	r.compareAggregates()
	r.noTrace(full[0].aggregates[4].name)
	_ = b.Stop()
}

// reload has the bridge take the configuration of the rig's tables.
func (r *auditRig) reload(ended <-chan error, reloads chan<- *config.Config) {
	r.t.Helper()
	cfg, err := config.Load(r.config(lateSettings), func(string) (string, bool) { return "", false }, nil)
	if err != nil {
		r.t.Fatal(err)
	}
	select {
	case reloads <- cfg:
	case err := <-ended:
		r.t.Fatalf("the bridge ended: %v", err)
	}
}

// definition identifies that of an aggregate in the newest mark, "" where it is not in there.
func (r *auditRig) definition(name string) (definition string) {
	r.t.Helper()
	query := fmt.Sprintf("SELECT aggregates['%s'].definition FROM %s.split_date ORDER BY term DESC, epoch DESC LIMIT 1", name, r.Name)
	if err := r.CH.QueryRow(r.t.Context(), query).Scan(&definition); err != nil {
		r.t.Fatal(err)
	}
	return definition
}

// watchAggregates reads until all aggregates answer. Before, an error may say that one is not there, but no answer is wrong.
func (r *auditRig) watchAggregates(t *testing.T) {
	errs := map[string]int{}
	r.Eventually(slow, "all aggregates", func(ctx context.Context) error {
		missing := 0
		for _, a := range r.tables {
			for _, g := range a.aggregates {
				one := a
				one.aggregates = []declared{g}
				single := *r
				single.tables = []audited{one}
				_, err := single.read(ctx, r.CH, "")
				switch {
				case errors.Is(err, errAudit):
					t.Fatal(err)
				case err != nil && (strings.Contains(err.Error(), "is not computed yet") || strings.Contains(err.Error(), "Unknown table expression identifier")):
					errs[g.name]++
					missing++
				case err != nil:
					return err
				}
			}
		}
		if missing > 0 {
			return fmt.Errorf("%d aggregates are missing", missing)
		}
		return nil
	})
	t.Logf("not there yet: %v", errs)
}

// noTrace makes sure that nothing is left of an aggregate that was removed.
func (r *auditRig) noTrace(name string) {
	r.t.Helper()
	var left []string
	err := r.CH.QueryRow(r.t.Context(), fmt.Sprintf("SELECT groupArray(name) FROM system.tables WHERE database IN ('%[1]s', '%[1]s_tidemark') AND startsWith(name, '%[2]s')", r.Name, name)).Scan(&left)
	if err != nil || len(left) > 0 {
		r.t.Errorf("left of %s: %v, %v", name, left, err)
	}
	if err := r.aggregatesAre(5)(r.t.Context()); err != nil {
		r.t.Error(err)
	}
}

// TestMergedStates makes sure that coarse aggregates are merged, that a late change takes nothing from their exactness, and
// that merged chunks outlive a restart and follow a fold.
func TestMergedStates(t *testing.T) {
	t.Parallel()
	spread := declaredRows(rowsInAll, declared{
		name: "rows_by_rest", keys: []column{{"rest", "v % 3"}}, measures: []column{{"n", "count()"}, {"p90", "quantileExact(0.9)(v)"}},
		postgres: "SELECT v % 3 || '|' || count(*) || '|' || (array_agg(v ORDER BY v))[1 + floor(0.9 * count(*))::int] FROM rows GROUP BY v % 3",
	}, rowsByDay)
	spread.setup = append(slices.Clone(spread.setup), `UPDATE rows SET d = '2024-02-01 12:00Z'::timestamptz + id % 20 * interval '1 day' WHERE d < '2024-03-01'`)
	r := newAuditRig(t, spread)
	file := r.config("tick: 50ms\nrt_window: 1h\nschedule: {roll: \"\", resync: \"\"}")
	b := r.Run(file, bridge.Options{})
	r.await()
	same := func(chunks int) {
		t.Helper()
		r.Eventually(slow, fmt.Sprintf("chunks merged of %d", chunks), r.mergedOf("rows_in_all", chunks))
		r.compare()
		r.compareAggregates()
	}
	same(20)
	r.commit(`UPDATE rows SET v = 1000 WHERE id IN (1, 2); DELETE FROM rows WHERE id = 21`) // two days
	same(18)
	_ = b.Stop()
	b = r.Run(file, bridge.Options{})
	same(18)
	if _, err := b.Resync(t.Context(), bridge.Request{}); err != nil {
		t.Fatal(err)
	}
	r.compare()
	r.compareAggregates()
	if err := r.mergedOf("rows_by_day", 0)(t.Context()); err != nil {
		t.Errorf("one state a day is not worth merging: %v", err)
	}
	_ = b.Stop()
}

// mergedOf is the condition that merged chunks of an aggregate stand for as many chunks of rows.
func (r *auditRig) mergedOf(aggregate string, chunks int) func(context.Context) error {
	query := fmt.Sprintf("SELECT arraySum(s -> length(s.of), mapValues(states['%s'])) FROM %s.split_date ORDER BY term DESC, epoch DESC LIMIT 1", aggregate, r.Name)
	return func(ctx context.Context) error {
		var n uint64
		if err := r.CH.QueryRow(ctx, query).Scan(&n); err != nil {
			return err
		}
		if n != uint64(chunks) {
			return fmt.Errorf("%d chunks", n)
		}
		return nil
	}
}

// TestSketches holds approximate functions to their tolerances after rows of every chunk have changed: merging states of
// chunks costs no more than the function itself does.
func TestSketches(t *testing.T) {
	t.Parallel()
	products := lateTables("products")[0]
	products.config = `{aggregates: {sketches: {measures: {hll: uniqHLL12(note), combined: uniqCombined(note), reservoir: quantile(0.5)(v), digest: quantileTDigest(0.5)(v), dd: "quantileDD(0.01, 0.5)(v)"}}}}`
	r := newAuditRig(t, products)
	b := r.Run(r.config("tick: 50ms\nschedule: {roll: \"\", resync: \"\"}"), bridge.Options{})
	r.await()
	r.Eventually(slow, "the aggregate", r.aggregatesAre(1))
	r.commit(`UPDATE products SET v = v * 3 WHERE id % 4 = 0; DELETE FROM products WHERE id % 10 = 1; INSERT INTO products SELECT g, g, md5(g::text) FROM generate_series(20001, 24000) g`)
	var notes, median float64
	if err := r.PG.QueryRow(t.Context(), "SELECT count(DISTINCT note), percentile_disc(0.5) WITHIN GROUP (ORDER BY v) FROM products").Scan(&notes, &median); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		measure         string
		want, tolerance float64
	}{
		{"hll", notes, 0.05},
		{"combined", notes, 0.03},
		{"reservoir", median, 0.05},
		{"digest", median, 0.02},
		{"dd", median, 0.01},
	} {
		var got float64
		if err := r.CH.QueryRow(t.Context(), fmt.Sprintf("SELECT toFloat64(%s) FROM %s.sketches", c.measure, r.Name)).Scan(&got); err != nil {
			t.Fatal(err)
		}
		if got < c.want*(1-c.tolerance) || got > c.want*(1+c.tolerance) {
			t.Errorf("%s: %v, want %v within %v", c.measure, got, c.want, c.tolerance)
		}
	}
	_ = b.Stop()
}

// TestAggregateRefused makes sure that check names what is wrong, and that a running bridge refuses a reload with it whole.
func TestAggregateRefused(t *testing.T) {
	t.Parallel()
	bad := []declared{
		{name: "rows", measures: []column{{"n", "count()"}}},
		{name: "split_date", measures: []column{{"n", "count()"}}},
		{name: "joined", measures: []column{{"size", "sum(stores.size)"}, {"some", "any(v)"}}},
	}
	r := newAuditRig(t, declaredRows(rowsByDay))
	reloads := make(chan *config.Config)
	b := r.Run(r.config("tick: 50ms"), bridge.Options{Reloads: reloads})
	r.await()
	r.awaitAggregates()
	r.tables[0] = declaredRows(append(bad, rowsByDay)...)
	cfg, err := config.Load(r.config("tick: 50ms"), func(string) (string, bool) { return "", false }, nil)
	if err != nil {
		t.Fatal(err)
	}
	findings, err := bridge.Check(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"tables.public.rows.aggregates.rows: has the name of the view of table public.rows",
		"tables.public.rows.aggregates.split_date: has the name of tidemark's own split_date",
		"tables.public.rows.aggregates.joined.measures.size: ClickHouse says: Unknown expression",
		"tables.public.rows.aggregates.joined.measures.some: the result of any depends on the order of rows",
	} {
		if !slices.ContainsFunc(findings, func(f bridge.Finding) bool {
			return f.State == bridge.Fail && strings.HasPrefix(f.What, want) && f.Try != ""
		}) {
			t.Errorf("check does not say %q: %+v", want, findings)
		}
	}
	term := r.term()
	for range 2 { // the second is taken when the first was refused
		reloads <- cfg
	}
	r.tables[0] = declaredRows(rowsByDay)
	r.commit(`INSERT INTO rows VALUES (5000, now(), 1, 'x')`)
	r.compare()
	r.compareAggregates()
	if now := r.term(); now != term {
		t.Errorf("a refused configuration began term %d after %d", now, term)
	}
	_ = b.Stop()
}

// term is that of the newest mark.
func (r *auditRig) term() (term uint64) {
	r.t.Helper()
	if err := r.CH.QueryRow(r.t.Context(), "SELECT max(term) FROM "+r.Name+".split_date").Scan(&term); err != nil {
		r.t.Fatal(err)
	}
	return term
}
