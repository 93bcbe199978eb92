package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/tidemark-db/tidemark/internal/engine"
	"github.com/tidemark-db/tidemark/internal/rig"
)

// TestBadPostgres has a PostgreSQL of its own be set up wrongly, and then less and less so.
func TestBadPostgres(t *testing.T) {
	t.Parallel()
	pg, err := engine.StartPostgres(t.Context(), engine.PostgresOptions{Settings: map[string]string{"max_wal_senders": "1", "fsync": "off"}, Progress: os.Stderr})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = pg.Stop(t.Context()) })
	target := rig.New(t, servers)
	b := &badRig{Rig: target, source: pg.DSN("postgres"), target: target.TargetDSN(), view: target.CH}
	if b.admin, err = pgxpool.New(t.Context(), b.source); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.admin.Close)
	restart := func(settings map[string]string) {
		for name, value := range settings {
			b.exec(t, fmt.Sprintf("ALTER SYSTEM SET %s = '%s'", name, value))
		}
		b.admin.Reset()
		if err := pg.Restart(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	restart(map[string]string{"wal_level": "replica", "max_replication_slots": "2"})
	b.exec(t, salesTable)
	b.exec(t, "CREATE PUBLICATION tidemark FOR TABLE sales")
	b.exec(t, "SELECT pg_create_physical_replication_slot('taken')")

	level := []string{"wal_level", `"replica"`, "ALTER SYSTEM SET wal_level"}
	taken := []string{"1 of 2 replication slots", "max_replication_slots"}
	senders := []string{"1 of 1 walsenders", "max_wal_senders"}
	b.refused(t, badCase{"", nil, 1, [][]string{level, taken, senders}, nil})
	restart(map[string]string{"max_wal_senders": "5", "max_replication_slots": "5"})
	b.refused(t, badCase{"", nil, 1, [][]string{level}, nil})
	restart(map[string]string{"wal_level": "logical", "max_replication_slots": "2"})
	b.refused(t, badCase{"", nil, 1, [][]string{taken}, nil})
	b.exec(t, "SELECT pg_drop_replication_slot('taken')")
	restart(map[string]string{"max_wal_senders": "1"})
	b.refused(t, badCase{"", nil, 1, [][]string{senders}, nil})
	restart(map[string]string{"max_wal_senders": "5"})
	t.Run("wrong password", func(t *testing.T) { b.wrongPassword(t, pg.Dir()) })
	command(t, write(t, b.good()), "check").works(t)
}

func (b *badRig) exec(t *testing.T, statement string) {
	t.Helper()
	if _, err := b.admin.Exec(t.Context(), statement); err != nil {
		t.Fatal(err)
	}
}

// wrongPassword makes PostgreSQL ask a role for its password, and gives another one.
func (b *badRig) wrongPassword(t *testing.T, dir string) {
	t.Helper()
	file := filepath.Join(dir, "data", "pg_hba.conf")
	rules := read(t, file)
	if err := os.WriteFile(file, []byte("host all locked 127.0.0.1/32 scram-sha-256\n"+rules), 0o600); err != nil {
		t.Fatal(err)
	}
	b.exec(t, "CREATE ROLE locked LOGIN REPLICATION PASSWORD 'right'")
	b.exec(t, "SELECT pg_reload_conf()")
	const canary = "hunter2canary"
	edit := []string{b.source, asUser(b.source, "locked:"+canary)}
	b.refused(t, badCase{"", edit, 1, [][]string{{`"locked"`, "password", "28P01"}}, nil})
	text := strings.NewReplacer(edit...).Replace(b.good())
	if got := command(t, write(t, text), "run", "--log-level", "debug"); strings.Contains(got.stdout+got.stderr, canary) {
		t.Errorf("the password stands in %s%s", got.stdout, got.stderr)
	}
}

// users is a ClickHouse with users that may do less and less.
const users = `<clickhouse><profiles><default/></profiles><quotas><default/></quotas><users>
	<default><password></password><networks><ip>127.0.0.1</ip></networks><profile>default</profile><quota>default</quota></default>
	<reader><password>right</password><networks><ip>127.0.0.1</ip></networks><profile>default</profile><quota>default</quota>
		<grants><query>GRANT SELECT ON *.*</query></grants></reader>
	<writer><password>right</password><networks><ip>127.0.0.1</ip></networks><profile>default</profile><quota>default</quota>
		<grants><query>GRANT SELECT, INSERT, CREATE TABLE, CREATE VIEW, DROP VIEW, ALTER DELETE, ALTER ADD COLUMN, KILL QUERY, DROP TABLE ON *.*</query></grants></writer>
</users></clickhouse>`

// TestTakenNames leaves tables and views of others alone that have the names of ours.
func TestTakenNames(t *testing.T) {
	t.Parallel()
	b := newBadRig(t)
	for _, statement := range []string{
		"CREATE DATABASE " + b.Name,
		"CREATE TABLE " + b.Name + ".sales (id Int64) ENGINE = MergeTree ORDER BY id",
		"INSERT INTO " + b.Name + ".sales VALUES (7)",
		"CREATE VIEW " + b.Name + ".split_date_current AS SELECT 1 AS one COMMENT 'of somebody'",
	} {
		if err := b.CH.Exec(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
	}
	b.refused(t, badCase{"", nil, 1, [][]string{{"`.`sales`", "MergeTree", "RENAME TABLE"}, {"`.`split_date_current`", "View", "RENAME TABLE"}}, nil})
	var sum int64
	if err := b.CH.QueryRow(t.Context(), "SELECT sum(id) + sum(one) FROM "+b.Name+".sales, "+b.Name+".split_date_current").Scan(&sum); err != nil || sum != 8 {
		t.Errorf("they hold %d, %v", sum, err)
	}
}

// TestBadClickHouse has a ClickHouse of its own with users that lack rights.
func TestBadClickHouse(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "users.xml")
	if err := os.WriteFile(file, []byte(users), 0o644); err != nil {
		t.Fatal(err)
	}
	ch, err := engine.StartClickHouse(t.Context(), engine.ClickHouseOptions{Settings: map[string]string{"users_config": file}, Progress: os.Stderr})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = ch.Stop(t.Context()) })
	b := newBadRig(t)
	b.target = ch.DSN(b.Name)
	opts, err := clickhouse.ParseDSN(ch.DSN("default"))
	if err != nil {
		t.Fatal(err)
	}
	if b.view, err = clickhouse.Open(opts); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = b.view.Close() })

	var missing [][]string
	for _, database := range []string{b.Name, b.Name + "_tidemark"} {
		for _, privilege := range []string{"INSERT", "CREATE DATABASE", "CREATE TABLE", "CREATE VIEW", "DROP VIEW", "ALTER DELETE", "ALTER ADD COLUMN"} {
			missing = append(missing, []string{privilege, database, "GRANT " + privilege})
		}
	}
	missing = append(missing, []string{"replace views", b.Name, "GRANT DROP TABLE ON"})
	as := func(user string) []string { return []string{b.target, asUser(b.target, user)} }
	b.refused(t, badCase{"", as("reader:right"), 1, missing, nil})
	b.refused(t, badCase{"", as("writer:right"), 1, [][]string{{"CREATE DATABASE", b.Name}, {"CREATE DATABASE", b.Name + "_tidemark"}}, nil})
	// Last, and once: the engine within clickhouse-local aborts after it has refused a password.
	file = write(t, strings.NewReplacer(as("writer:wrong")...).Replace(b.good()))
	command(t, file, "check").fails(t, 1, []string{"ClickHouse", "password", "clickhouse.dsn"})
}
