package e2e

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/tidemark-db/tidemark/internal/bridge"
	"github.com/tidemark-db/tidemark/internal/rig"
)

// encodingCases are databases that are not in UTF-8. PostgreSQL translates LATIN1, so that a view has the same characters; of
// SQL_ASCII it knows no characters, so that a view has the same bytes. {x} is a text that UTF-8 writes otherwise.
var encodingCases = []struct{ encoding, as, text string }{
	{"LATIN1", "UTF8", `U&'caf\00e9 \00ff'`},
	{"SQL_ASCII", "SQL_ASCII", `E'caf\xe9 \xff'`},
}

// TestEncodings loads, follows, alters and reads again tables with texts in other encodings: in values, in keys, in TOAST, in
// labels of enums and in defaults of rows from before a column.
func TestEncodings(t *testing.T) {
	t.Parallel()
	for _, c := range encodingCases {
		t.Run(c.encoding, func(t *testing.T) {
			in := func(statement string) string { return strings.ReplaceAll(statement, "{x}", c.text) }
			r := rig.NewEncoded(t, servers, c.encoding,
				"CREATE TABLE words (k text, id int, at timestamptz, v varchar(40), big text, PRIMARY KEY (k, id)); ALTER TABLE words ALTER big SET STORAGE EXTERNAL",
				in("INSERT INTO words SELECT {x} || g, g, now() - g * interval '1 h', {x}, repeat({x}, 500) FROM generate_series(1, 50) g"),
				"CREATE PUBLICATION tidemark FOR ALL TABLES")
			b := r.Run(r.ConfigFile("tick: 100ms\nschedule: {roll: \"@every 1s\"}\ntables: {public.words: {date_column: at}}"), bridge.Options{CheckInvariants: true})
			r.WaitLSN(1)
			columns := []string{"k", "v", "big"}
			for _, statement := range []string{
				"SELECT 1",
				in("INSERT INTO words VALUES ({x}, 100, now(), {x}, {x}), ({x}, 101, now() - interval '9 h', 'plain', NULL)"),
				in("UPDATE words SET v = v || {x} WHERE id % 3 = 0; UPDATE words SET k = k || {x} WHERE id % 5 = 0; DELETE FROM words WHERE k LIKE {x} || '4%'"),
				in("ALTER TABLE words ADD added text DEFAULT {x}; UPDATE words SET v = 'after' WHERE id % 7 = 0"),
			} {
				execute(t, r, statement)
				if strings.Contains(statement, "ADD added") {
					columns = append(columns, "added")
				}
				sameBytes(t, r, "words", c.as, columns)
			}
			for _, again := range []func(context.Context, bridge.Request) ([]bridge.Reread, error){b.Verify, b.Reload, b.Verify} {
				found, err := again(t.Context(), bridge.Request{})
				must(t, err)
				for _, f := range found {
					if !f.Equal && !f.Replaced {
						t.Errorf("%+v", f)
					}
				}
				sameBytes(t, r, "words", c.as, columns)
			}
			_ = b.Stop()
		})
	}
}

// sameBytes waits until a view has the bytes that the texts of PostgreSQL's table have in an encoding.
func sameBytes(t *testing.T, r *rig.Rig, table, encoding string, columns []string) {
	t.Helper()
	var postgres, clickhouse []string
	for _, c := range columns {
		postgres = append(postgres, fmt.Sprintf("coalesce(encode(convert_to(%s, '%s'), 'hex'), '~')", c, encoding))
		clickhouse = append(clickhouse, fmt.Sprintf("ifNull(lower(hex(%s)), '~')", c))
	}
	var want, got string
	r.WaitLSN(1)
	must(t, r.PG.QueryRow(t.Context(), fmt.Sprintf("SELECT string_agg(row, ' ' ORDER BY id) FROM (SELECT id, concat_ws('|', %s) AS row FROM %s) r", strings.Join(postgres, ", "), table)).Scan(&want))
	r.Eventually(schemaPatience, "the bytes of "+encoding, func(ctx context.Context) error {
		err := r.CH.QueryRow(ctx, fmt.Sprintf("SELECT arrayStringConcat(arrayMap(x -> x.2, arraySort(groupArray((id, concatWithSeparator('|', %s))))), ' ') FROM %s.%s", strings.Join(clickhouse, ", "), r.Name, table)).Scan(&got)
		if err == nil && got != want {
			err = fmt.Errorf("the view has %.2000s\nPostgreSQL has %.2000s", got, want)
		}
		return err
	})
}
