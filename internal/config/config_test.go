package config

import (
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/tidemark-db/tidemark/internal/fault"
)

const head = `source: {dsn: "postgres://u@h/shop"}
clickhouse: {dsn: "clickhouse://u@h:9000/shop"}
`

func noEnv(string) (string, bool) { return "", false }

func envOf(pairs map[string]string) func(string) (string, bool) {
	return func(name string) (string, bool) {
		value, ok := pairs[name]
		return value, ok
	}
}

func load(t *testing.T, text string, env, flags map[string]string) *Config {
	t.Helper()
	c, err := Parse("t.yaml", []byte(text), envOf(env), flags)
	if err != nil {
		t.Fatalf("parse: %v", err)
	}
	return c
}

func TestExample(t *testing.T) {
	c, err := Load("../../deploy/tidemark.example.yaml", noEnv, nil)
	if err != nil {
		t.Fatal(err)
	}
	want := defaults()
	want.Source = Source{
		DSN: "postgres://tidemark@localhost:5432/shop", Database: "shop", Publication: "tidemark", Slot: "tidemark",
		TimeZone: TimeZone{"UTC", time.UTC},
	}
	want.ClickHouse = ClickHouse{DSN: "clickhouse://tidemark@localhost:9000/shop", Database: "shop"}
	want.Tables = []Table{
		{
			Name: TableName{"public", "sales"}, DateColumn: "created_at", OrderBy: []string{"store_id", "created_at"},
			PartitionBy: ByDay, RTWindow: 30 * time.Minute,
			Columns: Columns{Exclude: []string{"internal_note"}, Types: map[string]ColumnType{"price": {Type: "Decimal(12, 2)"}}},
			Aggregates: []Aggregate{{
				Name:     "sales_by_minute",
				By:       []NamedExpr{{"minute", "toStartOfMinute(created_at)"}, {"store_id", "store_id"}},
				Measures: []NamedExpr{{"revenue", "sum(price * qty)"}, {"sales", "count()"}, {"customers", "uniq(customer_id)"}},
				Where:    "status != 'cancelled'",
			}},
		},
		{Name: TableName{"public", "stores"}},
	}
	c.values = nil
	if !reflect.DeepEqual(c, want) {
		t.Errorf("got  %+v\nwant %+v", c, want)
	}
}

func TestDefaultsAreTheExample(t *testing.T) {
	text, err := os.ReadFile("../../deploy/tidemark.example.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var kept []string
	for line := range strings.Lines(string(text)) {
		if !strings.Contains(line, "# default;") {
			kept = append(kept, line)
		}
	}
	all := load(t, string(text), nil, nil)
	if diff := load(t, strings.Join(kept, ""), nil, nil).Diff(all); len(diff) > 0 {
		t.Errorf("these values of the example are marked as defaults and are not: %v", diff)
	}
}

func TestPrecedence(t *testing.T) {
	text := head + "tick: 2s\nrt_window: 2m\nsplit_step: 2s\ntables: {public.sales: {date_column: at, rt_window: 3m}}\n"
	c := load(t, text, map[string]string{
		"TIDEMARK_TICK":                          "3s",
		"TIDEMARK_RT_WINDOW":                     "3m",
		"TIDEMARK_TABLES_PUBLIC_SALES_RT_WINDOW": "4m",
		"TIDEMARK_LIMITS_LATE_ROWS":              "5",
		"TIDEMARK_TABLES_PUBLIC_SALES_ORDER_BY":  "a, b",
	}, map[string]string{
		"tick": "4s", "tables.public.new": "{}", "tables.public.dated.date_column": "d",
		`tables."public".sales.columns.types.price`: "String",
	})
	sales, fresh, dated := c.Tables[0], c.Tables[1], c.Tables[2]
	if fresh.Name.Name == "dated" {
		fresh, dated = dated, fresh
	}
	for _, check := range []struct {
		what      string
		got, want any
	}{
		{"tick from the flag", c.Tick, 4 * time.Second},
		{"rt_window from the environment", c.RTWindow, 3 * time.Minute},
		{"split_step from the file", c.SplitStep, 2 * time.Second},
		{"slot by default", c.Source.Slot, "tidemark"},
		{"late_rows from the environment", c.Limits.LateRows, int64(5)},
		{"a table's window from the environment", sales.RTWindow, 4 * time.Minute},
		{"a list from the environment", sales.OrderBy, []string{"a", "b"}},
		{"a type from a flag", sales.Columns.Types, map[string]ColumnType{"price": {Type: "String"}}},
		{"a mirrored table from a flag", fresh.Mirrored(), true},
		{"a table's window by default", dated.RTWindow, 3 * time.Minute},
		{"a table's partitions by default", dated.PartitionBy, ByDay},
	} {
		if !reflect.DeepEqual(check.got, check.want) {
			t.Errorf("%s: got %v, want %v", check.what, check.got, check.want)
		}
	}
}

// TestColumns reads what may be said of a column, with YAML's null as the word.
func TestColumns(t *testing.T) {
	text := head + `tables:
  public.a:
    columns:
      types: {price: "Decimal(12, 2)", weight: {type: Float64, lossy: true}, "we.ird": String}
      out_of_range: {until: null, since: clamp, quoted: "null"}
      codecs: {id: "Delta, ZSTD(1)"}
`
	want := Columns{
		Types:      map[string]ColumnType{"price": {Type: "Decimal(12, 2)"}, "weight": {Type: "Float64", Lossy: true}, "we.ird": {Type: "String"}, "more": {Type: "Float32", Lossy: true}},
		OutOfRange: map[string]OutOfRange{"until": Null, "since": Clamp, "quoted": Null},
		Codecs:     map[string]string{"id": "Delta, ZSTD(1)"},
	}
	c := load(t, text, nil, map[string]string{"tables.public.a.columns.types.more.type": "Float32", "tables.public.a.columns.types.more.lossy": "true"})
	if !reflect.DeepEqual(c.Tables[0].Columns, want) {
		t.Errorf("got %+v, want %+v", c.Tables[0].Columns, want)
	}
}

func TestTableLookup(t *testing.T) {
	c := load(t, head+`tables: {public.a: {}, public.b: {}, other.b: {}, '"we.ird"."Ta""b"': {}}`, nil, nil)
	for name, want := range map[string]string{
		"public.a": "public.a", "a": "public.a", "other.b": "other.b", `"public"."b"`: "public.b",
		`"we.ird"."Ta""b"`: `"we.ird"."Ta""b"`, `"Ta""b"`: `"we.ird"."Ta""b"`,
	} {
		if table, err := c.Table(name); err != nil || table.Name.String() != want {
			t.Errorf("%s: got %v, %v", name, table, err)
		}
	}
	for name, want := range map[string]string{
		"b":     "table name b is in more than one schema; name it with its schema, e.g. public.b",
		"A":     `table A is not in the configuration; name one of public.a, public.b, other.b, "we.ird"."Ta""b"`,
		"a.b.c": `table name "a.b.c" is not schema.table; name one of public.a, public.b, other.b, "we.ird"."Ta""b"`,
	} {
		if _, err := c.Table(name); err == nil || err.Error()+"; "+fault.Try(err) != want {
			t.Errorf("%s: got %v; %s", name, err, fault.Try(err))
		}
	}
}

func TestDiff(t *testing.T) {
	before := load(t, head+"tables: {public.a: {}, public.b: {date_column: d}}", nil, nil)
	after := load(t, head+"tick: 2s\nschedule: {roll: '@every 2m', resync: '@hourly'}\ntables: {public.b: {date_column: e}, public.c: {}}",
		map[string]string{"TIDEMARK_SOURCE_DSN": "postgres://u:secret@h/shop"}, nil)
	got := strings.Join(after.Diff(before), " ")
	for _, path := range []string{"source.dsn", "tick", "schedule.roll", "tables.public.a", "tables.public.b.date_column", "tables.public.c"} {
		if !strings.Contains(" "+got+" ", " "+path+" ") {
			t.Errorf("%s is not in %s", path, got)
		}
	}
	for _, path := range []string{"schedule.resync", "rt_window", "tables.public.b"} {
		if strings.Contains(" "+got+" ", " "+path+" ") {
			t.Errorf("%s is in %s", path, got)
		}
	}
	if diff := after.Diff(after); len(diff) > 0 {
		t.Errorf("differs from itself in %v", diff)
	}
}

func TestUnreadableFile(t *testing.T) {
	_, err := Load(filepath.Join(t.TempDir(), "none.yaml"), noEnv, nil)
	var faults Faults
	if !errors.As(err, &faults) || len(faults) != 1 || !strings.HasSuffix(err.Error(), "cannot read the configuration: no such file or directory") {
		t.Errorf("got %v", err)
	}
}

func TestAges(t *testing.T) {
	c, err := Parse("t.yaml", []byte(head+"tables:\n  public.a: {date_column: d, deletes: apply}\n  public.b: {date_column: d, deletes: {keep_older_than: 90d}, retain: 3y}\n"), envOf(nil), nil)
	if err != nil {
		t.Fatal(err)
	}
	if a := c.Tables[0]; a.KeepOlderThan != 0 || a.Retain != 0 {
		t.Errorf("%+v", a)
	}
	if b := c.Tables[1]; b.KeepOlderThan != 90*24*time.Hour || b.Retain != 3*365*24*time.Hour {
		t.Errorf("%+v", b)
	}
}
