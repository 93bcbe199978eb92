package e2e

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/tidemark-db/tidemark/internal/bridge"
	"github.com/tidemark-db/tidemark/internal/rig"
)

// heldView waits until the view of a table throws because it is held.
func heldView(t *testing.T, r *rig.Rig, table string) {
	t.Helper()
	r.Eventually(commandPatience, table+" to be held", func(ctx context.Context) error {
		var n uint64
		err := r.CH.QueryRow(ctx, "SELECT count() FROM "+r.Name+"."+table).Scan(&n)
		switch {
		case err == nil:
			return fmt.Errorf("it answers %d", n)
		case !strings.Contains(err.Error(), "held"):
			return err
		}
		return nil
	})
}

// goesOn writes to a table that is published all the time and waits for it.
func goesOn(t *testing.T, r *rig.Rig) {
	t.Helper()
	execute(t, r, "INSERT INTO first SELECT 1 + count(*), 0 FROM first")
	sameAsSource(t, r, "first")
}

// TestPublicationChanges takes tables out of the publication and puts them in again, under open transactions that write to
// them; renames and drops them; and has it send less. The other table goes on, and no view shows what is no longer kept up.
func TestPublicationChanges(t *testing.T) {
	t.Parallel()
	r := rig.New(t, servers, "CREATE TABLE first (id int PRIMARY KEY, v int)", "CREATE TABLE second (id int PRIMARY KEY, v int)", "CREATE TABLE unnamed (id int PRIMARY KEY)",
		"INSERT INTO second SELECT g, 0 FROM generate_series(1, 100) g", "CREATE PUBLICATION tidemark FOR TABLE first, second, unnamed")
	file := r.ConfigFile("tick: 100ms\ntables:\n  public.first: {}\n  public.second: {}\n")
	b := r.Run(file, bridge.Options{CheckInvariants: true})
	r.WaitLSN(2)

	open := func(statement string) (commit func()) {
		tx, err := r.PG.Begin(t.Context())
		if err == nil {
			_, err = tx.Exec(t.Context(), statement)
		}
		if err != nil {
			t.Fatal(err)
		}
		return func() {
			if err := tx.Commit(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
	}
	commit := open("UPDATE second SET v = 1 WHERE id <= 50")
	execute(t, r, "ALTER PUBLICATION tidemark DROP TABLE second", "UPDATE second SET v = 2 WHERE id = 99")
	heldView(t, r, "second")
	commit()
	goesOn(t, r)
	heldView(t, r, "second")

	// A start while it is not published holds it too.
	if err := b.Stop(); err != nil {
		t.Fatal(err)
	}
	b = r.Run(file, bridge.Options{CheckInvariants: true})
	goesOn(t, r)
	heldView(t, r, "second")
	commit = open("UPDATE second SET v = 3 WHERE id > 40")
	execute(t, r, "ALTER PUBLICATION tidemark ADD TABLE second")
	goesOn(t, r)
	commit()
	sameAsSource(t, r, "second")

	for _, c := range []struct{ name, away, meanwhile, back string }{
		{"out and back within one tick", "ALTER PUBLICATION tidemark DROP TABLE second; UPDATE second SET v = 4", "", "ALTER PUBLICATION tidemark ADD TABLE second"},
		{"another name", "ALTER TABLE second RENAME TO away", "UPDATE away SET v = 5 WHERE id = 1", "ALTER TABLE away RENAME TO second"},
		{"another schema", "CREATE SCHEMA elsewhere; ALTER TABLE second SET SCHEMA elsewhere", "UPDATE elsewhere.second SET v = 6", "ALTER TABLE elsewhere.second SET SCHEMA public"},
		{"another filter", "ALTER PUBLICATION tidemark SET TABLE first, second WHERE (id < 50), unnamed; DELETE FROM second WHERE id > 48", "", "ALTER PUBLICATION tidemark SET TABLE first, second, unnamed"},
		{"dropped", "DROP TABLE second", "CREATE TABLE second (id int PRIMARY KEY, other text)", "INSERT INTO second VALUES (1, 'x'); ALTER PUBLICATION tidemark ADD TABLE second"},
	} {
		t.Log(c.name)
		execute(t, r, strings.Split(c.away, "; ")...)
		if c.meanwhile != "" {
			heldView(t, r, "second")
			execute(t, r, c.meanwhile)
			goesOn(t, r)
		}
		execute(t, r, strings.Split(c.back, "; ")...)
		sameAsSource(t, r, "second")
		compareTable(t, b, "public.second")
	}

	// A publication without updates keeps no table with a key up.
	execute(t, r, "ALTER PUBLICATION tidemark SET (publish = 'insert')", "UPDATE first SET v = 7")
	for _, table := range []string{"first", "second"} {
		heldView(t, r, table)
	}
	command(t, file, "check").fails(t, 1, []string{"does not send: update, delete, truncate", "SET (publish"})
	execute(t, r, "ALTER PUBLICATION tidemark SET (publish = 'insert, update, delete, truncate')")
	for _, table := range []string{"first", "second"} {
		sameAsSource(t, r, table)
	}
	if err := b.Stop(); err != nil {
		t.Error(err)
	}
}
