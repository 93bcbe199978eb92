package e2e

import (
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
)

// declared is an aggregate with what PostgreSQL has to say of it.
type declared struct {
	name     string
	keys     []column
	measures []column
	where    string
	postgres string // the same over the table: a row of text for each group, as the view's columns print
}

// column is a column of a view and the expression over the table that it holds.
type column struct{ name, expr string }

func mapping(list []column) string {
	out := make([]string, len(list))
	for i, n := range list {
		out[i] = fmt.Sprintf("%s: %q", n.name, n.expr)
	}
	return "{" + strings.Join(out, ", ") + "}"
}

// entry is the table's configuration with its aggregates.
func (a audited) entry() string {
	if len(a.aggregates) == 0 {
		return a.config
	}
	list := make([]string, len(a.aggregates))
	for i, g := range a.aggregates {
		list[i] = fmt.Sprintf("%s: {by: %s, measures: %s, where: %q}", g.name, mapping(g.keys), mapping(g.measures), g.where)
	}
	own := strings.TrimSuffix(strings.TrimPrefix(a.config, "{"), "}")
	if own != "" {
		own += ", "
	}
	return "{" + own + "aggregates: {" + strings.Join(list, ", ") + "}}"
}

// question counts and hashes the rows of the view, and those of the same aggregation over the view of the rows. The latter
// are put in place of what audit says, so that both are compared like rows.
func (g declared) question(database, prefix, table string) []string {
	var columns, selected, keys []string
	for _, k := range g.keys {
		columns, keys = append(columns, "g."+k.name), append(keys, k.expr)
		selected = append(selected, k.expr)
	}
	for _, m := range g.measures {
		columns, selected = append(columns, "g."+m.name), append(selected, m.expr)
	}
	where, group := "1", ""
	if g.where != "" {
		where = g.where
	}
	if len(keys) > 0 {
		group = " GROUP BY " + strings.Join(keys, ", ")
	}
	weigh := func(list []string) string {
		return "toInt64(bitAnd(cityHash64(tuple(" + strings.Join(list, ", ") + ")), 1099511627775))"
	}
	return []string{
		"SELECT '" + g.name + "' AS name, toInt64(1) AS n, " + weigh(columns) + " AS h, toInt64(0) AS wanted_n, toInt64(0) AS wanted_h FROM " + database + "." + prefix + g.name + " AS g",
		"SELECT '" + g.name + "' AS name, toInt64(0) AS n, toInt64(0) AS h, toInt64(1) AS wanted_n, " + weigh(selected) + " AS wanted_h FROM " + database + "." + table + " WHERE " + where + group,
	}
}

// compareAggregates compares the views with the same aggregation in PostgreSQL; nobody writes by now.
func (r *auditRig) compareAggregates() {
	r.t.Helper()
	for _, a := range r.tables {
		for _, g := range a.aggregates {
			rows, err := r.PG.Query(r.t.Context(), g.postgres)
			if err != nil {
				r.t.Fatal(err)
			}
			want, err := pgx.CollectRows(rows, pgx.RowTo[string])
			if err != nil {
				r.t.Fatal(err)
			}
			got := r.aggregateRows(g)
			slices.Sort(want)
			slices.Sort(got)
			if !slices.Equal(want, got) {
				r.t.Errorf("%s: missing %s; not in PostgreSQL %s", g.name, sample(without(want, got)), sample(without(got, want)))
			}
			if len(got) == 0 {
				r.t.Errorf("%s is empty", g.name)
			}
		}
	}
}

func (r *auditRig) aggregateRows(g declared) (out []string) {
	r.t.Helper()
	var columns []string
	for _, n := range slices.Concat(g.keys, g.measures) {
		columns = append(columns, "ifNull(toString("+n.name+"), "+noValue+")")
	}
	rows, err := r.CH.Query(r.t.Context(), fmt.Sprintf("SELECT concatWithSeparator('|', %s) FROM %s.%s", strings.Join(columns, ", "), r.Name, g.name))
	if err != nil {
		r.t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var text string
		if err := rows.Scan(&text); err != nil {
			r.t.Fatal(err)
		}
		out = append(out, text)
	}
	if err := rows.Err(); err != nil {
		r.t.Fatal(err)
	}
	return out
}

// awaitAggregates waits until the newest mark holds all aggregates.
func (r *auditRig) awaitAggregates() {
	r.t.Helper()
	want := 0
	for _, a := range r.tables {
		want += len(a.aggregates)
	}
	r.Eventually(slow, "all aggregates", r.aggregatesAre(want))
}
