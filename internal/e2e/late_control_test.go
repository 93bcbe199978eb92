package e2e

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/tidemark-db/tidemark/internal/bridge"
	"github.com/tidemark-db/tidemark/internal/rig"
)

// TestLateControl takes from copies of a view what makes it right where rows are late, and sees the comparison find out.
func TestLateControl(t *testing.T) {
	t.Parallel()
	r := newAuditRig(t, caseTables()[0])
	b := r.Run(r.config("tick: 50ms\nrt_window: 1h\nschedule: {roll: \"\"}"), bridge.Options{})
	r.await()
	r.commit(`UPDATE rows SET v = 0 WHERE id = 1; DELETE FROM rows WHERE id = 2; INSERT INTO rows VALUES (1000, '2024-01-01', 1, 'x')`)
	for _, c := range []struct {
		name  string
		cut   func(statement string) string
		wrong bool
	}{
		{"whole", func(s string) string { return s }, false},
		{"without_masks", func(s string) string { return cutLines(s, "AND (`_chunk`, identity(", 0, 6) }, true},
		{"without_late", func(s string) string { return strings.Replace(s, "(`_mark`.5)['rows'].late, ", "", 1) }, true},
		{"without_dirty", func(s string) string { return cutLines(s, "indexHint(`_chunk` IN", -3, 10, ".dirty)") }, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			prefix := c.name + "_"
			r.createVariant(b, "rows", prefix, c.cut)
			_, readErr := r.read(t.Context(), r.CH, prefix)
			rowsErr := r.compareRows(r.tables[0], prefix+"rows")
			for _, err := range []error{readErr, rowsErr} {
				if errors.Is(err, errAudit) != c.wrong || !c.wrong && err != nil {
					t.Errorf("found out %v, want it to: %v", err, c.wrong)
				}
			}
		})
	}
	_ = b.Stop()
}

// createVariant creates a changed copy of a view, under its name with a prefix.
func (r *auditRig) createVariant(b *rig.Bridge, view, prefix string, edit func(string) string) {
	r.t.Helper()
	statements, err := bridge.DDL(r.t.Context(), b.Config)
	if err != nil {
		r.t.Fatal(err)
	}
	name := "`" + r.Name + "`.`"
	at := slices.IndexFunc(statements, func(s string) bool { return strings.HasPrefix(s, "CREATE OR REPLACE VIEW "+name+view+"`") })
	if at < 0 {
		r.t.Fatalf("no view %s among the statements", view)
	}
	text := edit(strings.Replace(statements[at], name+view+"`", name+prefix+view+"`", 1))
	if err := r.CH.Exec(r.t.Context(), text); err != nil {
		r.t.Fatalf("%v in %s", err, text)
	}
}

// cutLines cuts n lines out of a text, those from offset off the first line that holds every one of the parts.
func cutLines(text, part string, offset, n int, parts ...string) string {
	lines := strings.Split(text, "\n")
	at := slices.IndexFunc(lines, func(line string) bool {
		return !slices.ContainsFunc(append(parts, part), func(p string) bool { return !strings.Contains(line, p) })
	})
	if at < 0 {
		return "no line with " + part
	}
	return strings.Join(slices.Delete(lines, at+offset, at+offset+n), "\n")
}
