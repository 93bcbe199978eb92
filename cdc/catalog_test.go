package cdc

import (
	"fmt"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
)

// firstUserOID is PostgreSQL's FirstNormalObjectId: types from here on have other numbers in each database.
const firstUserOID = 16384

func describe(t Table) string {
	lines := []string{fmt.Sprintf("%s key=%v deferrable=%v identity=%c partitioned=%v filter=%q", t.FullName(), t.Key, t.KeyDeferrable,
		t.ReplicaIdentity, t.Partitioned, t.RowFilter)}
	for _, c := range t.Columns {
		line := fmt.Sprintf("  %s %s base=%d/%d elem=%d", c.Name, c.TypeName, c.BaseTypeOID, c.BaseTypeMod, c.ElemTypeOID)
		if c.BaseTypeOID >= firstUserOID {
			line = strings.Replace(line, fmt.Sprintf("base=%d", c.BaseTypeOID), "base=user", 1)
		}
		for _, flag := range []struct {
			on   bool
			name string
		}{{c.NotNull, " notnull"}, {c.Generated, " generated"}} {
			if flag.on {
				line += flag.name
			}
		}
		if c.ElemTypeOID != 0 {
			line += fmt.Sprintf("/%d dimensions=%d", c.ElemTypeMod, c.Dimensions)
		}
		if c.Enum {
			line = strings.Replace(line, "base=user", "enum", 1)
			line = strings.Replace(line, fmt.Sprintf("elem=%d/", c.ElemTypeOID), "elem=enum/", 1)
		}
		lines = append(lines, line)
	}
	return strings.Join(lines, "\n")
}

func TestCatalog(t *testing.T) {
	onEach(t, func(s *source) {
		s.exec("CREATE TYPE mood AS ENUM ('a')", "CREATE DOMAIN price AS numeric(12, 2)", "CREATE DOMAIN net AS price NOT NULL", "CREATE DOMAIN feeling AS mood",
			"CREATE DOMAIN feelings AS feeling[]",
			`CREATE TABLE t (b text NOT NULL, dropped int, id bigint, n net, f feeling, m mood, v varchar(10), nums numeric(5, 1)[], ns net[], fs feelings, grid int[][], boxes box[], vector int2vector,
			 g int GENERATED ALWAYS AS (1) STORED, PRIMARY KEY (id, b))`, "ALTER TABLE t DROP dropped",
			"CREATE TABLE hidden (id int PRIMARY KEY, secret text, open text)",
			"CREATE TABLE indexed (id int PRIMARY KEY, a int NOT NULL, b int)", "CREATE UNIQUE INDEX i ON indexed (a) INCLUDE (b)",
			"ALTER TABLE indexed REPLICA IDENTITY USING INDEX i",
			"CREATE TABLE parted (id int PRIMARY KEY) PARTITION BY HASH (id)", "CREATE TABLE leaf PARTITION OF parted FOR VALUES WITH (MODULUS 1, REMAINDER 0)",
			"INSERT INTO parted SELECT generate_series(1, 1000)", "ANALYZE parted", "CREATE TABLE deferred (id int PRIMARY KEY DEFERRABLE)",
			"CREATE PUBLICATION pub FOR TABLE t, hidden (id, open) WHERE (id > 0), indexed, parted, deferred WITH (publish = 'insert, truncate', publish_via_partition_root)")
		var got []string
		for _, table := range s.catalog() {
			got = append(got, describe(table))
		}
		s.equal("catalog", strings.Join(got, "\n"), `public.deferred key=[] deferrable=true identity=d partitioned=false filter=""
  id integer base=23/-1 elem=0 notnull
public.hidden key=[id] deferrable=false identity=d partitioned=false filter="(id > 0)"
  id integer base=23/-1 elem=0 notnull
  open text base=25/-1 elem=0
public.indexed key=[a] deferrable=false identity=i partitioned=false filter=""
  id integer base=23/-1 elem=0 notnull
  a integer base=23/-1 elem=0 notnull
  b integer base=23/-1 elem=0
public.parted key=[id] deferrable=false identity=d partitioned=true filter=""
  id integer base=23/-1 elem=0 notnull
public.t key=[b id] deferrable=false identity=d partitioned=false filter=""
  b text base=25/-1 elem=0 notnull
  id bigint base=20/-1 elem=0 notnull
  n public.net base=1700/786438 elem=0
  f public.feeling enum/-1 elem=0
  m public.mood enum/-1 elem=0
  v character varying(10) base=1043/14 elem=0
  nums numeric(5,1)[] base=1231/327685 elem=1700/327685 dimensions=1
  ns public.net[] base=user/-1 elem=1700/786438 dimensions=1
  fs public.feelings enum/-1 elem=enum/-1 dimensions=1
  grid integer[] base=1007/-1 elem=23/-1 dimensions=2
  boxes box[] base=1020/-1 elem=0
  vector int2vector base=22/-1 elem=0`)
		if parted := s.table("public.parted"); parted.EstimatedRows != 1000 || parted.Pages == 0 {
			t.Errorf("size of the partitioned table: %d rows, %d pages", parted.EstimatedRows, parted.Pages)
		}
		conn, err := Connect(t.Context(), s.cfg)
		if err != nil {
			t.Fatal(err)
		}
		defer closeConn(t.Context(), conn)
		p, err := ReadPublication(t.Context(), conn, "pub")
		if err != nil || !p.Insert || p.Update || p.Delete || !p.Truncate || !p.ViaRoot || p.AllTables {
			t.Errorf("publication %+v %v", p, err)
		}
	})
}

// PostgreSQL 18 can publish generated columns, and calls a column NOT NULL that was never checked.
func TestCatalogOfVersion18(t *testing.T) {
	s := newSource(t, "18")
	s.exec("CREATE TABLE t (id int PRIMARY KEY, a int, g int GENERATED ALWAYS AS (a + 1) STORED, v int GENERATED ALWAYS AS (a + 2) VIRTUAL)",
		"INSERT INTO t VALUES (1, NULL)", "ALTER TABLE t ADD CONSTRAINT late NOT NULL a NOT VALID",
		"CREATE PUBLICATION pub FOR TABLE t WITH (publish_generated_columns = stored)")
	s.equal("table", describe(s.table("public.t")), `public.t key=[id] deferrable=false identity=d partitioned=false filter=""
  id integer base=23/-1 elem=0 notnull
  a integer base=23/-1 elem=0
  g integer base=23/-1 elem=0 generated`)
	f := s.follow(s.createSlot(), StreamOptions{})
	s.exec("INSERT INTO t VALUES (2, 5)")
	s.equal("stream", showAll(f.changes(1)), "I 2|5|6")
	s.equal("copy", strings.Join(s.collect(s.barrier(), CopyOptions{Table: s.table("public.t")}), "\n"), "1|-|-\n2|5|6")
}

// TestCatalogIsOneState reads a table while columns are added to it: all that is read is of one moment.
func TestCatalogIsOneState(t *testing.T) {
	s := newSource(t, "18")
	s.exec("CREATE TABLE t (id int PRIMARY KEY)", "CREATE PUBLICATION pub FOR TABLE t")
	conn, err := pgx.Connect(t.Context(), s.cfg.DSN)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(t.Context()) }()
	added := make(chan error, 1)
	go func() { // ends with the columns
		added <- func() error {
			for n := range 400 {
				if _, err := conn.Exec(t.Context(), fmt.Sprintf("ALTER TABLE t ADD c%d int", n)); err != nil {
					return err
				}
			}
			return nil
		}()
	}()
	for reads := 1; ; reads++ {
		found := s.table("public.t")
		if int(found.Attributes) != len(found.Columns) {
			t.Fatalf("read %d: %d columns are counted, %d listed", reads, found.Attributes, len(found.Columns))
		}
		select {
		case err := <-added:
			if err != nil {
				t.Fatal(err)
			}
			return
		default:
		}
	}
}
