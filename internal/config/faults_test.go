package config

import (
	"errors"
	"strings"
	"testing"

	"github.com/tidemark-db/tidemark/internal/fault"
)

// someTable is a line that a file without other faults needs.
const someTable = "tables: {public.a: {}}\n"

var faultCases = map[string]struct {
	text  string
	env   map[string]string
	flags map[string]string
	want  []string
}{
	"empty": {"", nil, nil, []string{
		"t.yaml: tables: names no table", "t.yaml: source.dsn: is missing", "t.yaml: clickhouse.dsn: is missing",
	}},
	"syntax": {head + "tick: 1s\n bad: [\n", nil, nil, []string{
		"t.yaml:3: is not YAML: mapping value is not allowed in this context",
	}},
	"two documents": {head + someTable + "---\ntick: 1s\n", nil, nil, []string{"t.yaml:5: a second YAML document begins"}},
	"a list":        {"- a\n- b\n", nil, nil, []string{"t.yaml:1: is not a mapping of keys to values", "t.yaml: tables: names no table", "t.yaml: source.dsn: is missing", "t.yaml: clickhouse.dsn: is missing"}},
	"every fault at once": {
		`source:
  dsn: postgres://u@h/shop
  slot: My-Slot
  publicaton: x
clickhouse:
  dsn: clickhouse://u@h:9000
rt_window: soon
tick: 10ms
split_step: 0s
schedule: {roll: often, resync: "@every 500ms", verify: "CRON_TZ=UTC"}
verify: [1]
limits: {kept_bytes: lots, late_rows: -1, copy_workers: 0, copy_rows_per_second: 1.5}
http: {listen: 8642}
on_bad_value: ignore
tick: 1s
tables:
  public.sales:
    date_column: created_at
    order_by: store_id
    partition_by: week
    columns: {exclude: [created_at, a, a], types: {a: ""}}
    aggregates:
      empty: {}
      both: {by: {x: a}, measures: {x: sum(b)}, having: c}
  public.stores: {partition_by: day, rt_window: 1m}
  "\"public\".stores": {}
  stock: {}
  public.bad: 5
  public.anchor: &a {}
`, nil, nil,
		[]string{
			`t.yaml:3: source.slot: "My-Slot" is not a slot name: up to 63 lower-case letters, digits and underscores`,
			`t.yaml:4: source.publicaton: unknown key`,
			`t.yaml:6: clickhouse.dsn: names no database`,
			`t.yaml:7: rt_window: "soon" is not a duration`,
			`t.yaml:8: tick: 10ms is less than 50ms`,
			`t.yaml:9: split_step: 0s is less than 1ms`,
			`t.yaml:10: schedule.roll: "often" is not a cron schedule: parse fields: expected exactly 5 fields, found 1: [often]`,
			`t.yaml:10: schedule.resync: "@every 500ms" is not a cron schedule: @every takes whole seconds, from 1s`,
			`t.yaml:10: schedule.verify: "CRON_TZ=UTC" is not a cron schedule: it has a time zone of its own`,
			`t.yaml:11: verify: is not a mapping of keys to values`,
			`t.yaml:12: limits.kept_bytes: "lots" is not a size in bytes`,
			`t.yaml:12: limits.late_rows: "-1" is not a whole number from 0 up`,
			`t.yaml:12: limits.copy_rows_per_second: "1.5" is not a whole number from 0 up`,
			`t.yaml:12: limits.copy_workers: 0 is less than 1`,
			`t.yaml:13: http.listen: "8642" is not host:port`,
			`t.yaml:14: on_bad_value: "ignore" is not stop or hold_table`,
			`t.yaml:15: tick: is already in line 8`,
			`t.yaml:19: tables.public.sales.order_by: is not a list`,
			`t.yaml:20: tables.public.sales.partition_by: "week" is not hour, day or month`,
			`t.yaml:21: tables.public.sales.columns.types.a: is empty`,
			`t.yaml:21: tables.public.sales.columns.exclude: has "a" twice`,
			`t.yaml:21: tables.public.sales.columns.exclude: excludes "created_at", the date_column`,
			`t.yaml:21: tables.public.sales.columns.types.a: is about a column that columns.exclude leaves out`,
			`t.yaml:23: tables.public.sales.aggregates.empty: has no measures`,
			`t.yaml:24: tables.public.sales.aggregates.both.having: unknown key`,
			`t.yaml:24: tables.public.sales.aggregates.both.measures.x: has the name of a key in by`,
			`t.yaml:25: tables.public.stores.partition_by: means nothing for a table without date_column`,
			`t.yaml:25: tables.public.stores.rt_window: means nothing for a table without date_column`,
			`t.yaml:26: tables.public.stores: is named twice`,
			`t.yaml:27: tables.stock: is not schema.table`,
			`t.yaml:28: tables.public.bad: is not a mapping of keys to values`,
			`t.yaml:29: tables.public.anchor: has a YAML anchor`,
		},
	},
	"columns": {
		head + "tables:\n  public.a:\n    columns:\n      types: {a: {lossy: true}, b: {type: Float64, lossy: perhaps}, c: {type: X, exact: no}, d: [X], e: }\n" +
			"      out_of_range: {a: round, b: , c: {}}\n      codecs: {a: , b: [Delta]}\n      type: {}\n",
		nil, nil,
		[]string{
			"t.yaml:6: tables.public.a.columns.types.a.type: is missing",
			`t.yaml:6: tables.public.a.columns.types.b.lossy: "perhaps" is not true or false`,
			"t.yaml:6: tables.public.a.columns.types.c.exact: unknown key",
			"t.yaml:6: tables.public.a.columns.types.d: is not a single value",
			"t.yaml:6: tables.public.a.columns.types.e: is empty",
			`t.yaml:7: tables.public.a.columns.out_of_range.a: "round" is not clamp or null`,
			"t.yaml:7: tables.public.a.columns.out_of_range.b: is empty",
			"t.yaml:7: tables.public.a.columns.out_of_range.c: is not a single value",
			"t.yaml:8: tables.public.a.columns.codecs.a: is empty",
			"t.yaml:8: tables.public.a.columns.codecs.b: is not a single value",
			"t.yaml:9: tables.public.a.columns.type: unknown key",
		},
	},
	"windows and steps": {
		head + "rt_window: 10s\ntables: {public.a: {date_column: d, rt_window: 2s}, public.b: {date_column: d, rt_window: 0s}}\nsplit_step: 5s\n",
		nil, nil,
		[]string{
			"t.yaml:4: tables.public.a.rt_window: 2s is shorter than split_step (5s)",
			"t.yaml:4: tables.public.b.rt_window: 0s is less than 1ms",
		},
	},
	"ages": {
		head + "rt_window: 2m\ntables:\n  public.a: {date_column: d, deletes: {keep_older_than: 1m}, retain: 90s}\n  public.b: {date_column: d, deletes: {keep_older_than: 90d}, retain: 90d}\n" +
			"  public.c: {deletes: {keep_older_than: 90d}, retain: 3y}\n  public.d: {date_column: d, deletes: ignore, retain: 0s}\n  public.e: {date_column: d, deletes: {keep: 1d}, retain: soon}\n",
		nil, nil,
		[]string{
			"t.yaml:5: tables.public.a.deletes.keep_older_than: 1m0s is not longer than rt_window (2m0s)",
			"t.yaml:5: tables.public.a.retain: 1m30s is not longer than rt_window (2m0s)",
			"t.yaml:6: tables.public.b.retain: 2160h0m0s is not longer than deletes.keep_older_than (2160h0m0s), so that nothing would be kept",
			"t.yaml:7: tables.public.c.deletes.keep_older_than: means nothing for a table without date_column",
			"t.yaml:7: tables.public.c.retain: means nothing for a table without date_column",
			`t.yaml:8: tables.public.d.deletes: "ignore" is not apply`,
			"t.yaml:8: tables.public.d.retain: 0s is not longer than rt_window (2m0s)",
			"t.yaml:9: tables.public.e.deletes.keep: unknown key",
			`t.yaml:9: tables.public.e.retain: "soon" is not a duration`,
		},
	},
	"step longer than window": {head + someTable + "rt_window: 30s\n", nil, nil, []string{"t.yaml: split_step: 1m0s is longer than rt_window (30s)"}},
	"aggregates of one name": {
		head + "tables:\n  public.a: {aggregates: {x: {measures: {n: count()}}}}\n  public.b:\n    aggregates: {x: {measures: {n: count()}}}\n", nil, nil,
		[]string{"t.yaml:6: tables.public.b.aggregates.x: has the name of tables.public.a.aggregates.x"},
	},
	"environment and flags": {
		head + someTable,
		map[string]string{"TIDEMARK_TICK": "fast", "TIDEMARK_HTTP_LISTEN": "nowhere"},
		map[string]string{"rt_window": "5", "limits.late_row": "1", `tables."x`: "{}"},
		[]string{
			`command line: tables."x: has a double quote that is not closed`,
			`command line: rt_window: "5" is not a duration`,
			`TIDEMARK_TICK: tick: "fast" is not a duration`,
			`TIDEMARK_HTTP_LISTEN: http.listen: "nowhere" is not host:port`,
			`command line: limits.late_row: unknown key`,
		},
	},
	"one variable for two keys": {
		head + "tables: {public.a_b: {date_column: d}, public_a.b: {date_column: d}}\n",
		map[string]string{"TIDEMARK_TABLES_PUBLIC_A_B_RT_WINDOW": "1h"},
		nil,
		[]string{"TIDEMARK_TABLES_PUBLIC_A_B_RT_WINDOW: tables.public_a.b.rt_window: the variable also stands for tables.public.a_b.rt_window"},
	},
	"zones": {head + someTable + "source: {time_zone: Local}\n", nil, map[string]string{"source.time_zone": "CET2"}, []string{
		"t.yaml:4: source: is already in line 1", `command line: source.time_zone: "CET2" is not a time zone of the IANA database`,
	}},
	"password in the wrong place": {head + someTable + "tick: postgres://u:CANARY@h/shop\n", nil, nil, []string{
		`t.yaml:4: tick: "postgres://u:xxxxx@h/shop" is not a duration`,
	}},
}

func TestFaults(t *testing.T) {
	for name, test := range faultCases {
		t.Run(name, func(t *testing.T) {
			_, err := Parse("t.yaml", []byte(test.text), envOf(test.env), test.flags)
			checkFaults(t, err, test.want)
		})
	}
}

func checkFaults(t *testing.T, err error, want []string) {
	t.Helper()
	var faults Faults
	if !errors.As(err, &faults) {
		t.Fatalf("got %v, not Faults", err)
	}
	if got := err.Error(); got != strings.Join(want, "\n") {
		t.Errorf("got\n%s\nwant\n%s", got, strings.Join(want, "\n"))
	}
	for _, f := range faults {
		if fault.Try(f) == "" {
			t.Errorf("nothing to try: %v", f)
		}
	}
}
