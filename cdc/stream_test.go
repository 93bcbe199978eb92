package cdc

import (
	"slices"
	"strings"
	"testing"
)

func TestChanges(t *testing.T) {
	big := "repeat('x', 10000)"
	cases := []struct {
		name  string
		table []string
		do    []string
		want  string
	}{
		{
			"default identity",
			[]string{"CREATE TABLE t (id int PRIMARY KEY, a text, b int)"},
			[]string{"INSERT INTO t VALUES (1, 'a', NULL)", "UPDATE t SET a = ''", "UPDATE t SET id = 2", "DELETE FROM t"},
			"I 1|a|-\nU 1||-\nU 1|-|- → 2||-\nD 2|-|- →",
		},
		{
			"key moves on within a transaction",
			[]string{"CREATE TABLE t (id int PRIMARY KEY)"},
			[]string{"BEGIN; INSERT INTO t VALUES (1); UPDATE t SET id = 2; UPDATE t SET id = 3; COMMIT"},
			"I 1\nU 1 → 2\nU 2 → 3",
		},
		{
			"full",
			[]string{"CREATE TABLE t (id int PRIMARY KEY, a text)", "ALTER TABLE t REPLICA IDENTITY FULL"},
			[]string{"INSERT INTO t VALUES (1, NULL)", "UPDATE t SET a = 'b'", "DELETE FROM t"},
			"I 1|-\nU {1|-} → 1|b\nD {1|b} →",
		},
		{
			"using index",
			[]string{
				"CREATE TABLE t (id int PRIMARY KEY, a text NOT NULL, b text NOT NULL)", "CREATE UNIQUE INDEX i ON t (b, a)",
				"ALTER TABLE t REPLICA IDENTITY USING INDEX i",
			},
			[]string{"INSERT INTO t VALUES (1, 'a', 'b')", "UPDATE t SET id = 2", "UPDATE t SET a = 'c'", "DELETE FROM t"},
			"I 1|a|b\nU 2|a|b\nU -|a|b → 2|c|b\nD -|c|b →",
		},
		{
			"without key",
			[]string{"CREATE TABLE t (a int, b text)"},
			[]string{"INSERT INTO t VALUES (1, 'x'), (1, 'x')"},
			"I 1|x\nI 1|x",
		},
		{
			"unchanged toast",
			[]string{"CREATE TABLE t (id int PRIMARY KEY, a text, big text)", "ALTER TABLE t ALTER big SET STORAGE EXTERNAL"},
			[]string{"INSERT INTO t VALUES (1, 'a', " + big + ")", "UPDATE t SET a = 'b'", "UPDATE t SET id = 2", "UPDATE t SET big = 'y'"},
			"I 1|a|x×10000\nU 1|b|?\nU 1|-|- → 2|b|?\nU 2|b|y",
		},
		{
			"unchanged toast under full",
			[]string{"CREATE TABLE t (id int PRIMARY KEY, a text, big text)", "ALTER TABLE t ALTER big SET STORAGE EXTERNAL, REPLICA IDENTITY FULL"},
			[]string{"INSERT INTO t VALUES (1, 'a', " + big + ")", "UPDATE t SET a = 'b'"},
			"I 1|a|x×10000\nU {1|a|x×10000} → 1|b|?",
		},
		{
			"truncate among changes",
			[]string{"CREATE TABLE t (id int PRIMARY KEY)", "CREATE TABLE u (id int PRIMARY KEY REFERENCES t)"},
			[]string{"BEGIN; INSERT INTO t VALUES (1); TRUNCATE t, u; INSERT INTO t VALUES (2); COMMIT"},
			"I 1\nT t,u\nI 2",
		},
		{
			"rolled back savepoint",
			[]string{"CREATE TABLE t (id int PRIMARY KEY)"},
			[]string{"BEGIN; INSERT INTO t VALUES (1); SAVEPOINT s; INSERT INTO t VALUES (2); ROLLBACK TO s; INSERT INTO t VALUES (3); COMMIT"},
			"I 1\nI 3",
		},
		{
			"columns that go and come",
			[]string{"CREATE TABLE t (id int PRIMARY KEY, a int)"},
			[]string{"INSERT INTO t VALUES (1, 1)", "ALTER TABLE t DROP a, ADD b text DEFAULT 'd'", "INSERT INTO t VALUES (2)"},
			"I 1|1\nI 2|d",
		},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			onEach(t, func(s *source) {
				s.exec(c.table...)
				s.exec("CREATE PUBLICATION pub FOR ALL TABLES")
				f := s.follow(s.createSlot(), StreamOptions{})
				s.exec(c.do...)
				s.exec("CREATE TABLE finish (id int)", "INSERT INTO finish VALUES (0)")
				events := f.until("the last change", func(e Event) bool { return e.Kind == Change && e.Relation.Name == "finish" })
				f.transactions(1)
				var changes []Event
				for _, e := range events {
					if e.Kind == Truncate || e.Kind == Change && e.Relation.Name != "finish" {
						changes = append(changes, e)
					}
				}
				s.equal("changes", showAll(changes), c.want)
			})
		})
	}
}

func TestTransactionShape(t *testing.T) {
	onEach(t, func(s *source) {
		s.exec("CREATE TABLE t (id int PRIMARY KEY, a int)", "CREATE PUBLICATION pub FOR TABLE t")
		f := s.follow(s.createSlot(), StreamOptions{})
		s.exec("BEGIN; INSERT INTO t VALUES (1), (2); UPDATE t SET a = 1 WHERE id = 1; COMMIT", "DELETE FROM t WHERE id = 2")
		events := slices.DeleteFunc(f.transactions(2), func(e Event) bool { return e.Kind == Describe })
		var kinds []string
		var rel *Relation
		for _, e := range events {
			kinds = append(kinds, e.Kind.String())
			if e.Time.IsZero() || e.LSN == 0 {
				t.Errorf("event without time or LSN: %+v", e)
			}
			if e.Kind == Change && rel != nil && rel != e.Relation {
				t.Error("the relation changed for no reason")
			}
			if e.Kind == Change {
				rel = e.Relation
			}
		}
		s.equal("kinds", strings.Join(kinds, " "), "begin change change change commit begin change commit")
		first, end, second := events[0], events[4], events[5]
		if events[3].LSN != first.LSN || events[3].Ordinal != 3 || events[6].Ordinal != 1 {
			t.Errorf("position of the changes: %s %d", events[3].LSN, events[3].Ordinal)
		}
		if end.LSN <= first.LSN || second.LSN < end.LSN {
			t.Errorf("commit LSN %s, end LSN %s, next commit LSN %s", first.LSN, end.LSN, second.LSN)
		}
	})
}

// TestPrepared sees that a prepared transaction comes when it is committed, also where the stream began anew in between, and
// never when it is rolled back.
func TestPrepared(t *testing.T) {
	onEach(t, func(s *source) {
		s.exec("CREATE TABLE t (id int PRIMARY KEY)", "CREATE PUBLICATION pub FOR TABLE t")
		f := s.follow(s.createSlot(), StreamOptions{})
		for _, id := range []string{"1", "2"} {
			s.exec("BEGIN", "INSERT INTO t VALUES ("+id+")", "PREPARE TRANSACTION 'prepared "+id+"'")
		}
		s.exec("INSERT INTO t VALUES (3)")
		if got := f.changes(1); len(got) != 1 || show(got[0]) != "I 3" {
			t.Errorf("before COMMIT PREPARED: %v", got)
		}
		if err := f.stop(); err != nil {
			t.Fatal(err)
		}
		s.exec("ROLLBACK PREPARED 'prepared 1'", "COMMIT PREPARED 'prepared 2'", "INSERT INTO t VALUES (4)")
		var got []string
		for _, e := range s.follow(0, StreamOptions{}).changes(3) { // nothing was confirmed, so it begins with 3 again
			got = append(got, show(e))
		}
		if !slices.Equal(got, []string{"I 3", "I 2", "I 4"}) {
			t.Errorf("after it: %v", got)
		}
	})
}
