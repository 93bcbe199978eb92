package aggregate_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/tidemark-db/tidemark/internal/aggregate"
	"github.com/tidemark-db/tidemark/internal/config"
	"github.com/tidemark-db/tidemark/internal/fault"
	"github.com/tidemark-db/tidemark/internal/warehouse"
	"github.com/tidemark-db/tidemark/internal/warehouse/warehousetest"
	"github.com/tidemark-db/tidemark/sql"
)

func sales(t *testing.T) *sql.Table {
	t.Helper()
	typ := func(name string) sql.Type { return sql.Type{Name: name, Kind: sql.KindTimestampTZ, Zone: time.UTC} }
	table, err := sql.NewTable(sql.TableConfig{Database: "shop", Source: "public.sales", Name: "sales", Key: []string{"id"}, Date: "created_at", Columns: []sql.Column{
		{Name: "id", Type: typ("Int64")},
		{Name: "created_at", Type: typ("DateTime64(6, 'UTC')")},
		{Name: "price", Type: typ("Decimal(12, 2)")},
		{Name: "qty", Type: typ("Int32")},
		{Name: "status", Type: typ("LowCardinality(String)")},
		{Name: "no`te'", Type: typ("Nullable(String)")},
	}})
	if err != nil {
		t.Fatal(err)
	}
	return table
}

func named(pairs ...string) (out []config.NamedExpr) {
	for i := 0; i < len(pairs); i += 2 {
		out = append(out, config.NamedExpr{Name: pairs[i], Expr: pairs[i+1]})
	}
	return out
}

func TestDescribe(t *testing.T) {
	db, table := warehousetest.Open(t, "shop"), sales(t)
	t.Run("types are the server's", func(t *testing.T) { describeTypes(t, db, table) })
	for name, c := range refusals {
		t.Run(name, func(t *testing.T) {
			c.declared.Name = "daily"
			a, faults := aggregate.Describe(t.Context(), db, table, c.declared)
			if a != nil || len(faults) != len(c.want) {
				t.Fatalf("%v, %v, want %d faults", a, faults, len(c.want))
			}
			for i, want := range c.want {
				if text := faults[i].Error() + " / " + fault.Try(faults[i]); !strings.HasPrefix(text, "tables.public.sales.aggregates.daily"+want[0]) || !strings.Contains(text, want[1]) {
					t.Errorf("%q, want %q and %q in it", text, want[0], want[1])
				}
			}
		})
	}
}

func describeTypes(t *testing.T, db *warehouse.Conn, table *sql.Table) {
	a, faults := aggregate.Describe(t.Context(), db, table, config.Aggregate{
		Name: "daily", By: named("day", "toDate(created_at)", "qty", "status"),
		Measures: named("revenue", "sum(price * qty)", "price", "quantileExact(0.9)(price)", "notes", "uniqIf(`no``te'`, qty > 1)", "n", "count()"),
		Where:    "status != 'cancelled'",
	})
	if len(faults) > 0 {
		t.Fatal(faults)
	}
	var got []string
	for _, c := range append(a.Columns(), a.StoredColumns()...) {
		got = append(got, c.Name+" "+c.Type.Name)
	}
	want := []string{
		"day Date", "qty LowCardinality(String)", "revenue Decimal(38, 2)", "price Decimal(12, 2)", "notes UInt64", "n UInt64",
		"day Date", "qty LowCardinality(String)", "revenue Decimal(38, 2)", "price AggregateFunction(quantileExact(0.9), Decimal(12, 2))",
		"notes AggregateFunction(uniqIf, Nullable(String), UInt8)", "n UInt64",
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("columns\n%q, want\n%q", got, want)
	}
}

// refusals are declarations with, for each fault, how its path goes on and a part of what is said.
var refusals = map[string]struct {
	declared config.Aggregate
	want     [][2]string
}{
	"unknown function": {
		config.Aggregate{Measures: named("x", "summ(price)")},
		[][2]string{{".measures.x: ClickHouse says: ", "Function with name `summ` does not exist. Maybe you meant: ['sum']"}},
	},
	"wrong argument": {
		config.Aggregate{Measures: named("x", "sum(status)")},
		[][2]string{{".measures.x: ClickHouse says: ", "Illegal type"}},
	},
	"wrong parameter": {
		config.Aggregate{Measures: named("x", "quantileExact(price)(price)")},
		[][2]string{{".measures.x: ClickHouse says: ", "price"}},
	},
	"joined column": {
		config.Aggregate{Measures: named("x", "sum(stores.size)", "y", "max(cost)"), By: named("k", "stores.city")},
		[][2]string{
			{".by.k: ClickHouse says: Unknown expression", "join its view"},
			{".measures.x: ClickHouse says: Unknown expression", "an aggregate is over the columns of public.sales alone"},
			{".measures.y: ClickHouse says: Unknown expression", "join its view"},
		},
	},
	"no aggregate function": {
		config.Aggregate{Measures: named("x", "toString(price)", "y", "price", "z", "sum(price) / count()", "d", "count(DISTINCT qty)")},
		[][2]string{{".measures.x: toString is no aggregate function", "one call"}, {".measures.y: is not one call", ""}, {".measures.z: is not one call", ""}, {".measures.d: has DISTINCT", "uniqExact"}},
	},
	"order": {
		config.Aggregate{Measures: named("x", "any(price)", "y", "groupArrayIf(price, qty > 1)", "z", "first_value(qty)")},
		[][2]string{{".measures.x: the result of any depends on the order", "order_dependent: true"}, {".measures.y: the result of groupArrayIf", ""}, {".measures.z: the result of first_value", ""}},
	},
	"aggregate as a key": {
		config.Aggregate{By: named("k", "sum(price)"), Measures: named("n", "count()")},
		[][2]string{{".by.k: ClickHouse says: ", "Aggregate function"}},
	},
	"filter": {
		config.Aggregate{Where: "colour = 'red'", Measures: named("n", "count()")},
		[][2]string{{".where: ClickHouse says: Unknown expression", "colour"}},
	},
	"changing": {
		config.Aggregate{Where: "created_at > now()", By: named("k", "rand()"), Measures: named("n", "countIf(created_at < today())")},
		[][2]string{{".by.k: the result of rand", ""}, {".measures.n: the result of today", ""}, {".where: the result of now", "put it into the query"}},
	},
	"statement around it": {
		config.Aggregate{Where: "1) OR (1", By: named("k", "qty -- and more"), Measures: named("n", "sum((SELECT 1))")},
		[][2]string{{".by.k: has a comment", ""}, {".measures.n: has a subquery", ""}, {".where: has a parenthesis", ""}},
	},
	"the mark's name": {
		config.Aggregate{By: named("k", "qty"), Measures: named("_mark", "count()")},
		[][2]string{{": \"_mark\" is a name that tidemark's own statements need", "another name"}},
	},
	"names of ours": {
		config.Aggregate{By: named("_key_0", "qty"), Measures: named("n", "count()")},
		[][2]string{{": \"_key_0\" is a name that tidemark's own statements need", "another name"}},
	},
}

func TestDescribeOrderDependent(t *testing.T) {
	a, faults := aggregate.Describe(t.Context(), warehousetest.Open(t, "shop"), sales(t), config.Aggregate{Name: "a", OrderDependent: true, Measures: named("x", "any(price)")})
	if len(faults) > 0 || a.StoredColumns()[0].Type.Name != "AggregateFunction(any, Decimal(12, 2))" {
		t.Errorf("%v, %v", a, faults)
	}
}
