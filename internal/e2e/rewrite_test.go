package e2e

import (
	"strings"
	"testing"

	"github.com/tidemark-db/tidemark/internal/bridge"
	"github.com/tidemark-db/tidemark/internal/rig"
)

// rewrites give a table other files, or other indexes, and change no row.
var rewrites = []string{"VACUUM FULL {t}", "CLUSTER {t} USING {t}_pkey", "REINDEX TABLE {t}", "VACUUM FULL ANALYZE {t}", "CLUSTER {t}"}

// TestRewritesOfTheSameRows has PostgreSQL write tables anew while they are written to and read, and while the bridge is away:
// no row of WAL tells of it, every read is right, and what was settled stays where it was.
func TestRewritesOfTheSameRows(t *testing.T) {
	t.Parallel()
	r := newAuditRig(t, lateTables("history", "docs", "stock")...)
	file := r.config("tick: 100ms\nschedule: {resync: \"\"}")
	p := r.Spawn(file)
	r.await()
	settled := settledChunks(t, r.Rig, "history")
	w := r.startStubborn(seed(t))
	w.begin("INSERT INTO history VALUES (1000000 + {v}, now(), {v}, 'new', 0, 'open') ON CONFLICT DO NOTHING; UPDATE docs SET title = '{v}' WHERE id = 1 + {v} % 100")
	witness := r.startWitness(pause)
	for _, rewrite := range rewrites {
		for _, table := range r.names() {
			r.run(strings.ReplaceAll(rewrite, "{t}", table))
		}
		r.await()
	}
	r.terminate(p)
	for _, table := range r.names() {
		r.run(strings.ReplaceAll(rewrites[0], "{t}", table))
	}
	p = r.Spawn(file)
	w.stop()
	r.compare()
	witness.stop()
	if now := settledChunks(t, r.Rig, "history"); len(settled) == 0 || len(now) == 0 || now[0] != settled[0] {
		t.Errorf("chunks %v of HISTORIC became %v: the table was loaded again", settled, now)
	}
	if strings.Contains(r.Log(), "held") {
		t.Errorf("a table was held:\n%s", r.Log())
	}
	r.terminate(p)
}

// unloggedRig publishes every table, the only way in which PostgreSQL lets one of them become unlogged. The one with texts has
// a TOAST table.
func unloggedRig(t *testing.T) (r *rig.Rig, file string) {
	t.Helper()
	r = rig.New(t, servers, "CREATE TABLE first (id int PRIMARY KEY, v int)", "CREATE TABLE texts (id int PRIMARY KEY, v text)", "CREATE TABLE numbers (id int PRIMARY KEY, v int)",
		"INSERT INTO texts SELECT g, 'old' FROM generate_series(1, 100) g", "INSERT INTO numbers SELECT g, 0 FROM generate_series(1, 100) g",
		"CREATE PUBLICATION tidemark FOR ALL TABLES")
	return r, r.ConfigFile("tick: 100ms\ntables: {public.first: {}, public.texts: {}, public.numbers: {}}")
}

// TestUnlogged makes published tables unlogged, of whose changes PostgreSQL then writes no WAL: their views throw, the others
// go on, and check says why. When they are logged again they are loaded.
func TestUnlogged(t *testing.T) {
	t.Parallel()
	r, file := unloggedRig(t)
	b := r.Run(file, bridge.Options{CheckInvariants: true})
	r.WaitLSN(3)
	for _, table := range []string{"texts", "numbers"} {
		execute(t, r, "ALTER TABLE "+table+" SET UNLOGGED", "DELETE FROM "+table+" WHERE id % 3 = 0")
		heldView(t, r, table)
		goesOn(t, r)
		command(t, file, "check").fails(t, 1, []string{"public." + table, "unlogged", `ALTER TABLE "public"."` + table + `" SET LOGGED`})
		execute(t, r, "DELETE FROM "+table+" WHERE id % 5 = 0", "ALTER TABLE "+table+" SET LOGGED", "DELETE FROM "+table+" WHERE id % 7 = 0")
		sameAsSource(t, r, table)
	}
	_ = b.Stop()
}

// TestUnloggedUnseen does so within one transaction, and while the bridge is away: the catalogue shows that ALTER TABLE rewrote
// the table, by its TOAST table. (One without texts tells nothing.)
func TestUnloggedUnseen(t *testing.T) {
	t.Parallel()
	r, file := unloggedRig(t)
	b := r.Run(file, bridge.Options{CheckInvariants: true})
	r.WaitLSN(3)
	execute(t, r, "BEGIN; ALTER TABLE texts SET UNLOGGED; DELETE FROM texts WHERE id % 3 = 0; ALTER TABLE texts SET LOGGED; COMMIT")
	sameAsSource(t, r, "texts")
	_ = b.Stop()
	execute(t, r, "ALTER TABLE texts SET UNLOGGED", "DELETE FROM texts WHERE id % 5 = 0", "ALTER TABLE texts SET LOGGED")
	b = r.Run(file, bridge.Options{CheckInvariants: true})
	sameAsSource(t, r, "texts")
	_ = b.Stop()
}

// TestUnloggedPartition has one partition be unlogged: the table is refused, as the stream would leave that partition out.
func TestUnloggedPartition(t *testing.T) {
	t.Parallel()
	r := rig.New(t, servers, "CREATE TABLE parts (id int PRIMARY KEY) PARTITION BY RANGE (id)",
		"CREATE TABLE low PARTITION OF parts FOR VALUES FROM (0) TO (100)", "CREATE UNLOGGED TABLE high PARTITION OF parts FOR VALUES FROM (100) TO (200)",
		"CREATE PUBLICATION tidemark FOR TABLE parts WITH (publish_via_partition_root = true)")
	file := r.ConfigFile("tick: 100ms\ntables: {public.parts: {}}")
	for _, name := range []string{"check", "run"} {
		command(t, file, name).fails(t, 1, []string{"public.high of public.parts is unlogged", `ALTER TABLE "public"."high" SET LOGGED`})
	}
	execute(t, r, "ALTER TABLE high SET LOGGED", "INSERT INTO parts VALUES (1), (101)")
	b := r.Run(file, bridge.Options{CheckInvariants: true})
	sameAsSource(t, r, "parts")
	_ = b.Stop()
}
