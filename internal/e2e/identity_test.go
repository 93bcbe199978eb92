package e2e

import (
	"fmt"
	"strings"
	"testing"

	"github.com/tidemark-db/tidemark/internal/bridge"
	"github.com/tidemark-db/tidemark/internal/rig"
)

// identityKeys are the columns that a table of TestIdentities is identified by, and what makes PostgreSQL do so.
var identityKeys = map[string]struct {
	columns  string
	identity string
}{
	"by_default": {"id int PRIMARY KEY, k text NOT NULL", "DEFAULT"},
	"by_row":     {"id int PRIMARY KEY, k text NOT NULL", "FULL"},
	"by_index":   {"id int, k text NOT NULL, CONSTRAINT by_index_id UNIQUE (id)", "USING INDEX by_index_id"},
	"by_text":    {"id int, k text PRIMARY KEY", "DEFAULT"},
	"by_both":    {"id int, k text, PRIMARY KEY (id, k)", "DEFAULT"},
	"rows_both":  {"id int, k text, PRIMARY KEY (k, id)", "FULL"},
}

// longKey is a key that is stored out of line, where the table keeps it so.
const longKey = "repeat(md5(%s::text), 70)"

// identityTable has rows 1 to 9, which are settled, and 11 to 19, which are fresh; each has a large value.
func identityTable(name, columns, identity string) audited {
	a := audited{name: name, config: "{date_column: d}", columns: append(plainColumns("id", "k", "v", "big", "other"), instantColumn("d"))}
	a.setup = []string{
		fmt.Sprintf(`CREATE TABLE %[1]s (%[2]s, d timestamptz NOT NULL, v int, big text, other text);
			ALTER TABLE %[1]s ALTER big SET STORAGE EXTERNAL, ALTER other SET STORAGE EXTERNAL, ALTER k SET STORAGE EXTERNAL`, name, columns),
		fmt.Sprintf(`ALTER TABLE %s ALTER id SET NOT NULL; ALTER TABLE %[1]s REPLICA IDENTITY %s`, name, identity),
		fmt.Sprintf(`INSERT INTO %s SELECT g, `+longKey+`, CASE WHEN g > 10 THEN now() ELSE '2024-02-29 12:00Z' END, g, repeat(md5(g::text), 320), repeat(md5('o' || g), 320)
			FROM generate_series(1, 19) g WHERE g <> 10`, name, "g"),
	}
	return a
}

// identitySteps are transactions; {t} is the table. Few of them write the large values, so that the stream leaves them out.
var identitySteps = []struct{ name, apply string }{
	{"updates that leave the large values", `UPDATE {t} SET v = -v WHERE id IN (1, 11)`},
	{"two updates in one transaction", `UPDATE {t} SET v = 100 WHERE id IN (2, 12); UPDATE {t} SET v = 101 WHERE id IN (2, 12)`},
	{"an insert and an update that leaves its large value", `INSERT INTO {t} SELECT g, 'k' || g, now(), g, repeat(md5('i' || g), 320), NULL FROM generate_series(21, 22) g; UPDATE {t} SET v = 0 WHERE id IN (21, 22)`},
	{"one large value changed, then the other", `UPDATE {t} SET big = repeat(md5('new'), 320) WHERE id IN (3, 13); UPDATE {t} SET other = repeat(md5('new2'), 320) WHERE id IN (3, 13); UPDATE {t} SET v = 7 WHERE id IN (3, 13)`},
	{"updates of late rows", `UPDATE {t} SET v = 102 WHERE id = 1; UPDATE {t} SET d = '2024-01-01' WHERE id = 2`},
	{"the other key changed", `UPDATE {t} SET k = k || 'x' WHERE id IN (4, 14)`},
	{"the number changed", `UPDATE {t} SET id = id + 100 WHERE id IN (5, 15)`},
	{"a chain of numbers", `UPDATE {t} SET id = 200 WHERE id = 6; UPDATE {t} SET id = 201, v = 1 WHERE id = 200; UPDATE {t} SET id = 6 WHERE id = 201; UPDATE {t} SET id = 202 WHERE id = 6`},
	{"a swap of numbers and keys", `UPDATE {t} SET id = -1 WHERE id = 7; UPDATE {t} SET id = 7 WHERE id = 17; UPDATE {t} SET id = 17 WHERE id = -1;
		UPDATE {t} SET k = 'a' WHERE id = 8; UPDATE {t} SET k = 'b' WHERE id = 18; UPDATE {t} SET k = 'c' WHERE id = 8; UPDATE {t} SET k = 'a' WHERE id = 18; UPDATE {t} SET k = 'b' WHERE id = 8`},
	{"a date moved over the split and back", `UPDATE {t} SET d = now() WHERE id = 8; UPDATE {t} SET d = '2024-01-01' WHERE id = 18; UPDATE {t} SET d = '2024-01-02' WHERE id = 8`},
	{"deletes, and an insert of the same key", `DELETE FROM {t} WHERE id IN (9, 19); INSERT INTO {t} SELECT 9, ` + longKey9 + `, now(), 9, 'small again', NULL`},
	{"the large value taken away and left", `UPDATE {t} SET big = NULL WHERE id = 1; UPDATE {t} SET v = 103 WHERE id = 1; UPDATE {t} SET big = '' WHERE id = 11; UPDATE {t} SET v = 104 WHERE id = 11`},
}

const longKey9 = "repeat(md5('9'), 70)"

// TestIdentities has every replica identity leave TOAST values out of the stream, in RT, LATE and HISTORIC and within one
// tick, with keys that are toasted themselves, change, form chains and are swapped.
func TestIdentities(t *testing.T) {
	t.Parallel()
	var tables []audited
	for name, key := range identityKeys {
		tables = append(tables, identityTable(name, key.columns, key.identity))
	}
	r := newAuditRig(t, tables...)
	b := r.Run(r.config("tick: 200ms\nrt_window: 1h\nschedule: {roll: \"\", resync: \"\"}"), bridge.Options{CheckInvariants: true})
	r.await()
	for _, step := range identitySteps {
		r.each(step.apply)
		if _, err := r.read(t.Context(), r.CH, ""); err != nil {
			t.Fatalf("%s: %v", step.name, err)
		}
	}
	r.compare()
	r.fold(b)
	// All of it again within one tick, on rows in RT and LATE.
	var all []string
	for _, step := range identitySteps {
		all = append(all, step.apply)
	}
	r.each("TRUNCATE {t}; {rows}")
	r.compare()
	r.each(strings.Join(all, "; "))
	r.compare()
	r.fold(b)
	_ = b.Stop()
}

// each runs statements as one transaction for each table, and waits until the views show them.
func (r *auditRig) each(statements string) {
	r.t.Helper()
	for _, a := range r.tables {
		text := strings.NewReplacer("{t}", a.name, "{rows}", a.setup[len(a.setup)-1]).Replace(statements)
		if _, err := r.PG.Exec(r.t.Context(), "BEGIN; "+text+"; COMMIT"); err != nil {
			r.t.Fatalf("%s: %.200s: %v", a.name, statements, err)
		}
	}
	r.await()
}

// fold folds all tables and compares them.
func (r *auditRig) fold(b *rig.Bridge) {
	r.t.Helper()
	if _, err := b.Resync(r.t.Context(), bridge.Request{}); err != nil {
		r.t.Fatal(err)
	}
	r.compare()
}
