package e2e

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/tidemark-db/tidemark/internal/bridge"
	"github.com/tidemark-db/tidemark/internal/rig"
)

// TestPublicationsOfAll follows publications that name no table: those of schemas, and of all tables. A table that the
// configuration names and that does not exist yet is held until it does; a schema that left the publication and came back has
// its tables loaded again. A partitioned table gets a column, published by its root and by its partitions; tables that inherit
// are checked.
func TestPublicationsOfAll(t *testing.T) {
	t.Parallel()
	for _, p := range []struct{ name, publication string }{
		{"schemas", "CREATE PUBLICATION tidemark FOR TABLES IN SCHEMA public"},
		{"all", "CREATE PUBLICATION tidemark FOR ALL TABLES WITH (publish_via_partition_root)"},
	} {
		t.Run(p.name, func(t *testing.T) { t.Parallel(); publishedByNobody(t, p.name, p.publication) })
	}
}

func publishedByNobody(t *testing.T, name, publication string) {
	r := rig.New(t, servers, "CREATE TABLE first (id int PRIMARY KEY, v int)", "INSERT INTO first SELECT g, 0 FROM generate_series(1, 100) g",
		"CREATE TABLE child (b int, PRIMARY KEY (id)) INHERITS (first)", "CREATE TABLE grandchild (PRIMARY KEY (id)) INHERITS (first)", "INSERT INTO child VALUES (1, 1, 1)",
		"CREATE TABLE parts (id int PRIMARY KEY, v int) PARTITION BY RANGE (id)", "CREATE TABLE parts_1 PARTITION OF parts FOR VALUES FROM (0) TO (100)",
		"CREATE TABLE parts_2 (v int, id int NOT NULL)", "ALTER TABLE parts ATTACH PARTITION parts_2 FOR VALUES FROM (100) TO (200)",
		"INSERT INTO parts SELECT g, g FROM generate_series(1, 199) g")
	if _, err := r.PG.Exec(t.Context(), publication); err != nil {
		if strings.Contains(publication, "SCHEMA") && strings.Contains(err.Error(), "syntax") {
			t.Log("before PostgreSQL 15 there are none of schemas")
			return
		}
		t.Fatal(err)
	}
	const tables = "tick: 100ms\ntables:\n  public.first: {}\n  public.child: {}\n  public.parts: {}\n"
	file, _ := served(t, r, tables)
	found := command(t, file, "check").works(t).stdout
	for _, want := range []string{"the rows of public.child, which inherits from it", "warn  public.first: public.grandchild inherits from it and is not configured"} {
		if !strings.Contains(found, want) {
			t.Errorf("check does not say %q:\n%s", want, found)
		}
	}
	options := bridge.Options{CheckInvariants: true}
	b := r.Run(file, options)
	r.WaitLSN(3)
	if err := b.Stop(); err != nil {
		t.Fatal(err)
	}

	// A table that is configured before it exists.
	file, _ = served(t, r, tables+"  public.later: {}\n")
	b = r.Run(file, options)
	execute(t, r, "INSERT INTO child VALUES (2, 2, 2)")
	sameAsSource(t, r, "child")
	r.Eventually(schemaPatience, "status to tell of the table that is not there", func(context.Context) error {
		status := decode[bridge.Status](t, command(t, file, "status", "--json"))
		if held := status.Tables[3].Held; held == nil || !strings.Contains(held.Error, "public.later") || held.Try == "" {
			return fmt.Errorf("held: %+v", held)
		}
		return nil
	})
	execute(t, r, "CREATE TABLE later (id int PRIMARY KEY, v int)", "INSERT INTO later VALUES (1, 1)")
	sameAsSource(t, r, "later")

	// What rows of partitions from before a column have in it is in their catalogue rows, not in the root's.
	for _, ddl := range []string{"ALTER TABLE parts ADD c int", "ALTER TABLE parts ADD e int DEFAULT 7", "ALTER TABLE parts RENAME v TO w", "ALTER TABLE parts DROP c"} {
		execute(t, r, ddl, "UPDATE parts SET id = id WHERE id % 10 = 1", "DELETE FROM parts WHERE id % 50 = 3 AND id < 120")
		sameAsSource(t, r, "parts")
	}
	for _, ddl := range []string{"ALTER TABLE first ADD c int DEFAULT 3", "ALTER TABLE child ADD own text DEFAULT 'x'", "ALTER TABLE first RENAME v TO w"} {
		execute(t, r, ddl, "UPDATE child SET b = b + 1")
		sameRows(t, r, "first", "ONLY first")
		sameAsSource(t, r, "child")
	}
	if name == "schemas" {
		execute(t, r, "ALTER PUBLICATION tidemark DROP TABLES IN SCHEMA public", "UPDATE first SET w = 4 WHERE id < 9", "DELETE FROM later", "ALTER PUBLICATION tidemark ADD TABLES IN SCHEMA public")
		sameRows(t, r, "first", "ONLY first")
		sameAsSource(t, r, "later")
		execute(t, r, "CREATE SCHEMA elsewhere", "ALTER TABLE later SET SCHEMA elsewhere", "INSERT INTO elsewhere.later VALUES (2, 2)")
		heldView(t, r, "later")
		execute(t, r, "ALTER TABLE elsewhere.later SET SCHEMA public")
		sameAsSource(t, r, "later")
	}
	for _, table := range []string{"public.first", "public.child", "public.parts", "public.later"} {
		compareTable(t, b, table)
	}
	_ = b.Stop()
}

// sameRows waits until a view has the rows of a PostgreSQL table.
func sameRows(t *testing.T, r *rig.Rig, view, table string) {
	t.Helper()
	want := rowsOf(t, r, "SELECT * FROM "+table)
	r.Eventually(schemaPatience, view+" to be what PostgreSQL has", func(ctx context.Context) (err error) {
		var got string
		err = r.CH.QueryRow(ctx, fmt.Sprintf("SELECT arrayStringConcat(arraySort(groupArray(formatRowNoNewline('CSV', *))), '\\n') FROM %s.%s", r.Name, view)).Scan(&got)
		if err == nil && got != want {
			err = fmt.Errorf("it has\n%s\nwant\n%s", got, want)
		}
		return err
	})
}
