package sql

import (
	"embed"
	"fmt"
	"slices"
	"strings"
	"text/template"
)

//go:embed *.sql
var files embed.FS

// Statement is a rendered statement. Name is its file's name without the ending: it says in logs, errors and
// failpoints which statement it was.
type Statement struct {
	Name string
	Text string
}

// Changes reports whether the statement changes state: those of ours that only read begin with one of these words.
func (s Statement) Changes() bool {
	reads := func(word string) bool { return strings.HasPrefix(s.Text, word) }
	return !slices.ContainsFunc([]string{"SELECT ", "SELECT\n", "WITH ", "CHECK ", "DESCRIBE "}, reads)
}

// The types of the mark's maps of tables. Readers need the first alone, so it stays small; the second is the writer's.
const (
	tableType  = "Tuple(split Nullable(DateTime64(6, 'UTC')), clean Array(UInt64), dirty Array(UInt64), masks Array(UInt64), late Array(UInt64), rt Array(UInt64), rows UInt64, shape UInt64, narrowed UInt64)"
	chunksType = "Map(UInt64, Tuple(rows UInt64, from Int64, to Int64))"

	// Likewise of aggregates: rows is what the view's guard compares, of names the chunks that a merged one stands for.
	aggregateType = "Tuple(table String, definition String, historic Array(UInt64), rows UInt64)"
	statesType    = "Map(UInt64, Tuple(rows UInt64, of Array(UInt64)))"
)

const (
	// durable: fsync at insert, and of what merges write, which ClickHouse otherwise leaves to the page cache.
	// old_parts_lifetime: chunks come and go each second; stock 480 s would keep an empty part for each dropped one.
	// auto_statistics_types: with stock ones, every query with two conditions loads those of each part that it may read, which
	// took 2 ms for 48 parts, as long as the rest of planning.
	durable = "fsync_after_insert = 1, fsync_part_directory = 1, min_rows_to_fsync_after_merge = 1, min_compressed_bytes_to_fsync_after_merge = 1, old_parts_lifetime = 5, auto_statistics_types = ''"
	// merged: the parts of a chunk, which grows no more after some seconds, become one. Merges by size would leave several, and a
	// query of 40 million rows in 117 parts took a third longer than in 34.
	merged = "min_age_to_force_merge_seconds = 60, min_age_to_force_merge_on_partition_only = 1"
	// oneFile: a file for all columns, not two for each: what is read once, and whole, is written and synced with a sixth less work.
	oneFile = "min_bytes_for_wide_part = 1000000000"
	// volatile: what a restart throws away, or can do without.
	volatile = "old_parts_lifetime = 5, auto_statistics_types = ''"
)

var templates = parse(ownPrefix)

// ownPrefix begins the names of the columns that internal tables have besides the source's. A table with such a column
// itself gets a longer prefix.
const ownPrefix = "_"

// parse parses the files with another prefix before our columns. They hold no name of the source yet.
func parse(prefix string) *template.Template {
	t := template.New("").Funcs(functions(prefix))
	entries, err := files.ReadDir(".")
	if err != nil {
		panic(err) // embedded
	}
	for _, e := range entries {
		text, err := files.ReadFile(e.Name())
		if err != nil {
			panic(err)
		}
		template.Must(t.New(e.Name()).Parse(strings.ReplaceAll(string(text), "`"+ownPrefix, "`"+prefix)))
	}
	return t
}

// functions are what the files may call.
func functions(prefix string) template.FuncMap {
	return template.FuncMap{
		"ident": Ident, "literal": Literal, "lsnText": lsnText,
		"durable":       func() string { return durable },
		"merged":        func() string { return merged },
		"oneFile":       func() string { return oneFile },
		"volatile":      func() string { return volatile },
		"tableType":     func() string { return tableType },
		"chunksType":    func() string { return chunksType },
		"aggregateType": func() string { return aggregateType },
		"statesType":    func() string { return statesType },
		"sortingKey":    func(names []string) string { return "(" + mapJoin(names, Ident) + ")" },
		"idents":        func(names []string) string { return mapJoin(names, Ident) },
		"tuple":         func(names []string) string { return tuple(mapJoin(names, Ident), len(names)) },
		"exprs":         func(names []string) string { return tuple(mapJoin(names, Ident), len(names)) },
		"columns":       func(cols []Column) string { return mapJoin(cols, func(c Column) string { return Ident(c.Name) }) },
		"shown":         func(cols []Column) string { return mapJoin(cols, shownColumn) },
		"defaults":      func(cols []Column) string { return mapJoin(cols, typedDefault) },
		"guarded":       func(cols []Column) string { return mapJoin(cols, guardedDefault(prefix)) },
		"prefixed":      prefixedColumns,
		"hidden":        hiddenKey,
		"settled":       func(own string) string { return settled(prefix + strings.TrimPrefix(own, ownPrefix)) },
		"source":        func(i int) string { return Ident(sourceName(prefix, i)) },
		"sources": func(key []string) string {
			out := make([]string, len(key))
			for i := range key {
				out[i] = Ident(sourceName(prefix, i))
			}
			return strings.Join(out, ", ")
		},
		"equal":       equal,
		"equalSource": func(a, b string, key []string) string { return equalSource(prefix, a, b, key) },
		// Bound to the database by render.
		"readMark": noDatabase, "withMark": noDatabase, "mark": noDatabase, "tables": noDatabase, "state": noDatabase, "masked": noDatabase, "aggregate": noDatabase,
	}
}

func noDatabase() (string, error) { return "", fmt.Errorf("no database bound") }

// Mark is the scalar subquery that reads the newest mark. ClickHouse evaluates scalar subqueries of one text once per
// query, so it must be this very text wherever a view needs the mark: that is what gives a query one state. Each SELECT of a
// view names it once, because ClickHouse resolves it wherever it stands, which takes longer than all that is done with it.
func (d Database) Mark() string {
	return "(SELECT (`term`, `epoch`, `lsn`, `commit_time`, `tables`, `aggregates`, `masked`) FROM " + d.SplitDate() + " ORDER BY `term` DESC, `epoch` DESC LIMIT 1)"
}

// render executes a file's template. A failure is a fault of this package, seen by every test that renders the file.
func render(d Database, file string, data any) Statement {
	parsed, prefix, name, aggregate := templates, ownPrefix, "", ""
	if own, ok := data.(interface{ columnPrefix() string }); ok && own.columnPrefix() != ownPrefix {
		prefix = own.columnPrefix()
		parsed = parse(prefix)
	}
	t := template.Must(parsed.Clone())
	if table, ok := data.(interface{ name() string }); ok {
		name = table.name()
	}
	if a, ok := data.(interface{ aggregateName() string }); ok {
		aggregate = a.aggregateName()
	}
	mark := Ident(prefix + "mark")
	t.Funcs(template.FuncMap{
		"readMark":  d.Mark,
		"withMark":  func() string { return "WITH " + d.Mark() + " AS " + mark },
		"mark":      func() string { return mark },
		"tables":    func() string { return mark + ".5" },
		"state":     func() string { return "(" + mark + ".5)[" + Literal(name) + "]" },
		"aggregate": func() string { return "(" + mark + ".6)[" + Literal(aggregate) + "]" },
		"masked":    func() string { return "(" + mark + ".7)[" + Literal(name) + "]" },
	})
	var b strings.Builder
	if err := t.ExecuteTemplate(&b, file, data); err != nil {
		panic(fmt.Sprintf("render %s: %v", file, err))
	}
	return Statement{Name: strings.TrimSuffix(file, ".sql"), Text: strings.TrimSuffix(b.String(), "\n")}
}

func tuple(list string, n int) string {
	if n == 1 {
		return list
	}
	return "(" + list + ")"
}

// shownColumn selects a column of the internals under its name in the view.
func shownColumn(c Column) string {
	if c.Alias == "" {
		return Ident(c.Name)
	}
	return Ident(c.Name) + " AS " + Ident(c.Alias)
}

func typedDefault(c Column) string {
	return "defaultValueOfTypeName(" + Literal(c.Type.Name) + ") AS " + Ident(c.Shown())
}

// guardedDefault depends on the guard: whatever a query filters by in the last branch, the guard has to be evaluated.
func guardedDefault(prefix string) func(Column) string {
	return func(c Column) string {
		return "[defaultValueOfTypeName(" + Literal(c.Type.Name) + ")][1 + " + Ident(prefix+"outlived") + "] AS " + Ident(c.Shown())
	}
}

func prefixedColumns(alias string, cols []Column) string {
	return mapJoin(cols, func(c Column) string { return alias + "." + Ident(c.Name) })
}

// hiddenKey lists the key with its first column behind identity(), which keeps the planner from testing every mask
// against the primary index (46 ms against 5 for 50,000 masks).
func hiddenKey(key []string) string {
	return strings.Join(append([]string{"identity(" + Ident(key[0]) + ")"}, quoteAll(key[1:])...), ", ")
}

func quoteAll(names []string) []string {
	out := make([]string, len(names))
	for i, n := range names {
		out[i] = Ident(n)
	}
	return out
}

// sourceName is the column of the changes that holds the i-th key column of the row that a value comes from.
func sourceName(prefix string, i int) string { return fmt.Sprintf("%ssource_%d", prefix, i) }

func equal(a, b string, key []string) string {
	parts := make([]string, len(key))
	for i, k := range key {
		parts[i] = fmt.Sprintf("%s.%s = %s.%s", a, Ident(k), b, Ident(k))
	}
	return strings.Join(parts, " AND ")
}

func equalSource(prefix, a, b string, key []string) string {
	parts := make([]string, len(key))
	for i, k := range key {
		parts[i] = fmt.Sprintf("%s.%s = %s.%s", a, Ident(sourceName(prefix, i)), b, Ident(k))
	}
	return strings.Join(parts, " AND ")
}
