package e2e

import (
	"testing"

	"github.com/tidemark-db/tidemark/internal/bridge"
	"github.com/tidemark-db/tidemark/internal/rig"
)

// TestCatalogControl has a bridge not look at the catalogue before its marks, and sees it publish what never was, of changes
// that no message in the stream tells of: what TestSchemaChanges and TestPublicationChanges see to be right comes from there.
func TestCatalogControl(t *testing.T) {
	t.Parallel()
	const rows = "SELECT g, g FROM generate_series(1, 100) g"
	for _, c := range []struct{ name, ddl string }{
		{"rewritten", "ALTER TABLE rows ALTER v TYPE int USING v * 10"},
		{"replaced", "BEGIN; ALTER TABLE rows DROP v; ALTER TABLE rows ADD v int DEFAULT 7; COMMIT"},
		{"unpublished", "ALTER PUBLICATION tidemark DROP TABLE rows; UPDATE rows SET v = 0"},
		{"partly published", "ALTER PUBLICATION tidemark SET (publish = 'insert'); DELETE FROM rows"},
		{"out and back", "ALTER PUBLICATION tidemark DROP TABLE rows; UPDATE rows SET v = 0; ALTER PUBLICATION tidemark ADD TABLE rows"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := rig.New(t, servers, "CREATE TABLE rows (id int PRIMARY KEY, v int)", "INSERT INTO rows "+rows, "CREATE PUBLICATION tidemark FOR TABLE rows")
			file := r.ConfigFile("tick: 50ms\ntables: {public.rows: {}}")
			b := r.Run(file, bridge.Options{Blind: true})
			r.WaitLSN(1)
			execute(t, r, c.ddl)
			r.WaitLSN(1)
			want := rowsOf(t, r, "SELECT * FROM rows")
			if got := viewOf(t, r, "rows"); got == want {
				t.Error("a blind bridge shows what PostgreSQL has: the look is for nothing, or the test is")
			}
			_ = b.Stop()
		})
	}
}
