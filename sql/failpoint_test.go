package sql_test

import (
	"context"
	"errors"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/tidemark-db/tidemark/internal/warehouse"
	"github.com/tidemark-db/tidemark/sql"
)

// errHeld is what the hook of this test gives, so that no statement leaves the process.
var errHeld = errors.New("held")

// TestEveryChangeIsAFailpoint holds every rendered statement that changes state to the failpoint of its name: Exec and
// Insert stop at it, and no other way takes it.
func TestEveryChangeIsAFailpoint(t *testing.T) {
	var reached []string
	db, err := warehouse.Open(warehouse.Options{
		DSN: "clickhouse://127.0.0.1:1/shop",
		Hook: func(_ context.Context, statement string, after bool) error {
			if after {
				t.Errorf("%s: the hook stopped it, but it was done", statement)
			}
			reached = append(reached, statement)
			return errHeld
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	var changes, want []string
	for _, s := range sql.Statements(t) {
		verb := strings.Fields(s.Text)[0]
		if s.Changes() == slices.Contains([]string{"SELECT", "WITH", "CHECK"}, verb) || verb == "WITH" && strings.Contains(s.Text, "INSERT") {
			t.Errorf("%s begins with %s, Changes is %v", s.Name, verb, s.Changes())
		}
		if !s.Changes() {
			continue
		}
		changes, want = append(changes, s.Name), append(want, s.Name, s.Name)
		if err := db.Query(t.Context(), s, nil, nil); err == nil || strings.Contains(err.Error(), "connect") {
			t.Errorf("%s goes through Query: %v", s.Name, err)
		}
		if _, err := db.ScalarReads(t.Context(), s); err == nil || strings.Contains(err.Error(), "connect") {
			t.Errorf("%s goes through ScalarReads: %v", s.Name, err)
		}
		if err := db.Exec(t.Context(), s, nil); !errors.Is(err, errHeld) {
			t.Errorf("%s: Exec: %v", s.Name, err)
		}
		if err := db.Insert(t.Context(), s, nil); !errors.Is(err, errHeld) {
			t.Errorf("%s: Insert: %v", s.Name, err)
		}
	}
	if !slices.Equal(reached, want) {
		t.Errorf("reached the failpoints %v, want %v", reached, want)
	}
	slices.Sort(changes)
	t.Logf("%d statements change state: %v", len(slices.Compact(changes)), slices.Compact(changes))
}

// mayBeLost are the tables on which nothing rests: marks that no query needs any more, and proofs, which are made again.
var mayBeLost = []string{"create_split_date_log", "create_verified"}

// TestNothingIsChangedInPlace sees that no statement changes or renames what a reader may be reading, and that every internal
// table writes to disk before it says so.
func TestNothingIsChangedInPlace(t *testing.T) {
	inPlace := regexp.MustCompile(`(?i)\b(ALTER TABLE\s.*\s(UPDATE|DELETE|MOVE|REPLACE|ATTACH|RENAME)\b|DELETE FROM|EXCHANGE|RENAME|TRUNCATE)`)
	for _, s := range sql.Statements(t) {
		// Partitions that no mark lists are replaced by none.
		if s.Changes() && s.Name != "clear_partitions" && !strings.Contains(s.Text, " VIEW ") && inPlace.MatchString(s.Text) {
			t.Errorf("%s changes in place: %s", s.Name, s.Text)
		}
		durable := strings.Contains(s.Text, "fsync_after_insert = 1") && strings.Contains(s.Text, "min_rows_to_fsync_after_merge = 1")
		if strings.HasPrefix(s.Text, "CREATE TABLE") && !durable && !slices.Contains(mayBeLost, s.Name) {
			t.Errorf("%s is not durable: %s", s.Name, s.Text)
		}
	}
}
