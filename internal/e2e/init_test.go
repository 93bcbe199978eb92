package e2e

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/tidemark-db/tidemark/internal/config"
	"github.com/tidemark-db/tidemark/internal/rig"
)

// initialize runs init for a rig and returns the file and what it says.
func initialize(t *testing.T, r *rig.Rig, args ...string) (file string, cfg *config.Config) {
	t.Helper()
	file = filepath.Join(r.Dir, "proposed.yaml")
	tidemark(t, append([]string{"init", "--source", r.SourceDSN(), "--clickhouse", r.TargetDSN(), "--slot", r.Name, "-o", file}, args...)...).works(t)
	cfg, err := config.Load(file, func(string) (string, bool) { return "", false }, nil)
	if err != nil {
		t.Fatal(err)
	}
	return file, cfg
}

// TestInit proposes a configuration for the demo's shop and a table of everything that init knows.
func TestInit(t *testing.T) {
	t.Parallel()
	schema, err := os.ReadFile("../demo/sql/schema.sql")
	if err != nil {
		t.Fatal(err)
	}
	r := rig.New(t, servers, string(schema),
		`INSERT INTO stores SELECT g, 'store ' || g, 'city', '2020-01-01' FROM generate_series(1, 40) g`,
		`INSERT INTO products (id, sku, name, category, price) SELECT g, 'sku' || g, 'product ' || g, 'category ' || g % 7, g FROM generate_series(1, 250) g`,
		`INSERT INTO sales (store_id, product_id, customer_id, qty, price, created_at)
			SELECT g % 40 + 1, g % 250 + 1, g % 5000, 1, g, now() - (20000 - g) * interval '1 minute' FROM generate_series(1, 20000) g`,
		`CREATE TABLE contracts (id serial PRIMARY KEY, made_on date NOT NULL DEFAULT CURRENT_DATE, kind text, terms text, rate numeric, wild numeric,
			valid_to timestamp DEFAULT '9999-12-31', deleted_at timestamptz, tags text[])`,
		`INSERT INTO contracts (made_on, kind, terms, rate, wild, valid_to) SELECT '2024-01-01'::date + g / 5, 'kind ' || g % 3, md5(g::text), g * 1.25,
			CASE g WHEN 7 THEN 'NaN' ELSE g::numeric END, CASE WHEN g % 4 = 0 THEN 'infinity'::timestamp ELSE '9999-12-31' END FROM generate_series(1, 2000) g`,
		`CREATE TABLE hidden (id int PRIMARY KEY)`, `ALTER TABLE hidden ENABLE ROW LEVEL SECURITY`,
		`ALTER PUBLICATION tidemark ADD TABLE contracts`, `ANALYZE`)
	file, cfg := initialize(t, r)
	for name, want := range map[string]config.Table{
		"public.sales": {DateColumn: "created_at", OrderBy: []string{"store_id", "created_at"}, PartitionBy: config.ByMonth, Columns: config.Columns{
			Codecs: map[string]string{"id": "Delta, ZSTD(1)", "created_at": "Delta, ZSTD(1)", "updated_at": "Delta, ZSTD(1)"},
		}},
		"public.contracts": {DateColumn: "made_on", PartitionBy: config.ByMonth, Columns: config.Columns{
			Types:      map[string]config.ColumnType{"kind": {Type: "LowCardinality(String)"}, "rate": {Type: "Decimal(18, 4)"}},
			OutOfRange: map[string]config.OutOfRange{"valid_to": config.Clamp},
			Codecs:     map[string]string{"id": "DoubleDelta, ZSTD(1)", "made_on": "Delta, ZSTD(1)", "valid_to": "Delta, ZSTD(1)", "deleted_at": "Delta, ZSTD(1)"},
		}},
		"public.stock":  {Columns: config.Columns{Codecs: map[string]string{"updated_at": "Delta, ZSTD(1)"}}},
		"public.stores": {Columns: config.Columns{Types: map[string]config.ColumnType{"city": {Type: "LowCardinality(String)"}}, Codecs: map[string]string{"id": "Delta, ZSTD(1)", "opened_on": "Delta, ZSTD(1)"}}},
	} {
		got, err := cfg.Table(name)
		if err != nil {
			t.Error(err)
			continue
		}
		want.Name, want.RTWindow = got.Name, got.RTWindow
		if !reflect.DeepEqual(*got, want) {
			t.Errorf("proposed %+v, want %+v", *got, want)
		}
	}
	command(t, file, "check").works(t)
	text := content(t, file)
	for _, reason := range []string{"# NOT NULL, DEFAULT now(), rises with the table", "about 40 values", "3 values in 2000 rows", "9999-12-31", "mirrored"} {
		if !strings.Contains(text, reason) {
			t.Errorf("no %q in\n%s", reason, text)
		}
	}
	tidemark(t, "init", "--source", r.SourceDSN(), "-o", file).fails(t, 1, []string{file, "exists already", "--force"})
	if content(t, file) != text {
		t.Error("the file was overwritten")
	}
	initialize(t, r, "--force")
	if got := tidemark(t, "init", "--source", r.SourceDSN(), "--clickhouse", r.TargetDSN(), "--slot", r.Name, "--output", "-").works(t); got.stdout != text {
		t.Errorf("the standard output got\n%s", got.stdout)
	}
	info, err := os.Stat(file)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the file can be read by others: %v %v", info.Mode(), err)
	}
}

func content(t *testing.T, file string) string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// TestInitRefuses has nothing to propose from.
func TestInitRefuses(t *testing.T) {
	t.Parallel()
	r := rig.New(t, servers, "CREATE TABLE split_date (id int PRIMARY KEY)", "CREATE PUBLICATION empty", "CREATE PUBLICATION tidemark FOR TABLE split_date")
	file := filepath.Join(r.Dir, "none.yaml")
	for _, c := range []struct {
		args []string
		code int
		want []string
	}{
		{nil, 2, []string{"--source"}},
		{[]string{"--source", "mysql://h/d"}, 2, []string{"source.dsn", "postgres://"}},
		{[]string{"--source", r.SourceDSN(), "--time-zone", "Mars"}, 2, []string{"time_zone", "Mars"}},
		{[]string{"--source", r.SourceDSN(), "--publication", "none"}, 1, []string{`"none"`, "CREATE PUBLICATION"}},
		{[]string{"--source", r.SourceDSN(), "--publication", "empty"}, 1, []string{`"empty"`, "ADD TABLE"}},
		{[]string{"--source", r.SourceDSN()}, 1, []string{`"tidemark"`, "public.split_date", "name of tidemark's own"}},
	} {
		tidemark(t, append([]string{"init", "-o", file}, c.args...)...).fails(t, c.code, c.want)
		if _, err := os.Stat(file); err == nil {
			t.Errorf("%q made a file", c.args)
		}
	}
}

// TestInitOfHostileNames proposes for tables whose names are syntax, and leaves out those that cannot be.
func TestInitOfHostileNames(t *testing.T) {
	t.Parallel()
	tables, setup, _ := hostileSchema()
	setup = append(setup, "CREATE SCHEMA a_b", "CREATE TABLE a.b_c (id int PRIMARY KEY)", "CREATE TABLE a_b.c (id int PRIMARY KEY)",
		"CREATE TABLE split_date (id int PRIMARY KEY)", "CREATE TABLE held (id int PRIMARY KEY, _part text)", "CREATE PUBLICATION tidemark FOR ALL TABLES")
	r := rig.New(t, servers, setup...)
	file, cfg := initialize(t, r)
	if want := len(tables) + 1; len(cfg.Tables) != want {
		t.Errorf("%d tables are proposed, want %d", len(cfg.Tables), want)
	}
	command(t, file, "check").works(t)
	for _, why := range []string{"# a_b.c is left out: it would be the view", "# public.split_date is left out", "# public.held is left out"} {
		if text := content(t, file); !strings.Contains(text, why) {
			t.Errorf("no %q in\n%s", why, text)
		}
	}
}
