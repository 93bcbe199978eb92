package e2e

import (
	"fmt"
	"testing"

	"github.com/tidemark-db/tidemark/internal/bridge"
	"github.com/tidemark-db/tidemark/internal/rig"
)

// TestPublishedParts follows tables of which PostgreSQL publishes a part: some columns, some rows, generated columns, and
// tables that inherit; and truncates what refers to each other. First load, stream, verify and a load of a live table see the
// same part.
func TestPublishedParts(t *testing.T) {
	t.Parallel()
	r := rig.New(t, servers,
		"CREATE TABLE listed (id int PRIMARY KEY, a int, secret text)",
		"CREATE TABLE filtered (id int PRIMARY KEY, a int)", "ALTER TABLE filtered REPLICA IDENTITY FULL",
		"CREATE TABLE parent (id int PRIMARY KEY, a int)", "CREATE TABLE child (b int, PRIMARY KEY (id)) INHERITS (parent)",
		"CREATE TABLE made (id serial PRIMARY KEY, a int)", "CREATE TABLE refers (id int PRIMARY KEY REFERENCES made)",
		"CREATE TABLE computed (id int PRIMARY KEY, a int, twice int GENERATED ALWAYS AS (a * 2) STORED)",
		"INSERT INTO listed SELECT g, g, 'hidden' FROM generate_series(1, 100) g",
		"INSERT INTO filtered SELECT g, g - 50 FROM generate_series(1, 100) g",
		"INSERT INTO parent SELECT g, g FROM generate_series(1, 10) g", "INSERT INTO child SELECT g, g, g FROM generate_series(11, 30) g",
		"INSERT INTO made (a) SELECT g FROM generate_series(1, 20) g", "INSERT INTO refers SELECT g FROM generate_series(1, 20) g",
		"INSERT INTO computed SELECT g, g FROM generate_series(1, 20) g",
		"CREATE PUBLICATION tidemark FOR TABLE listed (id, a), filtered WHERE (a > 0), ONLY parent, child, made, refers, computed")
	var generated bool
	if err := r.PG.QueryRow(t.Context(), "SELECT current_setting('server_version_num')::int >= 180000").Scan(&generated); err != nil {
		t.Fatal(err)
	}
	if generated { // before, they are in no publication
		execPostgres(t, r, "ALTER PUBLICATION tidemark SET (publish_generated_columns = stored)")
	}
	b := r.Run(r.ConfigFile("tick: 100ms\ntables: {public.listed: {}, public.filtered: {}, public.parent: {}, public.child: {}, public.made: {}, public.refers: {}, public.computed: {}}"), bridge.Options{CheckInvariants: true})
	for _, statement := range []string{
		"SELECT 1",
		"INSERT INTO listed VALUES (101, 1, 'hidden'); UPDATE listed SET secret = 'other' WHERE id < 10; UPDATE listed SET id = 200, a = 7 WHERE id = 20; DELETE FROM listed WHERE id = 30",
		"UPDATE filtered SET a = -a WHERE id BETWEEN 40 AND 60; INSERT INTO filtered VALUES (101, 5), (102, -5); DELETE FROM filtered WHERE id BETWEEN 1 AND 55; UPDATE filtered SET id = id + 1000 WHERE id > 95",
		"UPDATE parent SET a = a + 1; INSERT INTO parent VALUES (100, 1); INSERT INTO child VALUES (101, 1, 1); DELETE FROM parent WHERE id IN (5, 15); TRUNCATE ONLY parent",
		"UPDATE computed SET a = 5 WHERE id = 3; INSERT INTO computed (id, a) VALUES (21, 21)",
		"INSERT INTO made (a) VALUES (1); TRUNCATE made RESTART IDENTITY CASCADE; INSERT INTO made (a) VALUES (11), (12); INSERT INTO refers VALUES (2)",
		"TRUNCATE listed, filtered; INSERT INTO listed VALUES (1, 1, 'hidden'); INSERT INTO filtered VALUES (1, 1), (2, -1)",
	} {
		execPostgres(t, r, statement)
		r.WaitLSN(7)
		for view, query := range map[string]string{
			"listed":   "SELECT id, a FROM listed",
			"filtered": "SELECT id, a FROM filtered WHERE a > 0",
			"parent":   "SELECT id, a FROM ONLY parent",
			"child":    "SELECT id, a, b FROM child",
			"made":     "SELECT id, a FROM made",
			"refers":   "SELECT id FROM refers",
			"computed": "SELECT " + map[bool]string{true: "id, a, twice", false: "id, a"}[generated] + " FROM computed",
		} {
			want := rowsOf(t, r, query)
			if got := viewOf(t, r, view); got != want {
				t.Errorf("after %s: %s shows\n%s\nnot\n%s", statement, view, got, want)
			}
		}
		for _, again := range []func() ([]bridge.Reread, error){
			func() ([]bridge.Reread, error) { return b.Verify(t.Context(), bridge.Request{}) },
			func() ([]bridge.Reread, error) { return b.Reload(t.Context(), bridge.Request{Table: "filtered"}) },
		} {
			found, err := again()
			if err != nil {
				t.Fatal(err)
			}
			for _, f := range found {
				if !f.Equal && !f.Replaced {
					t.Errorf("after %s: %+v", statement, f)
				}
			}
		}
	}
}

func execPostgres(t *testing.T, r *rig.Rig, statement string) {
	t.Helper()
	if _, err := r.PG.Exec(t.Context(), statement); err != nil {
		t.Fatalf("%s: %v", statement, err)
	}
}

// rowsOf returns the rows of a query of PostgreSQL as sorted text.
func rowsOf(t *testing.T, r *rig.Rig, query string) (text string) {
	t.Helper()
	err := r.PG.QueryRow(t.Context(), fmt.Sprintf("SELECT coalesce(string_agg(row, E'\\n' ORDER BY row), '') FROM (SELECT trim(BOTH '()' FROM q::text) AS row FROM (%s) q) r", query)).Scan(&text)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// viewOf returns the rows of a view as sorted text.
func viewOf(t *testing.T, r *rig.Rig, view string) (text string) {
	t.Helper()
	err := r.CH.QueryRow(t.Context(), fmt.Sprintf("SELECT arrayStringConcat(arraySort(groupArray(formatRowNoNewline('CSV', *))), '\\n') FROM %s.%s", r.Name, view)).Scan(&text)
	if err != nil {
		t.Fatal(err)
	}
	return text
}
