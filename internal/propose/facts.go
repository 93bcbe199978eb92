package propose

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/tidemark-db/tidemark/cdc"
)

//go:embed sql/statistics.sql
var statisticsQuery string

// OIDs of the built-in types that a proposal depends on.
const (
	oidInt8        = 20
	oidInt2        = 21
	oidInt4        = 23
	oidText        = 25
	oidBpchar      = 1042
	oidVarchar     = 1043
	oidDate        = 1082
	oidTimestamp   = 1114
	oidTimestampTZ = 1184
	oidNumeric     = 1700
)

// Of one table, at most so many rows are read, for at most so long.
const (
	sampleRows     = 100_000
	samplePatience = 30 * time.Second
)

// facts are what is known of a table.
type facts struct {
	cdc.Table
	columns []column
	sampled int64  // rows read
	note    string // why less is known than could be
}

// column is what is known of one column: from its declaration, from ANALYZE, from the sample.
type column struct {
	cdc.Column
	key bool

	fallback   string // the expression of DEFAULT
	identity   bool
	references bool // part of a foreign key

	analyzed    bool
	nullFrac    float64
	distinct    float64 // as pg_stats.n_distinct: negative is a fraction of the rows
	correlation float64
	seen        string // most common values and bounds of the histogram, as text

	sample sample
}

// sample is what the rows that were read say of a column.
type sample struct {
	values   int64 // distinct ones, of texts and of other tables' keys
	outside  int64 // values that no ClickHouse type holds: NaN and infinity, or dates out of range
	whole    int   // most digits before the point
	scale    int   // most digits after it
	from, to time.Time
	ahead    int64 // dates in the future
}

func (c *column) isText() bool {
	return c.ElemTypeOID == 0 && !c.Enum && (c.BaseTypeOID == oidText || c.BaseTypeOID == oidVarchar || c.BaseTypeOID == oidBpchar)
}

func (c *column) isInteger() bool {
	return c.BaseTypeOID == oidInt2 || c.BaseTypeOID == oidInt4 || c.BaseTypeOID == oidInt8
}

// refers says that the column holds another table's key, by declaration or by its name.
func (c *column) refers() bool {
	return c.isInteger() && c.ElemTypeOID == 0 && !c.key && (c.references || strings.HasSuffix(c.Name, "_id"))
}

func (c *column) isDate() bool {
	return c.BaseTypeOID == oidDate || c.BaseTypeOID == oidTimestamp || c.BaseTypeOID == oidTimestampTZ
}

func (c *column) isUnboundedNumeric() bool { return c.BaseTypeOID == oidNumeric && c.BaseTypeMod < 0 }

// rows is how many the table has, as far as is known.
func (f *facts) rows() int64 { return max(f.EstimatedRows, f.sampled) }

// gather reads what is known of a table.
func gather(ctx context.Context, conn *pgx.Conn, t cdc.Table) (*facts, error) {
	f := &facts{Table: t}
	for _, c := range t.Columns {
		f.columns = append(f.columns, column{Column: c})
		for _, k := range t.Key {
			last := &f.columns[len(f.columns)-1]
			last.key = last.key || k == c.Name
		}
	}
	if err := f.readStatistics(ctx, conn); err != nil {
		return nil, fmt.Errorf("read statistics of %s: %w", t.FullName(), err)
	}
	err := f.readSample(ctx, conn)
	if errors.Is(err, errTooSlow) {
		f.note, err = fmt.Sprintf("its rows could not be read within %s", samplePatience), nil
	}
	if err != nil {
		return nil, fmt.Errorf("read rows of %s: %w", t.FullName(), err)
	}
	return f, nil
}

func (f *facts) readStatistics(ctx context.Context, conn *pgx.Conn) error {
	rows, err := conn.Query(ctx, statisticsQuery, f.OID)
	if err != nil {
		return err
	}
	var name string
	var s column
	_, err = pgx.ForEachRow(rows, []any{&name, &s.analyzed, &s.nullFrac, &s.distinct, &s.correlation, &s.seen, &s.fallback, &s.identity, &s.references}, func() error {
		for i := range f.columns {
			if c := &f.columns[i]; c.Name == name {
				s.Column, s.key, s.sample = c.Column, c.key, c.sample
				*c = s
			}
		}
		return nil
	})
	return err
}

var errTooSlow = errors.New("too slow")

// readSample reads some rows, in one statement. The statement is ended by the server, so that the session stays usable.
func (f *facts) readSample(ctx context.Context, conn *pgx.Conn) error {
	exprs, names := []string{"count(*)::text"}, []string{"1"}
	for i := range f.columns {
		names = append(names, quote(f.columns[i].Name))
		exprs = append(exprs, f.columns[i].questions()...)
	}
	only := "ONLY "
	if f.Partitioned {
		only = ""
	}
	text := fmt.Sprintf("SELECT ARRAY[%s] FROM (SELECT %s FROM %s%s LIMIT %d) sample",
		strings.Join(exprs, ", "), strings.Join(names, ", "), only, quote(f.Schema, f.Name), sampleRows)
	tx, err := conn.Begin(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback(context.WithoutCancel(ctx)) }()
	if _, err := tx.Exec(ctx, fmt.Sprintf("SET LOCAL statement_timeout = %d", samplePatience.Milliseconds())); err != nil {
		return err
	}
	var answers []string
	err = tx.QueryRow(ctx, text).Scan(&answers)
	if err != nil && strings.Contains(err.Error(), "57014") { // query_canceled
		return errTooSlow
	}
	if err != nil {
		return err
	}
	f.sampled, answers = number(answers[0]), answers[1:]
	for i := range f.columns {
		c := &f.columns[i]
		n := len(c.questions())
		c.answer(answers[:n])
		answers = answers[n:]
	}
	return nil
}

// questions are expressions over the sample, as text; answer reads their results.
func (c *column) questions() []string {
	q := quote(c.Name)
	switch {
	case c.isText(), c.refers():
		return []string{"count(DISTINCT " + q + ")::text"}
	case c.ElemTypeOID != 0:
		return nil
	case c.isUnboundedNumeric():
		finite := " FILTER (WHERE " + q + " NOT IN ('NaN', 'Infinity', '-Infinity'))"
		return []string{
			"(count(" + q + ") - count(" + q + ")" + finite + ")::text",
			"coalesce(max(length(trunc(abs(" + q + "))::text))" + finite + ", 0)::text",
			"coalesce(max(scale(" + q + "))" + finite + ", 0)::text",
		}
	case c.isDate():
		inside := " FILTER (WHERE " + q + " >= '1900-01-01' AND " + q + " < '2300-01-01')"
		epoch := func(f string) string {
			return "coalesce(extract(epoch FROM " + f + "(" + q + ")" + inside + ")::bigint, 0)::text"
		}
		return []string{
			"(count(" + q + ") - count(" + q + ")" + inside + ")::text", epoch("min"), epoch("max"),
			"count(*) FILTER (WHERE " + q + " > now() + interval '1 day')::text",
		}
	default:
		return nil
	}
}

func (c *column) answer(answers []string) {
	s := &c.sample
	switch {
	case c.isText(), c.refers():
		s.values = number(answers[0])
	case c.ElemTypeOID != 0:
	case c.isUnboundedNumeric():
		s.outside, s.whole, s.scale = number(answers[0]), int(number(answers[1])), int(number(answers[2]))
	case c.isDate():
		s.outside, s.ahead = number(answers[0]), number(answers[3])
		s.from, s.to = time.Unix(number(answers[1]), 0).UTC(), time.Unix(number(answers[2]), 0).UTC()
	}
}

var dateText = regexp.MustCompile(`-?infinity|\d{4,}-\d\d-\d\d(?: \d\d:\d\d:[\d.+:-]+)?(?: BC)?`)

// sentinel is a value out of ClickHouse's range that ANALYZE saw, or "".
func (c *column) sentinel() string {
	for _, text := range dateText.FindAllString(c.seen, -1) {
		year, err := strconv.Atoi(text[:max(0, strings.IndexByte(text, '-'))])
		if err != nil || strings.HasSuffix(text, " BC") || year < 1900 || year > 2299 {
			return text
		}
	}
	return ""
}

// number reads what a count or a sum was cast to.
func number(text string) int64 {
	n, _ := strconv.ParseInt(text, 10, 64) // PostgreSQL wrote it
	return n
}

func quote(parts ...string) string { return pgx.Identifier(parts).Sanitize() }
