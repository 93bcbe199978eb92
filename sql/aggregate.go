package sql

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// Key is a key of an aggregate: an expression over the table's columns.
type Key struct {
	Column
	Expr string
}

// Measure is one aggregate function call over the table's columns. Column has the type of its result.
type Measure struct {
	Column
	Call  Call
	State string // type of its states, as ClickHouse names it

	combine string // the function that makes results of results, where those are all that has to be kept; see combiner
}

// AggregateConfig is what an Aggregate is made of. Where empty takes every row.
type AggregateConfig struct {
	Table    *Table
	Name     string // of the view
	Keys     []Key
	Measures []Measure
	Where    string
}

// Aggregate renders the statements of one declared aggregate. Its states lie in chunks with the numbers of the chunks of
// rows that they stand for.
type Aggregate struct{ AggregateConfig }

// NewAggregate checks the names and returns the aggregate.
func NewAggregate(c AggregateConfig) (*Aggregate, error) {
	c.Measures = slices.Clone(c.Measures)
	for i := range c.Measures {
		m := &c.Measures[i]
		if m.combine = combiner(m.Call, m.Type.Name, len(c.Keys) > 0); m.combine != "" {
			m.State = m.Type.Name
		}
	}
	a := &Aggregate{c}
	if c.Table.prefix != ownPrefix {
		return nil, fmt.Errorf("table %s has a column whose name is one of tidemark's own", c.Table.Source)
	}
	for _, col := range slices.Concat(a.Columns(), c.Table.Columns) {
		for _, prefix := range []string{"_key_", "_state_", "_chunk", "_outlived", "_mark"} {
			if strings.HasPrefix(col.Shown(), prefix) {
				return nil, fmt.Errorf("%q is a name that tidemark's own statements need", col.Shown())
			}
		}
	}
	return a, nil
}

// AggregateRegions lists the regions whose text ends the name of an internal table or view of an aggregate. All states lie in
// Chunks; the views show those that the newest mark lists for RT and LATE, and for HISTORIC.
func AggregateRegions() []Region { return []Region{Chunks, Empty, RT, Historic} }

// Definition identifies what the states were made of: states of two definitions must never be merged.
func (a *Aggregate) Definition() string {
	parts := []string{a.Table.Name, a.Where}
	for _, k := range a.Keys {
		parts = append(parts, "key", k.Name, k.Expr, k.Type.Name)
	}
	for _, m := range a.Measures {
		parts = append(parts, "measure", m.Name, m.compute(), m.State, m.Type.Name)
	}
	sum := sha256.Sum256([]byte(strings.Join(parts, "\x00")))
	return hex.EncodeToString(sum[:8])
}

// View is the quoted name of the view that people query.
func (a *Aggregate) View() string { return qualified(string(a.Table.Database), a.Name) }

// RegionName is the unquoted name of the table with the states of a region's chunks in the database of the internals.
func (a *Aggregate) RegionName(r Region) string { return AggregateTable(a.Name, r.Home()) }

// AggregateTable is the unquoted name of a table or view of an aggregate in the database of the internals.
func AggregateTable(name string, r Region) string { return name + "_" + string(r) }

func (a *Aggregate) internal(r Region) string {
	return qualified(a.Table.Database.Internals(), AggregateTable(a.Name, r))
}

// Chunks is the quoted name of the table with the states.
func (a *Aggregate) Chunks() string { return a.internal(Chunks) }

// Columns are those of the view.
func (a *Aggregate) Columns() (out []Column) {
	for _, k := range a.Keys {
		out = append(out, k.Column)
	}
	for _, m := range a.Measures {
		out = append(out, m.Column)
	}
	return out
}

// StoredColumns are those of the states besides _chunk.
func (a *Aggregate) StoredColumns() []Column {
	out := a.Columns()
	for i, m := range a.Measures {
		out[len(a.Keys)+i].Type = Type{Name: m.State}
	}
	return out
}

// FirstCodec is the codec of the column that states are sorted by: within a chunk its values only grow, and each comes once
// where it is the only key. Without it, states per customer took a third more than with the chunk in their key.
func (a *Aggregate) FirstCodec() string {
	if len(a.Keys) == 0 || !growing.MatchString(a.Keys[0].Type.Name) {
		return ""
	}
	return " CODEC(Delta, LZ4)"
}

// growing matches the types that the codec Delta takes.
var growing = regexp.MustCompile(`^(U?Int(8|16|32|64)|Date|Date32|DateTime|DateTime64)($|\()`)

// KeyNames are the names of the keys.
func (a *Aggregate) KeyNames() []string {
	out := make([]string, len(a.Keys))
	for i, k := range a.Keys {
		out[i] = k.Name
	}
	return out
}

// MeasureNames are the names of the measures.
func (a *Aggregate) MeasureNames() []string {
	out := make([]string, len(a.Measures))
	for i, m := range a.Measures {
		out[i] = m.Name
	}
	return out
}

// Within a statement, keys and states have names of their own: an alias that is the name of a column would stand for it
// in every other expression of the same SELECT.
func keyAlias(i int) string   { return Ident(fmt.Sprintf("_key_%d", i)) }
func stateAlias(i int) string { return Ident(fmt.Sprintf("_state_%d", i)) }

// KeyAliases lists the keys to group by.
func (a *Aggregate) KeyAliases() string {
	out := make([]string, len(a.Keys))
	for i := range a.Keys {
		out[i] = keyAlias(i)
	}
	return strings.Join(out, ", ")
}

// list renders keys and states under their aliases.
func (a *Aggregate) list(key func(Key, string) string, state func(Measure, string) string) string {
	var out []string
	for i, k := range a.Keys {
		out = append(out, key(k, keyAlias(i)))
	}
	for i, m := range a.Measures {
		out = append(out, state(m, stateAlias(i)))
	}
	return strings.Join(out, ", ")
}

// Compute selects keys and states from rows.
func (a *Aggregate) Compute() string {
	return a.list(
		func(k Key, alias string) string { return k.Expr + " AS " + alias },
		func(m Measure, alias string) string { return m.compute() + " AS " + alias })
}

// Read selects keys and states from stored ones.
func (a *Aggregate) Read() string {
	return a.list(
		func(k Key, alias string) string { return Ident(k.Name) + " AS " + alias },
		func(m Measure, alias string) string { return Ident(m.Name) + " AS " + alias })
}

// Merge selects the keys and the states of what Read selected.
func (a *Aggregate) Merge() string {
	return a.list(
		func(_ Key, alias string) string { return alias },
		func(m Measure, alias string) string { return m.merge(alias) })
}

// Results selects the keys and the results of what Read selected.
func (a *Aggregate) Results() string {
	return a.list(
		func(k Key, alias string) string { return alias + " AS " + Ident(k.Name) },
		func(m Measure, alias string) string { return m.result(alias) + " AS " + Ident(m.Name) })
}

// AggregateComment begins the comment of everything that is made for aggregates, by which it is found again.
const AggregateComment = "tidemark: aggregate "

// Comment says in ClickHouse what a table or view is for.
func (a *Aggregate) Comment() string { return AggregateComment + a.Name + " of " + a.Table.Source }

// NotYet is what a query is told whose aggregate is not complete.
func (a *Aggregate) NotYet() string {
	return "tidemark: aggregate " + a.Name + " is not computed yet; tidemark status shows its progress"
}

// NoPruning is what a query is told whose session turned off what the view needs.
func (a *Aggregate) NoPruning() string { return a.Table.NoPruning() }

// Outlived is what a query is told whose chunks are gone.
func (a *Aggregate) Outlived() string { return a.Table.Outlived() }

// name and aggregateName are the keys of the table and of the aggregate in the mark.
func (a *Aggregate) name() string          { return a.Table.Name }
func (a *Aggregate) aggregateName() string { return a.Name }

// stored is an aggregate with one of its tables.
type stored struct {
	*Aggregate
	To string
}

func (a *Aggregate) render(file string, data any) Statement {
	return render(a.Table.Database, file, data)
}

// CreateTables returns the statements that create the tables of states when missing.
func (a *Aggregate) CreateTables() (out []Statement) {
	for _, r := range []Region{Chunks, Empty} {
		out = append(out, a.render("create_states.sql", stored{a, a.internal(r)}))
	}
	return out
}

// CreateRegionViews returns the statements that create, where they are missing, views of the states that the newest mark lists.
func (a *Aggregate) CreateRegionViews() (out []Statement) {
	for _, v := range []struct {
		region Region
		lists  []string
	}{{RT, []string{"rt", "late"}}, {Historic, []string{"merged"}}} {
		out = append(out, a.render("create_region_view.sql", aggregateView{
			Aggregate: a, Name: a.internal(v.region), From: a.Chunks(), Lists: v.lists, Columns: a.StoredColumns(), Comment: a.Comment(),
		}))
	}
	return out
}

// aggregateView is the data of create_region_view.sql.
type aggregateView struct {
	*Aggregate
	Name, From, Comment string
	Columns             []Column
	Lists               []string
}

// CreateView returns the statement that creates the view. Until a mark holds this definition, the view answers with an
// error.
func (a *Aggregate) CreateView() Statement { return a.render("create_aggregate_view.sql", a) }

// Insert computes the states of one chunk of rows of RT, LATE or HISTORIC. Parameter: chunk.
func (a *Aggregate) Insert() Statement { return a.render("insert_states.sql", a) }

// MergeStates makes one chunk of states of several. Parameters: to, from.
func (a *Aggregate) MergeStates() Statement { return a.render("merge_states.sql", a) }

// EstimateMerged estimates how many states MergeStates would write. Parameter: from.
func (a *Aggregate) EstimateMerged() Statement { return a.render("estimate_merged.sql", a) }

// DropPartitions drops the partitions with these ids.
func (a *Aggregate) DropPartitions(_ Region, ids []string) Statement {
	return clearPartitions(a.Table.Database, a.internal(Chunks), a.internal(Empty), ids)
}

// DropPlainly is DropPartitions by the statement of that name.
func (a *Aggregate) DropPlainly(_ Region, ids []string) Statement {
	return a.render("drop_partitions.sql", map[string]any{"Name": a.internal(Chunks), "Partitions": ids})
}

// PartitionID is the id of the partition of a chunk.
func (a *Aggregate) PartitionID(_ Region, chunk uint64) string { return strconv.FormatUint(chunk, 10) }

// CountStates counts the states of chunks by aggregate; the aggregates are of one database. Parameter: chunks.
func CountStates(list []*Aggregate) Statement { return list[0].render("count_states.sql", list) }

// DropAggregate returns the statements that drop the view and the tables of an aggregate.
func (d Database) DropAggregate(name string) []Statement {
	out := []Statement{d.DropView(name)}
	for _, r := range AggregateRegions() {
		out = append(out, d.DropMade(d.Internals(), AggregateTable(name, r)))
	}
	return out
}

// ListAggregates returns the statement that lists what was made for aggregates: database, name. Parameters: views,
// internals, prefix.
func (d Database) ListAggregates() Statement { return d.render("list_aggregates.sql") }

// ListChangingFunctions returns the statement that lists those of some functions whose result is not determined by their
// arguments. Parameter: names, in lower case.
func (d Database) ListChangingFunctions() Statement { return d.render("list_changing_functions.sql") }

// expression is the data of describe_expression.sql.
type expression struct {
	Select, Where, GroupBy string
	Row, RowsType          string
}

// DescribeKey has the server name the type of a key. It reads nothing and needs no table.
func (t *Table) DescribeKey(expr string) Statement {
	return t.describe(expression{Select: expr + " AS `_key_0`", GroupBy: "`_key_0`"})
}

// DescribeMeasure has the server name the types of a measure's result and, if asked for, of its state.
func (t *Table) DescribeMeasure(c Call, state bool) Statement {
	result := c.Function + c.Params + c.Args + " AS `_result_0`"
	if state {
		result += ", " + c.State() + " AS `_state_0`"
	}
	return t.describe(expression{Select: result})
}

// DescribeFilter has the server check a filter.
func (t *Table) DescribeFilter(expr string) Statement {
	return t.describe(expression{Select: "1", Where: expr})
}

func (t *Table) describe(e expression) Statement {
	row, types := make([]string, len(t.Columns)), make([]string, len(t.Columns))
	for i, c := range t.Columns {
		row[i] = fmt.Sprintf("`_row`.%d AS %s", i+1, Ident(c.Shown()))
		types[i] = c.Type.Name
	}
	e.Row, e.RowsType = strings.Join(row, ", "), "Array(Tuple("+strings.Join(types, ", ")+"))"
	return render(t.Database, "describe_expression.sql", e)
}

// DropMade returns the statement that drops what ListAggregates listed.
func (d Database) DropMade(database, name string) Statement {
	if database == string(d) {
		return d.DropView(name)
	}
	return render(d, "drop_table.sql", map[string]string{"Name": qualified(database, name)})
}
