package e2e

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"github.com/jackc/pgx/v5"

	"github.com/tidemark-db/tidemark/internal/rig"
)

// audited is a table of which PostgreSQL keeps, in the table audit and within each transaction that changes it, how many
// rows it has and the sum of a hash of every row. Audit is published too, so a read of both views in one query proves
// that it saw what PostgreSQL had at one commit.
type audited struct {
	name    string
	columns []auditedColumn
	setup   []string // CREATE TABLE, then what it holds at first
	config  string   // its entry under tables

	aggregates []declared
}

// auditedColumn is a column with the expressions that give its values the same text on both servers.
type auditedColumn struct{ postgres, clickhouse string }

func plainColumn(name string) auditedColumn {
	return auditedColumn{name + "::text", "toString(" + name + ")"}
}

func plainColumns(names ...string) (out []auditedColumn) {
	for _, name := range names {
		out = append(out, plainColumn(name))
	}
	return out
}

// instantColumn is a timestamp with or without time zone, UTC where it has none: microseconds since the epoch.
func instantColumn(name string) auditedColumn {
	return auditedColumn{
		"(extract(epoch FROM " + name + ") * 1000000)::bigint::text",
		"toString(toUnixTimestamp64Micro(" + name + "))",
	}
}

// numericColumn is a numeric; ClickHouse prints no zeros at its end.
func numericColumn(name string) auditedColumn {
	return auditedColumn{"trim_scale(" + name + ")::text", "toString(" + name + ")"}
}

// noValue stands for NULL in a row's text.
const noValue = "'~'"

// postgresText and clickhouseText render a row as the same text.
func (a audited) postgresText() string {
	parts := make([]string, len(a.columns))
	for i, c := range a.columns {
		parts[i] = "coalesce(" + c.postgres + ", " + noValue + ")"
	}
	return "concat_ws('|', " + strings.Join(parts, ", ") + ")"
}

func (a audited) clickhouseText() string {
	parts := make([]string, len(a.columns))
	for i, c := range a.columns {
		parts[i] = "ifNull(" + c.clickhouse + ", " + noValue + ")"
	}
	return "concatWithSeparator('|', '', " + strings.Join(parts, ", ") + ")"
}

// The weight of a row is the first 40 bits of its text's MD5, so that no sum of them overflows.
func (a audited) postgresWeight() string {
	return "('x' || left(md5('|' || " + a.postgresText() + "), 10))::bit(40)::bigint"
}

func (a audited) clickhouseWeight() string {
	return "toInt64(reinterpretAsUInt64(reverse(substring(MD5(" + a.clickhouseText() + "), 1, 5))))"
}

// auditTable has a row for each session that writes, so that sessions do not wait for each other.
const auditTable = "CREATE TABLE audit (name text, session int, n bigint NOT NULL, h bigint NOT NULL, PRIMARY KEY (name, session))"

// triggers keep audit up to date. They run once per statement: one per row would update one row of audit far too often.
func (a audited) triggers() []string {
	function := fmt.Sprintf(`CREATE FUNCTION audit_%[1]s() RETURNS trigger LANGUAGE plpgsql AS $$
		DECLARE rows_ bigint := 0; hash_ bigint := 0;
		BEGIN
			IF TG_OP = 'TRUNCATE' THEN
				UPDATE audit SET n = 0, h = 0 WHERE name = '%[1]s';
				RETURN NULL;
			END IF;
			IF TG_OP <> 'DELETE' THEN
				SELECT count(*), coalesce(sum(%[2]s), 0) INTO rows_, hash_ FROM added;
			END IF;
			IF TG_OP <> 'INSERT' THEN
				SELECT rows_ - count(*), hash_ - coalesce(sum(%[2]s), 0) INTO rows_, hash_ FROM removed;
			END IF;
			INSERT INTO audit VALUES ('%[1]s', pg_backend_pid(), rows_, hash_)
				ON CONFLICT (name, session) DO UPDATE SET n = audit.n + excluded.n, h = audit.h + excluded.h;
			RETURN NULL;
		END $$`, a.name, a.postgresWeight())
	out := []string{function}
	for op, tables := range map[string]string{
		"INSERT":   "REFERENCING NEW TABLE AS added",
		"UPDATE":   "REFERENCING NEW TABLE AS added OLD TABLE AS removed",
		"DELETE":   "REFERENCING OLD TABLE AS removed",
		"TRUNCATE": "",
	} {
		out = append(out, fmt.Sprintf("CREATE TRIGGER audit_%s AFTER %s ON %s %s FOR EACH STATEMENT EXECUTE FUNCTION audit_%s()",
			strings.ToLower(op), op, a.name, tables, a.name))
	}
	return out
}

// auditRig is a rig whose tables are audited.
type auditRig struct {
	*rig.Rig
	t      *testing.T
	tables []audited
	file   string // the configuration, where a test has only one
}

// newAuditRig creates the tables and publishes them.
func newAuditRig(t *testing.T, tables ...audited) *auditRig {
	t.Helper()
	return newAuditRigOn(t, servers, tables...)
}

// newAuditRigOn does so on servers of the test's own.
func newAuditRigOn(t *testing.T, servers *rig.Servers, tables ...audited) *auditRig {
	t.Helper()
	return &auditRig{Rig: rig.New(t, servers, auditStatements(tables)...), t: t, tables: tables}
}

// auditStatements create the tables and the publication.
func auditStatements(tables []audited) []string {
	statements := []string{auditTable}
	for _, a := range tables {
		statements = append(statements, a.setup[0])
		statements = append(statements, a.triggers()...)
		statements = append(statements, a.setup[1:]...)
	}
	return append(statements, "CREATE PUBLICATION tidemark FOR ALL TABLES")
}

// config writes the configuration of a bridge of all tables.
func (r *auditRig) config(settings string) string {
	r.t.Helper()
	text := settings + "\ntables:\n  public.audit: {}\n"
	for _, a := range r.tables {
		text += "  public." + a.name + ": " + a.entry() + "\n"
	}
	return r.ConfigFile(text)
}

// await waits until the newest mark holds all tables and what PostgreSQL has committed so far.
func (r *auditRig) await() {
	r.t.Helper()
	r.WaitLSN(len(r.tables) + 1)
}

// question asks, in one query, what each table's view holds and what audit says of it. prefix is put before the names of
// the views, for variants of them.
func (r *auditRig) question(prefix string) string {
	var parts, names []string
	for _, a := range r.tables {
		names = append(names, "'"+a.name+"'")
		parts = append(parts, fmt.Sprintf("SELECT '%s' AS name, toInt64(1) AS n, %s AS h, toInt64(0) AS wanted_n, toInt64(0) AS wanted_h FROM %s.%s%s",
			a.name, a.clickhouseWeight(), r.Name, prefix, a.name))
		for _, g := range a.aggregates {
			parts = append(parts, g.question(r.Name, prefix, a.name)...)
		}
	}
	return fmt.Sprintf(`SELECT name, sum(n), sum(h), sum(wanted_n), sum(wanted_h), (SELECT max(epoch) FROM %[1]s.split_date_current)
		FROM (%[2]s UNION ALL SELECT name, 0, 0, n, h FROM %[1]s.audit WHERE name IN (%[3]s)) GROUP BY name ORDER BY name`,
		r.Name, strings.Join(parts, " UNION ALL "), strings.Join(names, ", "))
}

// names are those of the tables.
func (r *auditRig) names() (out []string) {
	for _, a := range r.tables {
		out = append(out, a.name)
	}
	return out
}

// only is the rig with some of its tables.
func (r *auditRig) only(names ...string) *auditRig {
	some := *r
	some.tables = slices.DeleteFunc(slices.Clone(r.tables), func(a audited) bool { return !slices.Contains(names, a.name) })
	return &some
}

// errAudit says that a read saw a state that PostgreSQL never had at a commit.
var errAudit = errors.New("view and audit differ")

// read asks once and returns the epoch that it saw.
func (r *auditRig) read(ctx context.Context, conn driver.Conn, prefix string) (epoch uint64, err error) {
	rows, err := conn.Query(ctx, r.question(prefix))
	if err != nil {
		return 0, err
	}
	defer rows.Close()
	var faults []error
	for rows.Next() {
		var name string
		var n, h, wantN, wantH int64
		var at *uint64
		if err := rows.Scan(&name, &n, &h, &wantN, &wantH, &at); err != nil {
			return 0, err
		}
		if at != nil {
			epoch = *at
		}
		if n != wantN || h != wantH {
			faults = append(faults, fmt.Errorf("epoch %d: %w: %s has %d rows of weight %d, audit says %d of %d", epoch, errAudit, name, n, h, wantN, wantH))
		}
	}
	return epoch, errors.Join(append(faults, rows.Err())...)
}

// compare compares every view with its table row by row; nobody writes by now.
func (r *auditRig) compare() {
	r.t.Helper()
	r.await()
	if _, err := r.read(r.t.Context(), r.CH, ""); err != nil {
		r.t.Error(err)
	}
	for _, a := range r.tables {
		if err := r.compareRows(a, a.name); err != nil {
			r.t.Error(err)
		}
	}
}

// compareRows compares a table with a view of it.
func (r *auditRig) compareRows(a audited, view string) error {
	rows, err := r.PG.Query(r.t.Context(), "SELECT '|' || "+a.postgresText()+" FROM "+a.name)
	if err != nil {
		return err
	}
	want, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return err
	}
	got, err := r.viewRows(a, view)
	if err != nil {
		return err
	}
	slices.Sort(want)
	slices.Sort(got)
	if slices.Equal(want, got) {
		return nil
	}
	return fmt.Errorf("%w: %s has %d rows, %s %d; missing %s; not in PostgreSQL %s", errAudit,
		a.name, len(want), view, len(got), sample(without(want, got)), sample(without(got, want)))
}

func (r *auditRig) viewRows(a audited, view string) (out []string, err error) {
	rows, err := r.CH.Query(r.t.Context(), fmt.Sprintf("SELECT %s FROM %s.%s", a.clickhouseText(), r.Name, view))
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var text string
		if err := rows.Scan(&text); err != nil {
			return nil, err
		}
		out = append(out, text)
	}
	return out, rows.Err()
}

// without returns the items of a sorted list that another sorted list has not, as often as they are missing.
func without(list, other []string) (out []string) {
	for _, item := range list {
		for len(other) > 0 && other[0] < item {
			other = other[1:]
		}
		if len(other) > 0 && other[0] == item {
			other = other[1:]
			continue
		}
		out = append(out, item)
	}
	return out
}

// sample shows a few of many rows, cut.
func sample(list []string) string {
	var out []string
	for _, item := range list[:min(len(list), 5)] {
		out = append(out, item[:min(len(item), 120)])
	}
	return fmt.Sprintf("%d %q", len(list), out)
}
