package e2e

import (
	"context"
	"fmt"
	"net"
	"strings"
	"testing"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/jackc/pglogrepl"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/tidemark-db/tidemark/internal/rig"
	"github.com/tidemark-db/tidemark/internal/warehouse"
)

// badRig is a source and a target with nothing wrong about them; each case makes one thing wrong.
type badRig struct {
	*rig.Rig
	source, target string // the DSNs of the configuration
	admin          *pgxpool.Pool
	view           clickhouse.Conn
}

const salesTable = `CREATE TABLE sales (id bigint PRIMARY KEY, at timestamptz NOT NULL, local_at timestamp, day date, price numeric(12, 2), note text)`

// good is a configuration without a fault.
func (b *badRig) good() string {
	return fmt.Sprintf(`source:
  dsn: %s
  publication: tidemark
  slot: %s
clickhouse:
  dsn: %s
http: {listen: ""}
tables:
  public.sales:
    date_column: at
`, b.source, b.Name, b.target)
}

// badCase is a configuration that must be refused. edit changes the good one: pairs of old and new text.
type badCase struct {
	name string
	edit []string
	code int
	want [][]string // a list of texts for each fault
	more [][]string // of faults beyond them, up to which run does not get
}

// refused has run and check refuse a configuration, and nothing come of it on either side.
func (b *badRig) refused(t *testing.T, c badCase) {
	t.Helper()
	text := strings.NewReplacer(c.edit...).Replace(b.good())
	if len(c.edit) > 0 && text == b.good() {
		t.Fatalf("nothing edited by %q", c.edit)
	}
	file := write(t, text)
	before := b.inventory(t)
	command(t, file, "check").fails(t, c.code, append(c.want, c.more...)...)
	command(t, file, "run").fails(t, c.code, c.want...)
	if after := b.inventory(t); after != before {
		t.Errorf("there was %q, now there is %q", before, after)
	}
}

// inventory lists what a bridge may have created for this rig, on both sides.
func (b *badRig) inventory(t *testing.T) string {
	t.Helper()
	var slots, relations, databases string
	err := b.admin.QueryRow(t.Context(), `SELECT coalesce(string_agg(slot_name, ' ' ORDER BY slot_name), ''),
		(SELECT string_agg(oid::text, ' ' ORDER BY oid) FROM pg_class WHERE relnamespace = 'public'::regnamespace)
		FROM pg_replication_slots WHERE slot_name LIKE $1`, b.Name+"%").Scan(&slots, &relations)
	if err != nil {
		t.Fatal(err)
	}
	err = b.view.QueryRow(t.Context(), "SELECT arrayStringConcat(groupArray(name), ' ') FROM system.databases WHERE startsWith(name, ?)", b.Name).Scan(&databases)
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("slots %s relations %s databases %s", slots, relations, databases)
}

func newBadRig(t *testing.T) *badRig {
	t.Helper()
	r := rig.New(t, servers, salesTable, "CREATE TABLE other (id int PRIMARY KEY)", "CREATE TABLE nothing (id int PRIMARY KEY)", "ALTER TABLE nothing REPLICA IDENTITY NOTHING",
		"CREATE PUBLICATION tidemark FOR TABLE sales, nothing",
		"CREATE PUBLICATION inserts FOR TABLE sales WITH (publish = 'insert')")
	return &badRig{Rig: r, source: r.SourceDSN(), target: r.TargetDSN(), admin: r.PG, view: r.CH}
}

// asUser puts a user, or a user and a password, in the place of a DSN's own.
func asUser(dsn, user string) string {
	scheme, rest, _ := strings.Cut(dsn, "://")
	_, address, _ := strings.Cut(rest, "@")
	return scheme + "://" + user + "@" + address
}

// TestBadConfiguration runs and checks configurations with something wrong about them.
func TestBadConfiguration(t *testing.T) {
	t.Parallel()
	b := newBadRig(t)
	nowhere := "127.0.0.1:1" // where nobody listens
	const date = "date_column: at"
	for _, c := range []badCase{
		{"unreachable PostgreSQL", []string{b.source, "postgres://postgres@" + nowhere + "/shop"}, 1, [][]string{{"PostgreSQL", nowhere, "source.dsn"}}, nil},
		{"unknown database", []string{b.source, strings.Replace(b.source, b.Name, b.Name+"_x", 1)}, 1, [][]string{{b.Name + "_x", "does not exist", "source.dsn"}}, nil},
		{"unreachable ClickHouse", []string{b.target, "clickhouse://default@" + nowhere + "/shop"}, 1, [][]string{{"ClickHouse", nowhere, "clickhouse.dsn"}}, nil},
		{"several ClickHouse servers", []string{b.target, strings.Replace(b.target, "/"+b.Name, ",127.0.0.2:9000/"+b.Name, 1)}, 2, [][]string{{"clickhouse.dsn", "names 2 servers", "the one server"}}, nil},
		{"missing publication", []string{"publication: tidemark", "publication: nothing"}, 1, [][]string{{`"nothing"`, `CREATE PUBLICATION "nothing" FOR TABLE "public"."sales"`}}, nil},
		{"publication without some changes", []string{"publication: tidemark", "publication: inserts"}, 1, [][]string{{`"inserts"`, "update, delete, truncate", "ALTER PUBLICATION"}}, nil},
		{"table that is not published", []string{"public.sales", "public.other", "{" + date, "{", "    " + date + "\n", ""}, 1, [][]string{{"public.other", `"tidemark"`, `ALTER PUBLICATION "tidemark" ADD TABLE`}}, nil},
		{"table that does not exist", []string{"public.sales", "public.sails"}, 1, [][]string{{"public.sails", "does not exist"}}, nil},
		{"table without a replica identity", []string{"public.sales", "public.nothing", "{" + date, "{", "    " + date + "\n", ""}, 1, [][]string{{"public.nothing", "REPLICA IDENTITY NOTHING", `ALTER TABLE "public"."nothing" REPLICA IDENTITY DEFAULT`}}, nil},
		{"missing date column", []string{date, "date_column: created_at"}, 1, [][]string{{"public.sales", `"created_at"`, "date_column"}}, nil},
		{"date column that is none", []string{date, "date_column: note"}, 1, [][]string{{"public.sales", `"note"`, "String", "timestamp"}}, nil},
		{"date column without a zone", []string{date, "date_column: local_at"}, 1, [][]string{{"public.sales", `"local_at"`, "source.time_zone"}}, nil},
		{"date column of days with a short window", []string{date, "date_column: day\n    rt_window: 1h", "  slot:", "  time_zone: UTC\n  slot:"}, 1, [][]string{{"public.sales", `"day"`, "24h"}}, nil},
		{"type that cannot hold the column", []string{date, date + "\n    columns: {types: {note: Int64}}"}, 1, [][]string{{"public.sales", "note", "Int64"}}, nil},
		{"unknown column", []string{date, date + "\n    columns: {exclude: [prize]}"}, 1, [][]string{{"public.sales", `"prize"`}}, nil},
		{"excluded key", []string{date, date + "\n    columns: {exclude: [id]}"}, 1, [][]string{{"public.sales", `"id"`, "keep"}}, nil},
		{"two wrong tables", []string{date, "date_column: note\n    columns: {exclude: [prize]}\n  public.other: {}"}, 1, [][]string{{"public.other", "ALTER PUBLICATION"}}, [][]string{{"public.sales", `"prize"`}}},
		{"unknown key", []string{"http:", "htpp:"}, 2, [][]string{{"htpp", "http"}}, nil},
		{"several faults", []string{"http:", "tick: fast\nhtpp:", "slot: ", "slot: UP", date, "date_colum: at"}, 2, [][]string{{"source.slot"}, {"tick", "fast"}, {"htpp"}, {"date_colum"}}, nil},
		{"no tables", []string{"  public.sales:\n    " + date + "\n", ""}, 2, [][]string{{"tables", "public.stores"}}, nil},
		{"wrong scheme", []string{b.source, "mysql://localhost/shop"}, 2, [][]string{{"source.dsn", "postgres://"}}, nil},
		{"no DSN", []string{"  dsn: " + b.target + "\n", "  {}\n"}, 2, [][]string{{"clickhouse.dsn", "missing"}}, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			b.refused(t, c)
		})
	}
}

// TestBadSlot has the slot's name be taken.
func TestBadSlot(t *testing.T) {
	t.Parallel()
	b := newBadRig(t)
	t.Run("in use", func(t *testing.T) {
		name := b.Name + "_read"
		b.occupy(t, name)
		b.refused(t, badCase{"", []string{"slot: " + b.Name, "slot: " + name}, 1, [][]string{{name, "in use by the process", "source.slot"}}, nil})
	})
	t.Run("of another kind", func(t *testing.T) {
		name := b.Name + "_physical"
		if _, err := b.admin.Exec(t.Context(), "SELECT pg_create_physical_replication_slot($1)", name); err != nil {
			t.Fatal(err)
		}
		b.refused(t, badCase{"", []string{"slot: " + b.Name, "slot: " + name}, 1, [][]string{{name, "belongs to", "source.slot"}}, nil})
		if _, err := b.admin.Exec(t.Context(), "SELECT pg_drop_replication_slot($1)", name); err != nil {
			t.Fatal(err)
		}
	})
}

// occupy creates a slot and streams from it until the test ends.
func (b *badRig) occupy(t *testing.T, slot string) {
	t.Helper()
	conn, err := pgconn.Connect(t.Context(), b.source+"&replication=database")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(context.WithoutCancel(t.Context())) })
	_, err = pglogrepl.CreateReplicationSlot(t.Context(), conn, slot, "pgoutput", pglogrepl.CreateReplicationSlotOptions{})
	if err != nil {
		t.Fatal(err)
	}
	err = pglogrepl.StartReplication(t.Context(), conn, slot, 0, pglogrepl.StartReplicationOptions{
		PluginArgs: []string{"proto_version '1'", "publication_names 'tidemark'"},
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestBadRole has PostgreSQL's role lack a right.
func TestBadRole(t *testing.T) {
	t.Parallel()
	b := newBadRig(t)
	for _, c := range []struct {
		name, role, attributes, grant string
		want                          []string
	}{
		{"no replication", b.Name + "_reader", "LOGIN", "GRANT SELECT ON sales TO ", []string{"replication", "ALTER ROLE"}},
		{"no select", b.Name + "_streamer", "LOGIN REPLICATION", "", []string{"public.sales", "GRANT"}},
		{"no login", b.Name + "_nobody", "NOLOGIN", "", []string{"not permitted to log in", "LOGIN"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			for _, sql := range []string{"CREATE ROLE " + c.role + " " + c.attributes, c.grant + c.role} {
				if c.grant == "" && sql == c.role {
					continue
				}
				if _, err := b.admin.Exec(t.Context(), sql); err != nil {
					t.Fatal(err)
				}
			}
			t.Cleanup(func() { b.dropRole(t, c.role) })
			b.refused(t, badCase{"", []string{b.source, asUser(b.source, c.role)}, 1, [][]string{append(c.want, c.role)}, nil})
		})
	}
}

func (b *badRig) dropRole(t *testing.T, role string) {
	for _, sql := range []string{"DROP OWNED BY " + role, "DROP ROLE " + role} {
		if _, err := b.admin.Exec(context.WithoutCancel(t.Context()), sql); err != nil {
			t.Error(err)
		}
	}
}

// TestBadListen has the port of http.listen be taken, which only run needs.
func TestBadListen(t *testing.T) {
	t.Parallel()
	b := newBadRig(t)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	address := listener.Addr().String()
	before := b.inventory(t)
	file := write(t, strings.Replace(b.good(), `listen: ""`, "listen: "+address, 1))
	command(t, file, "run").fails(t, 1, []string{"http.listen", address, "port"})
	if after := b.inventory(t); after != before {
		t.Errorf("there was %q, now there is %q", before, after)
	}
}

// TestGood makes sure that the configuration that the others spoil is good.
func TestGood(t *testing.T) {
	t.Parallel()
	b := newBadRig(t)
	before := b.inventory(t)
	command(t, write(t, b.good()), "check").works(t)
	if after := b.inventory(t); after != before {
		t.Errorf("check made %q of %q", after, before)
	}
}

// TestOldClickHouse compares versions as numbers.
func TestOldClickHouse(t *testing.T) {
	for v, old := range map[warehouse.Version]bool{
		{26, 6}: true, {25, 12}: true, {9, 8}: true, warehouse.MinVersion: false, {26, 10}: false, {27, 1}: false, {100, 0}: false,
	} {
		if v.Less(warehouse.MinVersion) != old {
			t.Errorf("%s is older than %s: %v", v, warehouse.MinVersion, !old)
		}
	}
}

// TestDatabaseEngine refuses a database that ClickHouse itself would copy to other servers, or lose.
func TestDatabaseEngine(t *testing.T) {
	t.Parallel()
	b := newBadRig(t)
	if err := b.CH.Exec(t.Context(), "CREATE DATABASE "+b.Name+" ENGINE = Memory"); err != nil {
		t.Fatal(err)
	}
	b.refused(t, badCase{"", nil, 1, [][]string{{b.Name, "has the engine Memory", "clickhouse.dsn"}}, nil})
}
