package e2e

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tidemark-db/tidemark/internal/bridge"
	"github.com/tidemark-db/tidemark/internal/rig"
)

// A schemaCase is a schema change of a table with settled, late and new rows: (id, at, a, b, n, d).
type schemaCase struct {
	name string
	ddl  []string // transactions; {t} is the table
	// loaded: the change cannot be told from the rows that ClickHouse has, and the table is loaded again. Otherwise the
	// chunks from before the change stay.
	loaded bool
	atOnce bool   // the bridge gets to the first transaction when the catalogue holds the last one
	config string // of the table, beside its date column
}

var schemaCases = []schemaCase{
	{name: "add", ddl: []string{"ALTER TABLE {t} ADD c int"}},
	{name: "add_default", ddl: []string{
		"ALTER TABLE {t} ADD c1 int NOT NULL DEFAULT 7, ADD c2 text DEFAULT 'it''s {x:String} ? \\n', ADD c3 numeric(9, 3) DEFAULT 1.5, ADD c4 timestamptz DEFAULT '2020-02-03 04:05:06.789+00'",
		"ALTER TABLE {t} ADD c5 bool DEFAULT true, ADD c6 date DEFAULT '2020-02-03', ADD c7 float8 DEFAULT 0.1, ADD c8 uuid DEFAULT 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', ADD c9 float4 DEFAULT 0.1, ADD c10 int8 DEFAULT -9223372036854775808",
	}},
	{name: "add_and_write", ddl: []string{"BEGIN; ALTER TABLE {t} ADD c int DEFAULT 1; UPDATE {t} SET c = 2 WHERE id % 3 = 0; INSERT INTO {t} (id, at, c) VALUES (500, now(), NULL); COMMIT"}},
	{name: "write_and_add", ddl: []string{"BEGIN; UPDATE {t} SET a = 2 WHERE id % 3 = 0; ALTER TABLE {t} ADD c int DEFAULT 1; UPDATE {t} SET c = 2 WHERE id % 5 = 0; COMMIT"}, loaded: true},
	{name: "add_volatile", ddl: []string{"ALTER TABLE {t} ADD c float8 DEFAULT 1 + random()"}, loaded: true},
	{name: "add_serial", ddl: []string{"ALTER TABLE {t} ADD c bigserial"}, loaded: true},
	{name: "add_then_default", ddl: []string{"ALTER TABLE {t} ADD c int", "ALTER TABLE {t} ALTER c SET DEFAULT 9", "INSERT INTO {t} (id, at) VALUES (500, now())"}},
	{name: "drop", ddl: []string{"ALTER TABLE {t} DROP a"}},
	{name: "drop_and_add", ddl: []string{"ALTER TABLE {t} DROP a", "INSERT INTO {t} (id, at) VALUES (500, now())", "ALTER TABLE {t} ADD a text DEFAULT 'other'"}},
	{name: "rename", ddl: []string{"ALTER TABLE {t} RENAME a TO z"}},
	{name: "rename_key", ddl: []string{"ALTER TABLE {t} RENAME id TO number"}},
	{name: "several", ddl: []string{"ALTER TABLE {t} ADD c int DEFAULT 3", "UPDATE {t} SET c = 4 WHERE id % 4 = 0", "ALTER TABLE {t} DROP a", "ALTER TABLE {t} RENAME b TO z", "ALTER TABLE {t} ADD e text", "UPDATE {t} SET e = z WHERE id % 5 = 0"}, atOnce: true},
	{name: "passing", ddl: []string{"ALTER TABLE {t} ADD c int DEFAULT 3", "UPDATE {t} SET c = 4 WHERE id % 4 = 0", "ALTER TABLE {t} DROP c"}, atOnce: true, loaded: true},
	{name: "replaced", ddl: []string{"ALTER TABLE {t} DROP a", "INSERT INTO {t} (id, at) VALUES (500, now())", "ALTER TABLE {t} ADD a text DEFAULT 'other'"}, atOnce: true, loaded: true},
	{name: "swap", ddl: []string{"BEGIN; ALTER TABLE {t} RENAME a TO x; ALTER TABLE {t} RENAME b TO a; ALTER TABLE {t} RENAME x TO b; COMMIT"}, loaded: true},
	{name: "drop_not_null", ddl: []string{"ALTER TABLE {t} ALTER n DROP NOT NULL", "UPDATE {t} SET n = NULL WHERE id % 4 = 0"}},
	{name: "set_not_null", ddl: []string{"ALTER TABLE {t} ALTER d SET NOT NULL"}},
	{name: "widen", ddl: []string{"ALTER TABLE {t} ALTER a TYPE int8"}, loaded: true},
	{name: "widen_numeric", ddl: []string{"ALTER TABLE {t} ALTER d TYPE numeric(14, 2)", "UPDATE {t} SET d = 123456789012.25 WHERE id % 4 = 0"}},
	{name: "widen_varchar", ddl: []string{"ALTER TABLE {t} ALTER b TYPE varchar(80)", "UPDATE {t} SET b = repeat('x', 70) WHERE id % 4 = 0"}},
	{name: "rewritten", ddl: []string{"ALTER TABLE {t} ALTER a TYPE int USING a * 10"}, loaded: true},
	{name: "again", ddl: []string{"BEGIN; ALTER TABLE {t} DROP a; ALTER TABLE {t} ADD a int; UPDATE {t} SET a = 1 WHERE id % 3 = 0; COMMIT"}, loaded: true},
	{name: "many", ddl: []string{"BEGIN; ALTER TABLE {t} ADD c int DEFAULT 1; ALTER TABLE {t} ADD e text; ALTER TABLE {t} DROP a; ALTER TABLE {t} RENAME b TO z; UPDATE {t} SET c = 2, e = z WHERE id % 3 = 0; COMMIT"}},
	{name: "add_write_drop", ddl: []string{"BEGIN; ALTER TABLE {t} ADD c int DEFAULT 1; UPDATE {t} SET c = 2 WHERE id % 3 = 0; ALTER TABLE {t} DROP c; COMMIT"}, loaded: true},
	{name: "write_and_widen", ddl: []string{"BEGIN; UPDATE {t} SET a = 5 WHERE id % 3 = 0; ALTER TABLE {t} ALTER a TYPE int8; UPDATE {t} SET a = 5000000000 WHERE id % 5 = 0; COMMIT"}, loaded: true},
	{name: "rolled_back", ddl: []string{"BEGIN; SAVEPOINT s; ALTER TABLE {t} ADD c int; UPDATE {t} SET c = 1; ROLLBACK TO s; UPDATE {t} SET a = 9 WHERE id % 3 = 0; COMMIT"}},
	{name: "truncate_and_add", ddl: []string{"BEGIN; TRUNCATE {t}; ALTER TABLE {t} ADD c int DEFAULT 1; INSERT INTO {t} (id, at, c) SELECT g, now() - g * interval '1 h', g FROM generate_series(1, 20) g; COMMIT"}, loaded: true},
	{name: "big", ddl: []string{"BEGIN; ALTER TABLE {t} ADD c text DEFAULT 'none'; UPDATE {t} SET c = repeat('x', 500000) WHERE id % 5 > 0; COMMIT", "UPDATE {t} SET c = 'short' WHERE length(c) > 9"}},
	{name: "recreate", ddl: []string{"DROP TABLE {t}; CREATE TABLE {t} (id int PRIMARY KEY, at timestamptz NOT NULL, other text); INSERT INTO {t} VALUES (1, now(), 'new'); UPDATE audit SET n = 1, h = (SELECT weight(at) FROM {t}) WHERE name = '{t}'"}, loaded: true},
	{name: "other_key", ddl: []string{"ALTER TABLE {t} DROP CONSTRAINT {t}_pkey, ADD PRIMARY KEY (id, at)"}, loaded: true},
	{name: "identity_full", ddl: []string{
		"ALTER TABLE {t} REPLICA IDENTITY FULL", "UPDATE {t} SET id = id + 1000 WHERE id % 9 = 0; UPDATE {t} SET a = 5 WHERE id % 7 = 0; DELETE FROM {t} WHERE id % 8 = 0",
		"ALTER TABLE {t} REPLICA IDENTITY DEFAULT", "UPDATE {t} SET id = id + 2000 WHERE id % 6 = 0; DELETE FROM {t} WHERE id % 13 = 0",
	}},
	{name: "identity_at_once", ddl: []string{
		"ALTER TABLE {t} REPLICA IDENTITY FULL", "UPDATE {t} SET id = id + 1000 WHERE id % 9 = 0; DELETE FROM {t} WHERE id % 8 = 0", "ALTER TABLE {t} REPLICA IDENTITY DEFAULT",
	}, atOnce: true},
	{
		name: "aggregated", ddl: []string{"ALTER TABLE {t} RENAME b TO z", "ALTER TABLE {t} ALTER n DROP NOT NULL", "UPDATE {t} SET n = NULL WHERE id % 4 = 0"},
		config: ", aggregates: {per_hour: {by: {hour: toStartOfHour(at)}, measures: {total: sum(n), rows: count()}}}",
	},
}

// schemaRig has a table for each case, and one that stays as it is.
func schemaRig(t *testing.T, cases []schemaCase) (*rig.Rig, *rig.Bridge) {
	t.Helper()
	setup := slices.Clone(weighed)
	config := "tick: 100ms\nschedule: {resync: \"\"}\ntables:\n  public.audit: {}\n"
	for _, c := range cases {
		setup = append(setup,
			"CREATE TABLE "+c.name+" (id int PRIMARY KEY, at timestamptz NOT NULL, a int, b varchar(20), n int NOT NULL DEFAULT 0, d numeric(9, 2) DEFAULT 1.25)",
			"INSERT INTO "+c.name+" SELECT g, now() - g * interval '10 min', nullif(g % 7, 0), 'b' || g, g FROM generate_series(1, 60) g")
		setup = append(setup, weigh(c.name)...)
		config += fmt.Sprintf("  public.%s: {date_column: at%s}\n", c.name, c.config)
	}
	r := rig.New(t, servers, append(setup, "CREATE PUBLICATION tidemark FOR ALL TABLES")...)
	b := r.Run(r.ConfigFile(config), bridge.Options{CheckInvariants: true})
	r.WaitLSN(len(cases) + 1)
	return r, b
}

// settled lists the chunks of HISTORIC that the newest mark has of a table.
func settledChunks(t *testing.T, r *rig.Rig, table string) (chunks []uint64) {
	t.Helper()
	query := fmt.Sprintf("SELECT arrayConcat(tables['%s'].clean, tables['%[1]s'].dirty) FROM %s.split_date ORDER BY term DESC, epoch DESC LIMIT 1", table, r.Name)
	if err := r.CH.QueryRow(t.Context(), query).Scan(&chunks); err != nil {
		t.Fatal(err)
	}
	return chunks
}

// schemaPatience is generous: a slow machine is no fault.
const schemaPatience = 3 * time.Minute

// sameAsSource waits until the view has the columns and rows that PostgreSQL has.
func sameAsSource(t *testing.T, r *rig.Rig, table string) {
	t.Helper()
	var columns []string
	err := r.PG.QueryRow(t.Context(), "SELECT array_agg(attname::text || ' ' || typname ORDER BY attnum) FROM pg_attribute a JOIN pg_type t ON t.oid = atttypid WHERE attrelid = $1::regclass AND attnum > 0 AND NOT attisdropped", table).Scan(&columns)
	if err != nil {
		t.Fatal(err)
	}
	var names, postgres, clickhouse []string
	for _, c := range columns {
		name, typ, _ := strings.Cut(c, " ")
		names = append(names, name)
		p, c := plainColumn(`"`+name+`"`), plainColumn("`"+name+"`")
		switch typ {
		case "timestamptz":
			p, c = instantColumn(`"`+name+`"`), instantColumn("`"+name+"`")
		case "numeric":
			p = numericColumn(`"` + name + `"`)
		}
		postgres = append(postgres, "coalesce("+p.postgres+", '~')")
		clickhouse = append(clickhouse, "ifNull("+c.clickhouse+", '~')")
	}
	var want, got []string
	r.WaitLSN(1)
	if err := r.PG.QueryRow(t.Context(), "SELECT array_agg(x ORDER BY x) FROM (SELECT concat_ws('|', "+strings.Join(postgres, ", ")+") COLLATE \"C\" AS x FROM "+table+") s").Scan(&want); err != nil {
		t.Fatal(err)
	}
	r.Eventually(schemaPatience, table+" to be what PostgreSQL has", func(ctx context.Context) error {
		var described []string
		if err := r.CH.QueryRow(ctx, "SELECT groupArray(name) FROM (SELECT name FROM system.columns WHERE database = ? AND table = ? ORDER BY position)", r.Name, table).Scan(&described); err != nil {
			return err
		}
		if !slices.Equal(described, names) {
			return fmt.Errorf("the view has the columns %v, want %v", described, names)
		}
		err := r.CH.QueryRow(ctx, "SELECT arraySort(groupArray(concatWithSeparator('|', "+strings.Join(clickhouse, ", ")+"))) FROM "+r.Name+"."+table).Scan(&got)
		if err == nil && !slices.Equal(got, want) {
			err = fmt.Errorf("it has\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
		return err
	})
}

// quietCases are those that nothing is written after: the stream never tells of them.
var quietCases = []string{"add_default", "drop", "rename", "widen_numeric", "rewritten", "recreate"}

// TestSchemaChanges changes tables while rows of every age are written to them, and while nothing is. Readers check every read.
func TestSchemaChanges(t *testing.T) {
	t.Parallel()
	for part := range slices.Chunk(schemaCases, 8) {
		t.Run("from "+part[0].name, func(t *testing.T) { t.Parallel(); changeSchemas(t, part, false) })
	}
	quiet := slices.DeleteFunc(slices.Clone(schemaCases), func(c schemaCase) bool { return !slices.Contains(quietCases, c.name) })
	t.Run("quietly", func(t *testing.T) { t.Parallel(); changeSchemas(t, quiet, true) })
}

func changeSchemas(t *testing.T, cases []schemaCase, quiet bool) {
	r, b := schemaRig(t, cases)
	for _, c := range cases {
		before := settledChunks(t, r, c.name)
		settle := readWhileWritten(t, r, c, !quiet && c.name != "recreate")
		for i, ddl := range c.ddl {
			if i > 0 && !c.atOnce {
				r.WaitLSN(1)
			}
			// Everybody takes the lock of the table before those of rows, here and in readWhileWritten: nobody waits in a circle.
			ddl = strings.Replace(ddl, "BEGIN; ", "BEGIN; LOCK TABLE {t} IN ACCESS EXCLUSIVE MODE; ", 1)
			execute(t, r, strings.ReplaceAll(ddl, "{t}", c.name))
			if !quiet && c.name != "recreate" && c.name != "rename_key" {
				execute(t, r, fmt.Sprintf("UPDATE %s SET at = at - interval '1 s' WHERE id %% 10 = 1; INSERT INTO %[1]s (id, at) SELECT 1 + max(id), now() FROM %[1]s", c.name))
			}
		}
		settle()
		after := settledChunks(t, r, c.name)
		if stayed := slices.ContainsFunc(after, func(n uint64) bool { return slices.Contains(before, n) }); stayed == c.loaded {
			t.Errorf("%s: chunks %v became %v; loaded again: %t", c.name, before, after, !stayed)
		}
	}
	if _, err := b.Resync(t.Context(), bridge.Request{}); err != nil { // the chunks that it writes have all columns
		t.Error(err)
	}
	for _, c := range cases {
		sameAsSource(t, r, c.name)
		compareTable(t, b, "public."+c.name)
	}
}
