package e2e

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// lateTables are those of the given names, of every shape that the bridge keeps apart, with rows of every age.
func lateTables(names ...string) []audited {
	return slices.DeleteFunc([]audited{
		{
			name: "history", config: "{date_column: d, order_by: [status, id]}",
			columns: append(plainColumns("id", "v", "note", "status"), instantColumn("d"), numericColumn("amount")),
			setup: []string{
				`CREATE TYPE mood AS ENUM ('open', 'closed', 'gone');
				CREATE TABLE history (id bigint PRIMARY KEY, d timestamptz, v bigint NOT NULL, note text, amount numeric(12, 2), status mood NOT NULL)`,
				`INSERT INTO history SELECT g, now() - g * interval '80 s', g, 'n' || g, g / 100.0, 'open' FROM generate_series(1, 2500) g`,
				`INSERT INTO history SELECT g, NULL, g, NULL, NULL, 'gone' FROM generate_series(2501, 2600) g`,
			},
		},
		{
			name: "docs", config: "{date_column: d}",
			columns: append(plainColumns("id", "title", "big", "extra"), instantColumn("d")),
			setup: []string{
				`CREATE TABLE docs (id bigint PRIMARY KEY, d timestamptz NOT NULL, title text, big text, extra text);
				ALTER TABLE docs ALTER big SET STORAGE EXTERNAL, ALTER extra SET STORAGE EXTERNAL`,
				`INSERT INTO docs SELECT g, now() - g * interval '20 min', 't' || g, repeat(md5('b' || g), 320), repeat(md5('e' || g), 320)
				FROM generate_series(1, 100) g`,
			},
		},
		{
			name: "lines", config: "{date_column: d, partition_by: hour}",
			columns: append(plainColumns("a", "b", "v"), instantColumn("d")),
			setup: []string{
				`CREATE TABLE lines (a int, b text, d timestamp NOT NULL, v bigint, PRIMARY KEY (a, b));
				ALTER TABLE lines REPLICA IDENTITY FULL`,
				`INSERT INTO lines SELECT g % 40, 'b' || g / 40, now() - g * interval '1 min', g FROM generate_series(1, 400) g`,
			},
		},
		{
			name: "days", config: "{date_column: d, rt_window: 24h, partition_by: month}",
			columns: plainColumns("id", "d", "v"),
			setup: []string{
				`CREATE TABLE days (id int PRIMARY KEY, d date, v bigint)`,
				`INSERT INTO days SELECT g, current_date - g % 12, g FROM generate_series(1, 400) g`,
			},
		},
		{
			name: "events", config: "{date_column: d}",
			columns: append(plainColumns("v", "note"), instantColumn("d")),
			setup: []string{
				`CREATE TABLE events (d timestamptz, v bigint, note text)`,
				`INSERT INTO events SELECT now() - g * interval '5 min', g % 7, 'same' FROM generate_series(1, 400) g`,
			},
		},
		{
			name: "stock", config: "{}", columns: plainColumns("id", "v"),
			setup: []string{
				`CREATE TABLE stock (id int PRIMARY KEY, v bigint)`,
				`INSERT INTO stock SELECT g, g FROM generate_series(1, 50) g`,
			},
		},
		{ // large enough to be loaded to HISTORIC
			name: "products", config: "{}", columns: plainColumns("id", "v", "note"),
			setup: []string{
				`CREATE TABLE products (id int PRIMARY KEY, v bigint, note text)`,
				`INSERT INTO products SELECT g, g, repeat(md5(g::text), 4) FROM generate_series(1, 16000) g`,
			},
		},
		{
			name: "parts", config: "{date_column: d}",
			columns: append(plainColumns("id", "v"), instantColumn("d")),
			setup: []string{
				`CREATE TABLE parts (id int, d timestamptz, v bigint, PRIMARY KEY (id, d)) PARTITION BY RANGE (d);
				DO $$ BEGIN
					EXECUTE format('CREATE TABLE parts_old PARTITION OF parts FOR VALUES FROM (%L) TO (%L)', now() - interval '90 h', now() - interval '1 h');
					EXECUTE format('CREATE TABLE parts_mid PARTITION OF parts FOR VALUES FROM (%L) TO (%L) PARTITION BY HASH (id)', now() - interval '1 h', now() - interval '5 min');
					EXECUTE format('CREATE TABLE parts_new PARTITION OF parts FOR VALUES FROM (%L) TO (MAXVALUE)', now() - interval '5 min');
				END $$;
				CREATE TABLE parts_mid_1 PARTITION OF parts_mid FOR VALUES WITH (MODULUS 2, REMAINDER 0);
				CREATE TABLE parts_mid_2 (v bigint, gone int, d timestamptz, id int NOT NULL, PRIMARY KEY (id, d));
				ALTER TABLE parts_mid_2 DROP gone;
				ALTER TABLE parts_mid ATTACH PARTITION parts_mid_2 FOR VALUES WITH (MODULUS 2, REMAINDER 1)`,
				`INSERT INTO parts SELECT g, now() - g * interval '5 min', g FROM generate_series(1, 600) g`,
				`CREATE TABLE spare (LIKE parts INCLUDING ALL);
				INSERT INTO spare SELECT g, timestamptz '2001-06-01' + g * interval '1 h', g FROM generate_series(300, 900) g`,
			},
		},
	}, func(a audited) bool { return !slices.Contains(names, a.name) })
}

// deed is something that a transaction does: statements with places for random values, as gen.fill knows them.
type deed struct {
	keys int // {k}, {j} and {l} are different numbers up to this
	sql  string
}

// deeds of one table; each is done about as often as every other.
func deeds(keys int, statements ...string) (out []deed) {
	for _, s := range statements {
		out = append(out, deed{keys, s})
	}
	return out
}

// lateDeeds are, by table, all the ways in which rows of any age come, change and go.
var lateDeeds = map[string][]deed{
	"history": deeds(3000,
		`INSERT INTO history VALUES ({k}, {d}, {v}, 'x{v}', {v} / 100.0, 'open') ON CONFLICT DO NOTHING`,
		`INSERT INTO history SELECT g, {d}, g, NULL, NULL, 'closed' FROM generate_series({k}, {k} + 20) g ON CONFLICT DO NOTHING`,
		`INSERT INTO history VALUES ({k}, {d}, {v}, '', 0, 'gone') ON CONFLICT (id) DO UPDATE SET v = excluded.v, d = excluded.d`,
		`UPDATE history SET v = {v}, note = NULL WHERE id BETWEEN {k} AND {k} + 5`,
		`UPDATE history SET status = 'closed', amount = {v} / -100.0 WHERE id = {k}`,
		`UPDATE history SET d = {d} WHERE id BETWEEN {k} AND {k} + 3`,
		`UPDATE history SET d = now() WHERE id = {k}; UPDATE history SET d = now() - interval '2 h', v = {v} WHERE id = {k}`,
		`DELETE FROM history WHERE id BETWEEN {k} AND {k} + 3`,
		`DELETE FROM history WHERE id = {k}; INSERT INTO history VALUES ({k}, {d}, {v}, 'back', NULL, 'open')`,
		`INSERT INTO history VALUES ({k}, {d}, {v}, 'short', NULL, 'open') ON CONFLICT DO NOTHING; DELETE FROM history WHERE id = {k}`,
		`UPDATE history SET id = {j} WHERE id = {k} AND NOT EXISTS (SELECT FROM history WHERE id = {j})`,
		`UPDATE history SET id = -{s} WHERE id = {k}; UPDATE history SET id = {k} WHERE id = {j}; UPDATE history SET id = {j} WHERE id = -{s}`,
		`DELETE FROM history WHERE id = {k}; UPDATE history SET id = {k} WHERE id = {j}; UPDATE history SET id = {j}, d = {d} WHERE id = {l}`,
	),
	"docs": deeds(150,
		`INSERT INTO docs VALUES ({k}, {t}, 'x{v}', {big}, {big}) ON CONFLICT DO NOTHING`,
		`UPDATE docs SET title = 'y{v}' WHERE id BETWEEN {k} AND {k} + 10`,
		`UPDATE docs SET title = '1' WHERE id = {k}; UPDATE docs SET title = '2', d = {t} WHERE id = {k}; UPDATE docs SET title = '3', extra = {big} WHERE id = {k}`,
		`UPDATE docs SET d = {t} WHERE id BETWEEN {k} AND {k} + 3`,
		`UPDATE docs SET big = {big} WHERE id = {k}; UPDATE docs SET title = 'z' WHERE id = {k}`,
		`UPDATE docs SET extra = NULL WHERE id = {k}`,
		`DELETE FROM docs WHERE id = {k}; INSERT INTO docs VALUES ({k}, {t}, 'back', {big}, NULL); UPDATE docs SET title = 'again' WHERE id = {k}`,
		`UPDATE docs SET id = {j}, title = 'moved' WHERE id = {k} AND NOT EXISTS (SELECT FROM docs WHERE id = {j}); UPDATE docs SET title = 'on' WHERE id = {j}`,
		`UPDATE docs SET id = -{s} WHERE id = {k}; UPDATE docs SET id = {k}, extra = {big} WHERE id = {j}; UPDATE docs SET id = {j}, d = {t} WHERE id = -{s}`,
		`DELETE FROM docs WHERE id = {k}; UPDATE docs SET id = {k} WHERE id = {j}; UPDATE docs SET id = {j} WHERE id = {l}; UPDATE docs SET title = 'c' WHERE id = {k}`,
	),
	"lines": deeds(480,
		`INSERT INTO lines VALUES ({k} % 40, 'b' || {k} / 40, {t}, {v}) ON CONFLICT DO NOTHING`,
		`UPDATE lines SET v = {v} WHERE a = {k} % 40`,
		`UPDATE lines SET d = {t} WHERE a = {k} % 40 AND b = 'b' || {k} / 40`,
		`UPDATE lines SET a = {j} % 40 WHERE a = {k} % 40 AND b = 'b' || {k} / 40 AND NOT EXISTS (SELECT FROM lines WHERE a = {j} % 40 AND b = 'b' || {k} / 40)`,
		`UPDATE lines SET b = 'c' || {s} WHERE a = {k} % 40 AND b = 'b1'; UPDATE lines SET b = 'b1', d = {t} WHERE a = {k} % 40 AND b = 'b2'; UPDATE lines SET b = 'b2' WHERE a = {k} % 40 AND b = 'c' || {s}`,
		`DELETE FROM lines WHERE a = {k} % 40 AND b = 'b' || {k} / 40`,
	),
	"days": deeds(500,
		`INSERT INTO days VALUES ({k}, {day}, {v}) ON CONFLICT DO NOTHING`,
		`UPDATE days SET v = {v} WHERE id BETWEEN {k} AND {k} + 5`,
		`UPDATE days SET d = {day} WHERE id BETWEEN {k} AND {k} + 2`,
		`UPDATE days SET id = {j}, d = {day} WHERE id = {k} AND NOT EXISTS (SELECT FROM days WHERE id = {j})`,
		`DELETE FROM days WHERE id BETWEEN {k} AND {k} + 2`,
	),
	"events": deeds(20,
		`INSERT INTO events SELECT {d}, {v}, 'same' FROM generate_series(1, {k})`,
		`INSERT INTO events VALUES (now(), 1, 'same'), (now(), 1, 'same'), ({d}, 2, NULL)`,
	),
	"stock": deeds(60,
		`UPDATE stock SET v = v + {v} WHERE id = {k}`,
		`INSERT INTO stock VALUES ({k}, {v}) ON CONFLICT (id) DO UPDATE SET v = excluded.v`,
		`DELETE FROM stock WHERE id = {k}`,
		`UPDATE stock SET id = {j} WHERE id = {k} AND NOT EXISTS (SELECT FROM stock WHERE id = {j})`,
	),
	"parts": deeds(700,
		`INSERT INTO parts VALUES ({k}, {t}, {v}), ({j}, {t}, {v}) ON CONFLICT DO NOTHING`,
		`UPDATE parts SET v = {v} WHERE id BETWEEN {k} AND {k} + 20`,
		`UPDATE parts SET d = {t} WHERE id = {k} AND d = (SELECT max(d) FROM parts WHERE id = {k})`,
		`UPDATE parts SET d = d - interval '1 h' WHERE id = {k} AND d > now() - interval '20 h'`,
		`UPDATE parts SET id = {j} WHERE id = {k} AND NOT EXISTS (SELECT FROM parts WHERE id = {j})`,
		`UPDATE parts SET v = -v WHERE d < '2002-01-01' AND id BETWEEN {k} AND {k} + 50`,
		`INSERT INTO parts SELECT {k}, d, {v} FROM parts WHERE d < '2002-01-01' AND id = {j} ON CONFLICT DO NOTHING`,
		`DELETE FROM parts WHERE id BETWEEN {k} AND {k} + 3`,
	),
	"products": deeds(17000,
		`UPDATE products SET v = {v} WHERE id = {k}`,
		`UPDATE products SET v = v + 1 WHERE id BETWEEN {k} AND {k} + 150`,
		`INSERT INTO products VALUES ({k}, {v}, 'x') ON CONFLICT (id) DO UPDATE SET v = excluded.v`,
		`DELETE FROM products WHERE id BETWEEN {k} AND {k} + 3`,
		`UPDATE products SET id = {j} WHERE id = {k} AND NOT EXISTS (SELECT FROM products WHERE id = {j})`,
	),
}

// heavyDeeds are done one after the other while all else goes on, by those who have the tables. Those of more than 16 MB
// reach ClickHouse in pieces before their commit.
var heavyDeeds = []struct {
	tables []string
	sql    string
}{
	{[]string{"events", "days"}, `TRUNCATE events, days; INSERT INTO days SELECT g, current_date - g % 12, g FROM generate_series(1, 300) g; INSERT INTO events VALUES ({d}, 1, 'first')`},
	{[]string{"history"}, `UPDATE history SET v = v + 1;
	INSERT INTO history SELECT 100000 + g, now() - g * interval '1 s', g, repeat('n', 100), 0, 'open' FROM generate_series(1, 60000) g;
	UPDATE history SET v = v + 1, d = now() WHERE id BETWEEN 100001 AND 110000;
	UPDATE history SET id = id + 100000 WHERE id BETWEEN 120001 AND 125000;
	DELETE FROM history WHERE id BETWEEN 130001 AND 135000;
	INSERT INTO history SELECT g, {d}, g, 'twice', 0, 'closed' FROM generate_series(130001, 131000) g`},
	{[]string{"stock"}, `TRUNCATE stock; INSERT INTO stock SELECT g, g FROM generate_series(1, 40) g; UPDATE stock SET v = 1 WHERE id < 10`},
	{[]string{"history"}, `DELETE FROM history WHERE id >= 100000`},
	{[]string{"docs"}, `UPDATE docs SET title = 'big';
	INSERT INTO docs SELECT 1000 + g, now() - g * interval '1 min', 'b', repeat(md5('b' || g), 320), repeat(md5('e' || g), 320) FROM generate_series(1, 2500) g;
	UPDATE docs SET title = 'c' WHERE id > 0;
	UPDATE docs SET id = id + 10000 WHERE id BETWEEN 1500 AND 1600;
	UPDATE docs SET title = 'd', d = now() WHERE id BETWEEN 11500 AND 11510;
	DELETE FROM docs WHERE id BETWEEN 1001 AND 1499 OR id BETWEEN 1601 AND 3500;
	UPDATE docs SET title = 'e', id = 1500 WHERE id = 11500`},
	{[]string{"lines"}, `TRUNCATE lines`},
	{[]string{"docs", "history"}, `INSERT INTO docs SELECT 20000 + g, now(), 'gone', repeat(md5('b' || g), 320), repeat(md5('e' || g), 320) FROM generate_series(1, 1900) g;
	TRUNCATE docs, history;
	INSERT INTO docs SELECT g, now() - g * interval '20 min', 't' || g, repeat(md5('b' || g), 320), NULL FROM generate_series(1, 100) g;
	UPDATE docs SET title = 'fresh' WHERE id < 20;
	INSERT INTO history SELECT g, now() - g * interval '80 s', g, 'n' || g, g / 100.0, 'open' FROM generate_series(1, 2500) g`},
}

// gen makes random transactions.
type gen struct {
	*rand.Rand
	session int
	tables  []string
}

// pick returns one of several texts.
func (g *gen) pick(texts ...string) string { return texts[g.IntN(len(texts))] }

// instant is a timestamp that lies where its row is in RT, close to the split date, or long settled.
func (g *gen) instant() string {
	hours := strconv.Itoa(1 + g.IntN(60))
	return g.pick("now()", "now()", "clock_timestamp()", "now() - interval '3.5 s'", "now() - interval '"+hours+" h'",
		"now() - interval '"+hours+" min'", "now() + interval '1 h'")
}

// fill puts random values into a deed.
func (g *gen) fill(d deed) string {
	keys := g.Perm(max(d.keys, 3))
	nullable := g.instant()
	if g.IntN(6) == 0 {
		nullable = "NULL"
	}
	return strings.NewReplacer(
		"{k}", strconv.Itoa(keys[0]+1), "{j}", strconv.Itoa(keys[1]+1), "{l}", strconv.Itoa(keys[2]+1),
		"{s}", strconv.Itoa(g.session), "{v}", strconv.Itoa(g.IntN(1_000_000)),
		"{t}", g.instant(), "{d}", nullable,
		"{day}", g.pick("current_date", "current_date - "+strconv.Itoa(g.IntN(12)), "NULL", "current_date + 1"),
		"{big}", "repeat(md5('"+strconv.Itoa(g.Int())+"'), 320)",
	).Replace(d.sql)
}

// transaction is a few deeds, some of them in subtransactions; a few of both are rolled back.
func (g *gen) transaction() string {
	out := []string{"BEGIN"}
	for range 1 + g.IntN(4) {
		list := lateDeeds[g.tables[g.IntN(len(g.tables))]]
		sql := g.fill(list[g.IntN(len(list))])
		switch g.IntN(8) {
		case 0:
			sql = "SAVEPOINT s; " + sql + "; ROLLBACK TO s"
		case 1:
			sql = "SAVEPOINT s; " + sql + "; RELEASE s"
		}
		out = append(out, sql)
	}
	end := "COMMIT"
	if g.IntN(12) == 0 {
		end = "ROLLBACK"
	}
	return strings.Join(append(out, end), "; ")
}

// workload writes to the tables of an auditRig until it is stopped.
type workload struct {
	rig    *auditRig
	seed   uint64
	ctx    context.Context
	cancel context.CancelFunc
	group  sync.WaitGroup

	mu        sync.Mutex
	committed int
	aborted   int // deadlocks and duplicate keys
	faults    []error
}

// seed returns that of the environment, or a new one, and says how to have it again.
func seed(t *testing.T) uint64 {
	t.Helper()
	const variable = "TIDEMARK_E2E_SEED"
	n := rand.Uint64()
	if text := os.Getenv(variable); text != "" {
		var err error
		if n, err = strconv.ParseUint(text, 10, 64); err != nil {
			t.Fatalf("%s: %v", variable, err)
		}
	}
	t.Logf("%s=%d writes the same transactions again", variable, n)
	return n
}

// start begins to write short transactions in two sessions.
func (r *auditRig) start(seed uint64) *workload {
	r.t.Helper()
	w := &workload{rig: r, seed: seed}
	w.ctx, w.cancel = context.WithCancel(r.t.Context())
	for session := 1; session <= 2; session++ {
		g := w.gen(session)
		w.group.Go(func() { w.write(writeStep, func(int) (string, bool) { return g.transaction(), true }) }) // ends with stop
	}
	r.t.Cleanup(func() { w.cancel(); w.group.Wait() })
	return w
}

// writeStep is the time between two transactions of a session.
const writeStep = 20 * time.Millisecond

// heavy does the heavy deeds, in a session of its own, within the given time.
func (w *workload) heavy(length time.Duration) {
	g := w.gen(3)
	var list []string
	for _, h := range heavyDeeds {
		if !slices.ContainsFunc(h.tables, func(name string) bool { return !slices.Contains(g.tables, name) }) {
			list = append(list, "BEGIN; "+g.fill(deed{sql: h.sql})+"; COMMIT")
		}
	}
	w.group.Go(func() { // ends with stop, or after the last
		w.write(length/time.Duration(len(list)+1), func(n int) (string, bool) {
			return strings.Join(list[min(n, len(list)):min(n+1, len(list))], ""), n < len(list)
		})
	})
}

func (w *workload) gen(session int) *gen {
	return &gen{rand.New(rand.NewPCG(w.seed, uint64(session))), session, w.rig.names()}
}

// stop ends the writing and fails the test if any of it failed.
func (w *workload) stop() {
	w.rig.t.Helper()
	w.cancel()
	w.group.Wait()
	w.rig.t.Logf("%d transactions, %d aborted by PostgreSQL", w.committed, w.aborted)
	if err := errors.Join(w.faults...); err != nil {
		w.rig.t.Errorf("write: %v", err)
	}
}

// write sends a transaction at every step, until there are no more.
func (w *workload) write(step time.Duration, next func(n int) (string, bool)) {
	conn, err := pgx.Connect(w.ctx, w.rig.AdminDSN())
	if err != nil {
		w.note(err)
		return
	}
	defer conn.Close(context.WithoutCancel(w.ctx))
	ticker := time.NewTicker(step)
	defer ticker.Stop()
	for n := 0; ; n++ {
		select {
		case <-w.ctx.Done():
			return
		case <-ticker.C:
		}
		sql, ok := next(n)
		if !ok {
			return
		}
		if err := w.send(conn, sql); err != nil {
			w.note(fmt.Errorf("%w in %.300s", err, sql))
			return
		}
	}
}

// send runs a transaction, again while it is the victim of a deadlock. It is not cut off in the middle, so that stop
// leaves nothing undecided.
func (w *workload) send(conn *pgx.Conn, sql string) error {
	ctx := context.WithoutCancel(w.ctx)
	for {
		_, err := conn.Exec(ctx, sql)
		if err == nil {
			w.mu.Lock()
			w.committed++
			w.mu.Unlock()
			return nil
		}
		var pg *pgconn.PgError
		if !errors.As(err, &pg) || !slices.Contains([]string{deadlockDetected, movedElsewhere, uniqueViolation}, pg.Code) {
			return err
		}
		if _, err := conn.Exec(ctx, "ROLLBACK"); err != nil {
			return err
		}
		w.mu.Lock()
		w.aborted++
		w.mu.Unlock()
		if pg.Code == uniqueViolation {
			return nil
		}
	}
}

// What two sessions do to each other.
const (
	deadlockDetected = "40P01"
	movedElsewhere   = "40001" // to another partition
	uniqueViolation  = "23505"
)

func (w *workload) note(err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.faults = append(w.faults, err)
}
