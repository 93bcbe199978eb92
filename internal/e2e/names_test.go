package e2e

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/tidemark-db/tidemark/internal/bridge"
	"github.com/tidemark-db/tidemark/internal/config"
	"github.com/tidemark-db/tidemark/internal/rig"
	"github.com/tidemark-db/tidemark/sql"
)

// hostileTables are names that mean something to one of the languages between PostgreSQL and a view, or nearly each
// other's.
var hostileTables = []config.TableName{
	{Schema: "public", Name: "select"},
	{Schema: "public", Name: "back`tick -- "},
	{Schema: "public", Name: "que?stion {a:Int} (x), $1"},
	{Schema: "public", Name: strings.Repeat("é", 31) + "x"},
	{Schema: "public", Name: "MixedCase"},
	{Schema: "public", Name: "mixedcase"},
	{Schema: "public", Name: `/quo'te"d\`},
	{Schema: "public", Name: "sales_rt"},
	{Schema: "public", Name: "sales"},
	{Schema: "we.ird", Name: `Tab"le`},
	{Schema: "a.b", Name: "c"},
	{Schema: "a", Name: "b.c"},
	{Schema: "other", Name: "sales"},
}

// hostileColumns are the columns of the tables in turn: names like ours, names like those in our statements, and names that
// are syntax.
var hostileColumns = [][]string{
	{
		"_chunk", "_of", "_lsn", "_ordinal", "_insert", "_live", "_unchanged", "_source_0", "_last", "_first_is_insert", "_outlived", "_key", "_mark", "_hash", "__chunk",
		"_changes.id", "_older.id", "__older._of", "id", "(", ")", "),(", "`", `"`, "'", `\`, `\n`, strings.Repeat("@", 63),
	},
	{
		"n", "m", "t", "c", "o", "k", "x", "c.o", "c.k", "where", "chunk", "period", "split", "rows", "tables", "table", "from", "to", "name", "count()", "NULL", "true",
		"a", "a.b", "b.size", "a.b.c", strings.Repeat("é", 31) + "x",
	},
	{
		"select", "Select", "order by", "?", "$1", "@p", ":p", "{to:UInt64}", "{{.Name}}", ",", ";", "--", "/*", "#", " ", "\t", "\n", "日本", "🐘",
		"*", "%", "%s", "1", "-", ".", "..", "VALUES", "FORMAT", "settings a = 1",
	},
}

// hostile is a table all of whose names are hostile: its key, its date and its TOAST column are some of the columns.
type hostile struct {
	name           config.TableName
	columns        []string
	key, date, big string
}

func (h hostile) source() string { return pgx.Identifier{h.name.Schema, h.name.Name}.Sanitize() }

func ident(name string) string { return pgx.Identifier{name}.Sanitize() }

func (h hostile) create() []string {
	var columns []string
	for _, c := range h.columns {
		switch c {
		case h.key:
			columns = append(columns, ident(c)+" int PRIMARY KEY")
		case h.date:
			columns = append(columns, ident(c)+" timestamptz")
		default:
			columns = append(columns, ident(c)+" text")
		}
	}
	return []string{
		fmt.Sprintf("CREATE TABLE %s (%s)", h.source(), strings.Join(columns, ", ")),
		fmt.Sprintf("ALTER TABLE %s ALTER %s SET STORAGE EXTERNAL", h.source(), ident(h.big)),
	}
}

// insert gives every column but the key and the date its own name as value, and the TOAST column a large one.
func (h hostile) insert(id int, date string) string {
	values := make([]string, len(h.columns))
	for i, c := range h.columns {
		switch c {
		case h.key:
			values[i] = fmt.Sprint(id)
		case h.date:
			values[i] = date
		case h.big:
			values[i] = fmt.Sprintf("repeat(md5('%d'), 320)", id)
		default:
			values[i] = "'" + strings.ReplaceAll(c, "'", "''") + "'"
		}
	}
	return fmt.Sprintf("INSERT INTO %s VALUES (%s)", h.source(), strings.Join(values, ", "))
}

// rest is a column that is neither the key nor the date nor the TOAST column.
func (h hostile) rest() string {
	i := slices.IndexFunc(h.columns, func(c string) bool { return c != h.key && c != h.date && c != h.big })
	return h.columns[i]
}

// changes are one transaction with every kind of change, none of which names the TOAST column.
func (h hostile) changes() string {
	set := func(column, value string, id int) string {
		return fmt.Sprintf("UPDATE %s SET %s = %s WHERE %s = %d", h.source(), ident(column), value, ident(h.key), id)
	}
	return strings.Join([]string{
		"BEGIN", set(h.rest(), "'changed'", 1), set(h.rest(), "'changed'", 2), set(h.key, "103", 3), set(h.key, "104", 4), set(h.date, "now()", 5),
		fmt.Sprintf("DELETE FROM %s WHERE %s = 6", h.source(), ident(h.key)), h.insert(7, "now()"), h.insert(8, "'2024-02-29 12:00Z'"), set(h.rest(), "NULL", 8), "COMMIT",
	}, "; ")
}

// hostileSchema returns the tables, the statements that make them with some rows, and their part of a configuration.
func hostileSchema() (tables []hostile, setup []string, text string) {
	for i, name := range hostileTables {
		columns := hostileColumns[i%len(hostileColumns)]
		column := func(n int) string { return columns[(5*(i/len(hostileColumns))+n)%len(columns)] }
		h := hostile{name, columns, column(0), column(1), column(2)}
		tables = append(tables, h)
		if name.Schema != "public" {
			setup = append(setup, "CREATE SCHEMA "+ident(name.Schema))
		}
		setup = append(setup, h.create()...)
		for id, date := range []string{"'2024-02-29 12:00Z'", "now()", "'2024-02-28'", "now()", "'2024-02-28'", "NULL"} {
			setup = append(setup, h.insert(id+1, date))
		}
		text += fmt.Sprintf("  %q: {date_column: %q, order_by: [%q], columns: {types: {%q: LowCardinality(String)}, codecs: {%q: \"Delta, ZSTD(1)\"}}}\n",
			name, h.date, column(3), column(4), h.key)
	}
	return tables, setup, text
}

// TestNames has hostile names in every place of every statement that a table takes part in.
func TestNames(t *testing.T) {
	t.Parallel()
	tables, setup, text := hostileSchema()
	text = "tick: 100ms\nrt_window: 1s\nsplit_step: 1s\nschedule: {roll: \"\", resync: \"\"}\ntables:\n" + text
	r := rig.New(t, servers, append(setup, `CREATE PUBLICATION tidemark FOR ALL TABLES`)...)
	file := r.ConfigFile(text)
	command(t, file, "check").works(t)
	b := r.Run(file, bridge.Options{CheckInvariants: true})
	n := namesRig{r, t, tables}
	n.compare("the snapshot")
	for _, h := range tables {
		n.exec(h.changes())
	}
	n.compare("changes")
	if _, err := b.Roll(t.Context()); err != nil {
		t.Fatal(err)
	}
	n.compare("a roll")
	if _, err := b.Resync(t.Context(), bridge.Request{}); err != nil {
		t.Fatal(err)
	}
	n.compare("a fold")
	for _, h := range tables {
		n.exec("TRUNCATE " + h.source())
	}
	n.compare("TRUNCATE")
	_ = b.Stop()
}

type namesRig struct {
	*rig.Rig
	t      *testing.T
	tables []hostile
}

func (n *namesRig) exec(statement string) {
	n.t.Helper()
	if _, err := n.PG.Exec(n.t.Context(), statement, pgx.QueryExecModeSimpleProtocol); err != nil {
		n.t.Fatalf("%.300s: %v", statement, err)
	}
}

// compare compares every view with its table, columns by their names.
func (n *namesRig) compare(step string) {
	n.t.Helper()
	n.WaitLSN(len(n.tables))
	for _, h := range n.tables {
		want, got := n.postgresRows(h), n.viewRows(h)
		if !slices.Equal(want, got) {
			n.t.Errorf("after %s, %s: missing %s; not in PostgreSQL %s", step, h.name, sample(without(want, got)), sample(without(got, want)))
		}
	}
}

func (n *namesRig) postgresRows(h hostile) []string {
	n.t.Helper()
	exprs := make([]string, len(h.columns))
	for i, c := range h.columns {
		if exprs[i] = ident(c) + "::text"; c == h.date {
			exprs[i] = "(extract(epoch FROM " + ident(c) + ") * 1000000)::bigint::text"
		}
	}
	rows, err := n.PG.Query(n.t.Context(), "SELECT array_to_string(ARRAY["+strings.Join(exprs, ", ")+"], '|', '~') FROM "+h.source())
	if err != nil {
		n.t.Fatal(err)
	}
	out, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		n.t.Fatal(err)
	}
	slices.Sort(out)
	return out
}

func (n *namesRig) viewRows(h hostile) (out []string) {
	n.t.Helper()
	exprs := make([]string, len(h.columns))
	for i, c := range h.columns {
		column := sql.Ident(c)
		if c == h.date {
			column = "toUnixTimestamp64Micro(" + column + ")"
		}
		exprs[i] = "ifNull(toString(" + column + "), '~')"
	}
	view := sql.Ident(n.Name) + "." + sql.Ident(bridge.ViewName(h.name.Schema, h.name.Name))
	rows, err := n.CH.Query(n.t.Context(), "SELECT arrayStringConcat(["+strings.Join(exprs, ", ")+"], '|') FROM "+view)
	if err != nil {
		n.t.Fatalf("%s: %v", h.name, err)
	}
	defer rows.Close()
	for rows.Next() {
		var text string
		if err := rows.Scan(&text); err != nil {
			n.t.Fatal(err)
		}
		out = append(out, text)
	}
	if rows.Err() != nil {
		n.t.Fatalf("%s: %v", h.name, rows.Err())
	}
	slices.Sort(out)
	return out
}

// TestRefusedNames has names that cannot be, which check says before anything is made.
func TestRefusedNames(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("é", 31)
	r := rig.New(t, servers, "CREATE SCHEMA a", "CREATE SCHEMA a_b", "CREATE SCHEMA "+long,
		"CREATE TABLE a.b_c (id int PRIMARY KEY)", "CREATE TABLE a_b.c (id int PRIMARY KEY)", "CREATE TABLE split_date (id int PRIMARY KEY)",
		"CREATE TABLE "+long+"."+long+" (id int PRIMARY KEY)", "CREATE TABLE held (id int PRIMARY KEY, _part text)",
		`CREATE TABLE parts (id int PRIMARY KEY, a text, "a.size" int)`, "CREATE PUBLICATION tidemark FOR ALL TABLES")
	for tables, want := range map[string][]string{
		"  a.b_c: {}\n  a_b.c: {}":        {"a.b_c", "a_b.c", `the view "a_b_c"`, "leave one of them out"},
		"  public.split_date: {}":         {"public.split_date", "leave the table out"},
		"  " + long + "." + long + ": {}": {long + "." + long, "bytes", "rename"},
		"  public.held: {}":               {"public.held", `"_part"`, "exclude"},
		"  public.parts: {}":              {"public.parts", `"a.size"`, `"a"`, "exclude"},
	} {
		command(t, r.ConfigFile("tables:\n"+tables), "check").fails(t, 1, want)
	}
	file := r.ConfigFile("tables:\n  public.held: {columns: {exclude: [_part]}}")
	command(t, file, "check").works(t)
}
