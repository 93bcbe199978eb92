package propose

import (
	"context"
	"fmt"
	"math"
	"regexp"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/tidemark-db/tidemark/cdc"
)

// Table is the proposal for one table. A choice that is "" is left to the default.
type Table struct {
	Name    string // schema.table, as the configuration writes it
	Note    string
	LeftOut string // why the table cannot be in the configuration

	DateColumn  Choice
	RTWindow    Choice
	OrderBy     Choice // column names, in order
	PartitionBy Choice
	Types       []Choice // of columns, by Column
	OutOfRange  []Choice
	Codecs      []Choice
}

// Choice is a value and the reason for it.
type Choice struct {
	Column string
	Values []string
	Why    string
}

func (c Choice) set() bool { return len(c.Values) > 0 }

// Tables proposes a configuration for every table of a publication.
func Tables(ctx context.Context, conn *pgx.Conn, catalog []cdc.Table) ([]Table, error) {
	var out []Table
	for _, t := range catalog {
		if slices.ContainsFunc(catalog, func(root cdc.Table) bool { return slices.Contains(root.Leaves, t.FullName()) }) {
			continue // its root is proposed
		}
		if why := unreadable(t); why != "" {
			out = append(out, Table{Name: t.FullName(), LeftOut: why})
			continue
		}
		f, err := gather(ctx, conn, t)
		if err != nil {
			return nil, err
		}
		out = append(out, f.propose())
	}
	return out, nil
}

// unreadable says why the rows of a table cannot be read or followed.
func unreadable(t cdc.Table) string {
	switch {
	case !t.CanSelect:
		return "this role may not read it: GRANT SELECT first"
	case t.ReplicaIdentity == cdc.IdentityNothing:
		return "it has REPLICA IDENTITY NOTHING, so its rows cannot be told apart in the stream"
	case t.RowSecurity:
		return "row-level security hides rows of it from this role, but not from the stream"
	default:
		return ""
	}
}

func (f *facts) propose() Table {
	t := Table{Name: f.FullName(), Note: f.note}
	if !slices.ContainsFunc(f.columns, func(c column) bool { return c.analyzed }) {
		t.Note = strings.TrimPrefix(t.Note+"; PostgreSQL has no statistics of it: run ANALYZE and init again for better proposals", "; ")
	}
	if date := f.date(); date != nil {
		f.split(&t, date)
	}
	for i := range f.columns {
		c := &f.columns[i]
		if typ := f.columnType(c); typ.set() {
			t.Types = append(t.Types, typ)
		}
		if policy := c.outOfRange(); policy.set() {
			t.OutOfRange = append(t.OutOfRange, policy)
		}
		if codec := f.codec(c, t.OrderBy.set()); codec.set() {
			t.Codecs = append(t.Codecs, codec)
		}
	}
	return t
}

var (
	madeName    = regexp.MustCompile(`(?i)^(created?|inserted|added|occurred|happened|ordered|sold|paid|posted|logged|placed|received|recorded|event|log|entry)(_?(at|on|date|time|ts|timestamp))?$|^(ts|timestamp|time|date|at)$`)
	changedName = regexp.MustCompile(`(?i)(updat|modif|chang|delet|remov|expir|valid|until|birth|dob|due|end|finish|last|next|cancel|sync|seen|login|clos)`)
	nowDefault  = regexp.MustCompile(`(?i)\b(now|statement_timestamp|transaction_timestamp|clock_timestamp)\(\)|CURRENT_(TIMESTAMP|DATE)|LOCALTIMESTAMP`)
)

// date chooses the column that says when a row was made, if one does.
func (f *facts) date() *column {
	var best *column
	most := leastDateScore - 1
	for i := range f.columns {
		if c := &f.columns[i]; c.isDate() && c.ElemTypeOID == 0 {
			if score, _ := c.dateScore(); score > most {
				best, most = c, score
			}
		}
	}
	return best
}

// leastDateScore is what a date column needs at least: it is NOT NULL and has a default or a telling name, or its values
// rise with the table.
const leastDateScore = 5

// fewDates is up to how many different dates mean no order.
const fewDates = 10

// dateScore says how well a column tells when a row was made, and by what.
func (c *column) dateScore() (score int, why []string) {
	add := func(n int, text string) {
		score += n
		if text != "" {
			why = append(why, text)
		}
	}
	if c.BaseTypeOID != oidDate {
		add(1, "")
	}
	if c.NotNull || c.key {
		add(2, "NOT NULL")
	}
	if nowDefault.MatchString(c.fallback) {
		add(4, "DEFAULT "+c.fallback)
	}
	if c.correlation > 0.9 && (c.distinct < 0 || c.distinct > fewDates) {
		add(3, fmt.Sprintf("rises with the table (correlation %.2f)", c.correlation))
	}
	if madeName.MatchString(c.Name) {
		add(3, "named for when a row is made")
	}
	if changedName.MatchString(c.Name) {
		add(-8, "")
	}
	if c.sample.outside > 0 || c.sentinel() != "" || c.nullFrac > 0.1 || c.sample.ahead > 0 {
		add(-3, "")
	}
	return score, why
}

// split proposes what belongs to a date column.
func (f *facts) split(t *Table, date *column) {
	_, why := date.dateScore()
	t.DateColumn = Choice{Values: []string{date.Name}, Why: strings.Join(why, ", ")}
	if date.BaseTypeOID == oidDate {
		t.RTWindow = Choice{Values: []string{"24h"}, Why: "a date has no time of day"}
	}
	if by, values := f.grouping(); by != nil {
		t.OrderBy = Choice{Values: []string{by.Name, date.Name}, Why: fmt.Sprintf("%s has about %.0f values, which queries filter by; then by time", by.Name, values)}
	}
	t.PartitionBy = f.partitions(date)
}

// grouping is the key of another table with the fewest values, if they are few.
func (f *facts) grouping() (best *column, values float64) {
	values = math.Inf(1)
	for i := range f.columns {
		c := &f.columns[i]
		n := float64(c.sample.values)
		if c.analyzed {
			n = c.distinct
		}
		if n < 0 {
			n *= -float64(f.rows())
		}
		if c.refers() && n >= 2 && n < values && n*100 <= float64(f.rows()) {
			best, values = c, n
		}
	}
	return best, values
}

// Rows of a day from which its hours become partitions, and up to which its month is one.
const (
	busyDay  = 20_000_000
	quietDay = 20_000
)

func (f *facts) partitions(date *column) Choice {
	days := date.sample.to.Sub(date.sample.from).Hours()/24 + 1
	if date.sample.from.Unix() == 0 || f.sampled < 1000 || days < 7 && f.rows() > f.sampled {
		return Choice{}
	}
	perDay := float64(f.sampled) / days
	if float64(f.rows()) > perDay*days && f.sampled == sampleRows { // the sample may be a piece of the whole time
		perDay = max(perDay, float64(f.rows())/days)
	}
	why := fmt.Sprintf("about %.0f rows a day", perDay)
	switch {
	case perDay >= busyDay:
		return Choice{Values: []string{"hour"}, Why: why}
	case perDay <= quietDay:
		return Choice{Values: []string{"month"}, Why: why}
	default:
		return Choice{Values: []string{"day"}, Why: why}
	}
}

// maxDictionary is up to how many values a LowCardinality is smaller and faster than a String.
const maxDictionary = 10_000

func (f *facts) columnType(c *column) Choice {
	choose := func(typ, why string, args ...any) Choice {
		return Choice{Column: c.Name, Values: []string{typ}, Why: fmt.Sprintf(why, args...)}
	}
	switch {
	case c.isText() && !c.key && f.fewTexts(c):
		return choose("LowCardinality(String)", "%d values in %d rows", c.sample.values, f.sampled)
	case c.isUnboundedNumeric() && c.ElemTypeOID == 0:
		if typ := c.decimal(); typ != "" {
			return choose(typ, "at most %d digits before and %d after the point in %d rows; others will be refused", c.sample.whole, c.sample.scale, f.sampled)
		}
	case c.key && c.isDate() && (c.sample.outside > 0 || c.sentinel() != ""):
		return choose("String", "a key with dates that ClickHouse cannot hold")
	}
	return Choice{}
}

// fewTexts asks for ten rows a value, in the sample and by ANALYZE.
func (f *facts) fewTexts(c *column) bool {
	n := c.sample.values
	few := n > 0 && n <= maxDictionary && n*10 <= f.sampled
	return few && (!c.analyzed || c.distinct >= 0 && c.distinct <= maxDictionary)
}

// decimal is a type with room for what was seen: four more digits before the point, two more after it. Of a key, numbers
// that are equal but have other digits must stay apart, as they do as text.
func (c *column) decimal() string {
	s := c.sample
	if c.key || s.outside > 0 || s.whole == 0 {
		return ""
	}
	scale := s.scale
	if scale > 0 {
		scale += 2
	}
	for _, precision := range []int{18, 38, 76} {
		if s.whole+4+scale <= precision {
			return fmt.Sprintf("Decimal(%d, %d)", precision, scale)
		}
	}
	return ""
}

func (c *column) outOfRange() Choice {
	if !c.isDate() || c.ElemTypeOID != 0 || c.key {
		return Choice{}
	}
	why := ""
	switch text := c.sentinel(); {
	case text != "":
		why = text + " stands for no date; ClickHouse's end with 2299-12-31"
	case c.sample.outside > 0:
		why = fmt.Sprintf("%d dates before 1900 or after 2299; ClickHouse's end with 2299-12-31", c.sample.outside)
	default:
		return Choice{}
	}
	return Choice{Column: c.Name, Values: []string{"clamp"}, Why: why}
}

// codec proposes how to compress what rises from row to row. Numbers that step evenly have no differences of differences,
// but only where nothing else is sorted before them.
func (f *facts) codec(c *column, sorted bool) Choice {
	sequence := c.identity || strings.HasPrefix(c.fallback, "nextval(")
	switch {
	case c.isInteger() && sequence && !sorted:
		return Choice{Column: c.Name, Values: []string{"DoubleDelta, ZSTD(1)"}, Why: "numbers from a sequence, in order"}
	case c.isInteger() && (sequence || c.key && c.correlation > 0.9):
		return Choice{Column: c.Name, Values: []string{"Delta, ZSTD(1)"}, Why: "numbers that rise with the table"}
	case c.isDate() && !(c.key && (c.sample.outside > 0 || c.sentinel() != "")):
		return Choice{Column: c.Name, Values: []string{"Delta, ZSTD(1)"}, Why: "neighbours are close in time"}
	}
	return Choice{}
}
