package sql

import (
	"flag"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

var rewrite = flag.Bool("rewrite", false, "rewrite the golden files")

// column maps a PostgreSQL type as the bridge does.
func column(t *testing.T, name string, oid uint32, typmod int32, notNull bool) Column {
	t.Helper()
	typ, err := MapType(SourceColumn{Name: name, TypeOID: oid, TypeMod: typmod, TypeName: "t", NotNull: notNull}, "America/New_York", Override{})
	if err != nil {
		t.Fatal(err)
	}
	return Column{Name: name, Type: typ}
}

// goldenTables are the kinds of tables that statements differ for.
func goldenTables(t *testing.T) map[string]TableConfig {
	id := column(t, "id", oidInt8, -1, true)
	price := column(t, "price", oidNumeric, 12<<16|2+4, true)
	id.Codec = "Delta, ZSTD(1)"
	at := column(t, "created_at", oidTimestampTZ, -1, true)
	local := column(t, "mtime", oidTimestamp, -1, false)
	day := column(t, "day", oidDate, -1, true)
	note := column(t, "no`te'\\", oidText, -1, false)
	return map[string]TableConfig{
		"sales":     {Source: "public.sales", Columns: []Column{id, at, price, note}, Key: []string{"id"}, Date: "created_at", OrderBy: []string{"price", "created_at"}},
		"composite": {Source: "public.composite", Columns: []Column{id, day, price}, Key: []string{"day", "id"}, Date: "day", PartitionBy: "month"},
		"keyless":   {Source: "public.keyless", Columns: []Column{price, local}, Date: "mtime", PartitionBy: "hour"},
		"own":       {Source: "public.own", Columns: []Column{column(t, "_chunk", oidInt8, -1, true), column(t, "__source_7", oidInt8, -1, false), at}, Key: []string{"_chunk"}, Date: "created_at"},
		"kept":      {Source: "public.kept", Columns: []Column{id, at, note}, Key: []string{"id"}, Date: "created_at", KeepsOld: true, Retains: true, Feed: true},
		"evolved":   {Source: "public.evolved", Columns: []Column{{Name: "id", Alias: "number", Type: id.Type}, at, {Name: "price_2", Alias: "price", Type: price.Type}}, Key: []string{"id"}, Date: "created_at"},
		"stores":    {Source: "we`ird.stores", Columns: []Column{id, note}, Key: []string{"id"}},
	}
}

func tableStatements(t *Table) []Statement {
	out := append(slices.Concat(t.CreateTables(), t.CreateRegionViews()), t.CreateView(), t.HoldView(),
		t.InsertChanges(), t.InsertUnresolved(), t.InsertChunk(), t.UpgradeChunks(RT), t.UpgradeChunks(Historic), t.UpgradeMasks(),
		t.ResolveUnchanged(), t.CompactChanges(), t.CountChanges(), t.CountLookups(), t.Locate(),
		t.MaskHistoric(), t.CountMasks(), t.MergeMasks(), t.Rewrite(RT, true), t.Rewrite(Late, false), t.Thin(),
		t.CountChunks(), t.Roll(), t.Keep(), t.RollChecksum(RT), t.RollChecksum(Historic),
		t.Fold(), t.FoldPeriods(), t.FoldRest(), t.FoldRestPeriods(), t.FoldMasks(), t.KeepLate(),
		t.ChunksInRange(), t.Compare(), t.Differ(), t.Replace(),
		t.AddColumns([]Added{{Column{Name: "added_2", Alias: "added", Type: t.Columns[0].Type}, "1"}})[0],
		t.CheckInvariants(), t.DropPartitions(Masks, []string{"1"}), t.DropPartitions(Historic, []string{"20260101-1", "0-2"}), t.DropPlainly(Historic, []string{"20260101-1"}),
		t.FillEmpty([]Added{{Column: Column{Name: "added_2", Type: t.Columns[0].Type}}}))
	if t.Feed {
		out = append(out, t.CreateFeedView(), t.InsertFeed(), t.NoteFeed(), t.DropFeedDays([]string{"20260101"}))
		out = append(out, t.DropFeed()...)
	}
	return append(out, t.DropTables()...)
}

// goldenAggregates are declared over a table: with keys, a filter and parameters, and with nothing but a count.
func goldenAggregates(t *testing.T, table *Table) []*Aggregate {
	measure := func(name, expr, result, state string) Measure {
		call, err := ParseCall(expr)
		if err != nil {
			t.Fatal(err)
		}
		return Measure{Column: Column{Name: name, Type: Type{Name: result}}, Call: call, State: state}
	}
	count := measure("n`", "count()", "UInt64", "AggregateFunction(count)")
	if table.prefix != ownPrefix {
		return nil // refused
	}
	var out []*Aggregate
	for _, c := range []AggregateConfig{
		{Name: "by_minute", Where: "price != 'x'", Keys: []Key{
			{Column{Name: "minute", Type: Type{Name: "DateTime('UTC')"}}, "toStartOfMinute(created_at)"}, {Column{Name: "price", Type: Type{Name: "Decimal(12, 2)"}}, "price"},
		}, Measures: []Measure{measure("p90", "quantileExact(0.9)(price)", "Decimal(12, 2)", "AggregateFunction(quantileExact(0.9), Decimal(12, 2))"), count}},
		{Name: "in`all'", Measures: []Measure{count}},
	} {
		c.Table = table
		a, err := NewAggregate(c)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, a)
	}
	return out
}

func aggregateStatements(list []*Aggregate) (out []Statement) {
	for _, a := range list {
		out = append(out, slices.Concat(a.CreateTables(), a.CreateRegionViews())...)
		out = append(out, a.CreateView(), a.Insert(), a.MergeStates(), a.EstimateMerged(), a.DropPartitions(RT, []string{"1"}))
		out = append(out, a.Table.Database.DropAggregate(a.Name)...)
	}
	first := list[0]
	d := first.Table.Database
	return append(out, CountStates(list), first.Table.DescribeKey("toDate(created_at)"), first.Table.DescribeMeasure(first.Measures[0].Call, true),
		first.Table.DescribeFilter("price > 0"), d.ListAggregates(), d.ListChangingFunctions(), d.DropMade(string(d), "v"), d.DropMade(d.Internals(), "v_rt"))
}

func databaseStatements(d Database) []Statement {
	out := append(d.CreateDatabases(), d.CreateMarks()...)
	out = append(out, d.CreateCurrent(), d.ReadMark(), d.ReadMarkFormat(), d.NewestMark(), d.ListMarks(), d.InsertMark(), d.InsertWriter(), d.NewestWriters(),
		d.ArchiveMarks(), d.ListChunks(), d.OldestQuery(), d.KillOlderTerms(), d.DropMarks([]string{"0"}), d.FindTable(), d.ListForeign(), d.FindDatabase(),
		d.ListColumns(), d.CheckGrant(Privileges()[0], string(d)), d.CheckReplace(), d.ServerClock(), d.ShowInstants("America/New_York"), d.SelfCheck([]string{"`shop`.`sales`"}), d.ListDefiners(), d.InsertVerified(), d.ListVerified(),
		d.InsertPartitions(), d.ListPartitions(), d.InsertShape(), d.ListShapes(), d.ListApart(), d.DropApart("sales_rt"))
	out = append(out, d.AddMasked()...)
	return append(out, d.Drop([]string{"sales"})...)
}

// Statements are all that the package renders; every statement's file is in TestGolden's, which renders the same.
func Statements(t *testing.T) (out []Statement) {
	out = databaseStatements("shop")
	for name, config := range goldenTables(t) {
		config.Database, config.Name = "shop", name
		table, err := NewTable(config)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, tableStatements(table)...)
	}
	return out
}

func TestGolden(t *testing.T) {
	seen := map[string]bool{}
	check := func(name string, statements []Statement) {
		t.Helper()
		var b strings.Builder
		for _, s := range statements {
			seen[s.Name+".sql"] = true
			b.WriteString("-- " + s.Name + "\n" + s.Text + ";\n\n")
		}
		golden(t, name, b.String())
	}
	check("database", databaseStatements("shop"))
	check("hostile_database", databaseStatements("sh`op'\\"))
	for name, config := range goldenTables(t) {
		config.Database, config.Name = "shop", name
		table, err := NewTable(config)
		if err != nil {
			t.Fatal(err)
		}
		check("table_"+name, tableStatements(table))
		if list := goldenAggregates(t, table); len(list) > 0 {
			check("aggregates_of_"+name, aggregateStatements(list))
		}
	}
	entries, err := files.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if !seen[e.Name()] && !included(t, entries, e.Name()) {
			t.Errorf("no golden file has a statement of %s", e.Name())
		}
	}
}

// included reports whether another file takes in this one.
func included(t *testing.T, entries []fs.DirEntry, name string) bool {
	return slices.ContainsFunc(entries, func(e fs.DirEntry) bool {
		text, err := files.ReadFile(e.Name())
		if err != nil {
			t.Fatal(err)
		}
		return strings.Contains(string(text), `{{template "`+name+`"`)
	})
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	file := filepath.Join("testdata", name+".golden.sql")
	if *rewrite {
		if err := os.MkdirAll("testdata", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s differs from what is rendered; go test ./sql -rewrite, and read the diff", file)
	}
}

// TestOneMarkText holds the views to the one text of the scalar subquery: ClickHouse reads the mark once per text.
func TestOneMarkText(t *testing.T) {
	mark := Database("shop").Mark()
	for name, config := range goldenTables(t) {
		config.Database, config.Name = "shop", name
		table, err := NewTable(config)
		if err != nil {
			t.Fatal(err)
		}
		view := table.CreateView().Text
		if strings.Count(view, "`split_date`") != strings.Count(view, mark) {
			t.Errorf("the view of %s reads split_date other than through the mark's text", name)
		}
		for _, a := range goldenAggregates(t, table) {
			view := a.CreateView().Text
			if n := strings.Count(view, mark); n == 0 || strings.Count(view, "`split_date`") != n {
				t.Errorf("the view of %s reads split_date other than through the mark's text", a.Name)
			}
		}
	}
	if !strings.Contains(Database("shop").CreateCurrent().Text, mark) {
		t.Error("split_date_current reads the mark by another text than the views")
	}
}
