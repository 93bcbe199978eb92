package cdc

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/tidemark-db/tidemark/internal/fault"
)

// TestLeavesTellWhatTheStreamDoesNot changes a partitioned table in the ways that send nothing, or nothing under its name:
// each one changes what ReadLeaves returns; what the stream does announce does not.
func TestLeavesTellWhatTheStreamDoesNot(t *testing.T) {
	onEach(t, func(s *source) {
		s.exec("CREATE TABLE p (id int, at timestamptz, PRIMARY KEY (id, at)) PARTITION BY RANGE (at)",
			"CREATE TABLE a PARTITION OF p FOR VALUES FROM ('2026-01-01') TO ('2026-02-01')",
			"CREATE TABLE rest PARTITION OF p DEFAULT", "INSERT INTO p VALUES (1, '2026-01-05')")
		last := s.leaves("public.p")
		for _, c := range []struct {
			statement string
			changes   bool
		}{
			{"INSERT INTO p VALUES (2, '2026-01-06'), (3, '2026-06-01')", false},
			{"ALTER TABLE a ADD CONSTRAINT c CHECK (id > 0)", false},
			{"ANALYZE p", false},
			{"TRUNCATE a", true},
			{"ALTER TABLE p DETACH PARTITION a", true},
			{"ALTER TABLE p ATTACH PARTITION a FOR VALUES FROM ('2026-01-01') TO ('2026-02-01')", true},
			{"ALTER TABLE p DETACH PARTITION a; ALTER TABLE p ATTACH PARTITION a FOR VALUES FROM ('2026-01-01') TO ('2026-02-01')", true},
			{"CREATE TABLE b PARTITION OF p FOR VALUES FROM ('2026-02-01') TO ('2026-03-01') PARTITION BY LIST (id); CREATE TABLE b1 PARTITION OF b DEFAULT", true},
			{"DROP TABLE b", true},
		} {
			s.exec(c.statement)
			now := s.leaves("public.p")
			if changed := !slices.Equal(now, last); changed != c.changes {
				t.Errorf("%s: changed is %t\n%v\n%v", c.statement, changed, last, now)
			}
			last = now
		}
	})
}

func (s *source) leaves(table string) (out []string) {
	s.Helper()
	conn, err := Connect(s.Context(), s.cfg)
	if err != nil {
		s.Fatal(err)
	}
	defer closeConn(s.Context(), conn)
	leaves, err := ReadLeaves(s.Context(), conn, []string{"public.none", table})
	if err != nil {
		s.Fatal(err)
	}
	for _, l := range leaves[table] {
		from, to, ok := l.Bounds("at")
		out = append(out, fmt.Sprintf("%s %s %s..%s %t", l.Name, l.Stamp, from, to, ok))
	}
	return out
}

func TestBoundsOfLeaves(t *testing.T) {
	s := newSource(t, "18")
	s.exec(`CREATE TABLE p (id int, "At" date NOT NULL, region text) PARTITION BY RANGE ("At")`,
		`CREATE TABLE first PARTITION OF p FOR VALUES FROM (MINVALUE) TO ('2026-01-01')`,
		`CREATE TABLE jan PARTITION OF p FOR VALUES FROM ('2026-01-01') TO ('2026-02-01') PARTITION BY LIST (region)`,
		`CREATE TABLE jan_eu PARTITION OF jan FOR VALUES IN ('eu', 'a(At >= ''2020-01-01''::date')`,
		`CREATE TABLE other PARTITION OF p DEFAULT`)
	conn, err := Connect(t.Context(), s.cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer closeConn(t.Context(), conn)
	leaves, err := ReadLeaves(t.Context(), conn, []string{"public.p"})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, l := range leaves["public.p"] {
		from, to, ok := l.Bounds("At")
		got = append(got, fmt.Sprintf("%s %q %q %t %t", l.Name, from, to, ok, l.Empty))
	}
	s.equal("bounds", strings.Join(got, "\n"), `public.first "" "2026-01-01" true true
public.jan_eu "2026-01-01" "2026-02-01" true true
public.other "" "" false true`)
}

// TestCatalogOfLeaves reads the catalogue of a publication that sends rows under the names of the leaves, and of one that
// sends some leaves alone.
func TestCatalogOfLeaves(t *testing.T) {
	onEach(t, func(s *source) {
		s.exec("CREATE TABLE p (id int PRIMARY KEY, a text) PARTITION BY HASH (id)",
			"CREATE TABLE p0 PARTITION OF p FOR VALUES WITH (MODULUS 2, REMAINDER 0) PARTITION BY HASH (id)",
			"CREATE TABLE p00 PARTITION OF p0 FOR VALUES WITH (MODULUS 1, REMAINDER 0)",
			"CREATE TABLE p1 (a text, gone int, id int PRIMARY KEY)", "ALTER TABLE p1 DROP gone", "ALTER TABLE p ATTACH PARTITION p1 FOR VALUES WITH (MODULUS 2, REMAINDER 1)",
			"CREATE TABLE q (id int PRIMARY KEY) PARTITION BY HASH (id)",
			"CREATE TABLE q0 PARTITION OF q FOR VALUES WITH (MODULUS 2, REMAINDER 0)",
			"CREATE TABLE q1 PARTITION OF q FOR VALUES WITH (MODULUS 2, REMAINDER 1)",
			"CREATE PUBLICATION pub FOR TABLE p, q0")
		p := s.table("public.p")
		s.equal("root", fmt.Sprint(p.Partitioned, p.Leaves, p.ColumnNames(), p.Key), "true [public.p00 public.p1] [id a] [id]")
		if leaf := s.table("public.p1"); len(leaf.Leaves) > 0 {
			t.Errorf("a leaf has leaves: %v", leaf.Leaves)
		}
		for table, want := range map[string]string{
			"public.q":    `let its owner run ALTER PUBLICATION "pub" SET (publish_via_partition_root = true)`,
			"public.none": "check the name under tables: schema.table, as pg_class spells it",
		} {
			s.equal(table, remedies(Preflight(t.Context(), s.cfg, []string{table})), want)
		}
		s.exec("ALTER PUBLICATION pub SET (publish_via_partition_root = true)")
		s.equal("root", fmt.Sprint(s.table("public.p").Leaves), "[]")
		s.equal("public.q", remedies(Preflight(t.Context(), s.cfg, []string{"public.q"})), `let its owner run ALTER PUBLICATION "pub" ADD TABLE "public"."q"`)
		s.exec("ALTER TABLE p1 REPLICA IDENTITY NOTHING")
		s.equal("identity", remedies(Preflight(t.Context(), s.cfg, []string{"public.p"})), `let its owner run ALTER TABLE "public"."p1" REPLICA IDENTITY FULL`)
	})
}

// remedies are those of findings, each on a line.
func remedies(findings []error) string {
	var out []string
	for _, err := range findings {
		out = append(out, fault.Try(err))
	}
	return strings.Join(out, "\n")
}
