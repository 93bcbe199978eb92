package e2e

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/tidemark-db/tidemark/internal/bridge"
	"github.com/tidemark-db/tidemark/internal/warehouse"
	"github.com/tidemark-db/tidemark/splitdate"
	"github.com/tidemark-db/tidemark/sql"
)

// caseTables hold settled rows (ids 1 to 99 and 201 to 299), which are loaded to HISTORIC, and fresh ones (101 to 199).
// Nothing rolls.
func caseTables() []audited {
	keyed := func(name, columns, config string, values string) audited {
		return audited{name: name, config: config, setup: []string{columns, values}}
	}
	const big = "repeat(md5(g::text), 320)"
	rows := keyed("rows", `CREATE TABLE rows (id int PRIMARY KEY, d timestamptz, v int, big text); ALTER TABLE rows ALTER big SET STORAGE EXTERNAL`,
		"{date_column: d}", `INSERT INTO rows SELECT g, CASE WHEN g / 100 = 1 THEN now() ELSE '2024-02-29 12:00Z' END, g, `+big+` FROM generate_series(1, 299) g`)
	rows.columns = append(plainColumns("id", "v", "big"), instantColumn("d"))
	pairs := keyed("pairs", `CREATE TABLE pairs (a int, b text, d timestamp NOT NULL, v int, PRIMARY KEY (a, b)); ALTER TABLE pairs REPLICA IDENTITY FULL`,
		"{date_column: d}", `INSERT INTO pairs SELECT g, 'x', CASE WHEN g / 100 = 1 THEN now() ELSE '2024-02-29 12:00' END, g FROM generate_series(1, 299) g`)
	pairs.columns = append(plainColumns("a", "b", "v"), instantColumn("d"))
	days := keyed("days", `CREATE TABLE days (id int PRIMARY KEY, d date, v int)`,
		"{date_column: d, rt_window: 24h}", `INSERT INTO days SELECT g, current_date - g / 10, g FROM generate_series(1, 99) g`)
	days.columns = plainColumns("id", "d", "v")
	events := keyed("events", `CREATE TABLE events (d timestamptz, v int)`, "{date_column: d}", `INSERT INTO events VALUES ('2024-02-29 12:00Z', 1), (now(), 1)`)
	events.columns = append(plainColumns("v"), instantColumn("d"))
	small := keyed("small", `CREATE TABLE small (id int PRIMARY KEY, v int)`, "{}", `INSERT INTO small SELECT g, g FROM generate_series(1, 99) g`)
	small.columns = plainColumns("id", "v")
	large := keyed("large", `CREATE TABLE large (id int PRIMARY KEY, v int, note text)`, "{}", `INSERT INTO large SELECT g, g, repeat(md5(g::text), 4) FROM generate_series(1, 16000) g`)
	large.columns = plainColumns("id", "v", "note")
	return []audited{rows, pairs, days, events, small, large}
}

// effect is by how many rows a transaction changes each part of a table.
type effect struct{ rt, late, masks, historic int }

// lateCases are single transactions with what the next mark must show. {split} is the split date of rows. Each uses rows
// of its own; before runs first and is not looked at.
var lateCases = []struct {
	name, table   string
	before, apply string
	want          effect
}{
	{"insert a fresh row", "rows", "", `INSERT INTO rows VALUES (1001, now(), 1, 'x')`, effect{rt: 1}},
	{"insert a backdated row", "rows", "", `INSERT INTO rows VALUES (1002, '2024-03-01', 1, 'x')`, effect{late: 1}},
	{"insert a row without a date", "rows", "", `INSERT INTO rows VALUES (1003, NULL, 1, 'x')`, effect{rt: 1}},
	{"insert a row of the future", "rows", "", `INSERT INTO rows VALUES (1004, now() + interval '400 days', 1, 'x')`, effect{rt: 1}},
	{"insert at the split", "rows", "", `INSERT INTO rows VALUES (1005, '{split}', 1, 'x')`, effect{rt: 1}},
	{"insert just before the split", "rows", "", `INSERT INTO rows VALUES (1006, timestamptz '{split}' - interval '1 us', 1, 'x')`, effect{late: 1}},

	{"update a settled row", "rows", "", `UPDATE rows SET v = 0 WHERE id = 1`, effect{late: 1, masks: 1}},
	{"bring a settled row to today", "rows", "", `UPDATE rows SET d = now() WHERE id = 2`, effect{rt: 1, masks: 1}},
	{"take a settled row's date", "rows", "", `UPDATE rows SET d = NULL WHERE id = 3`, effect{rt: 1, masks: 1}},
	{"delete a settled row", "rows", "", `DELETE FROM rows WHERE id = 4`, effect{masks: 1}},
	{"change a settled row's key", "rows", "", `UPDATE rows SET id = 1007 WHERE id = 5`, effect{late: 1, masks: 1}},
	{"change a settled row's key and date", "rows", "", `UPDATE rows SET id = 1008, d = now() WHERE id = 6`, effect{rt: 1, masks: 1}},
	{"update several settled rows", "rows", "", `UPDATE rows SET v = v + 1 WHERE id BETWEEN 7 AND 16`, effect{late: 10, masks: 10}},
	{"update a settled row often", "rows", "", `UPDATE rows SET v = 1 WHERE id = 17; UPDATE rows SET v = 2 WHERE id = 17; UPDATE rows SET v = 3 WHERE id = 17`, effect{late: 1, masks: 1}},
	{"bounce a settled row", "rows", "", `UPDATE rows SET d = now() WHERE id = 18; UPDATE rows SET d = '2024-01-01' WHERE id = 18`, effect{late: 1, masks: 1}},
	{"delete a settled row and insert it today", "rows", "", `DELETE FROM rows WHERE id = 19; INSERT INTO rows VALUES (19, now(), 1, 'x')`, effect{rt: 1, masks: 1}},
	{"delete a settled row and insert it backdated", "rows", "", `DELETE FROM rows WHERE id = 20; INSERT INTO rows VALUES (20, '2024-02-01', 1, 'x')`, effect{late: 1, masks: 1}},
	{"delete, insert and delete a settled row", "rows", "", `DELETE FROM rows WHERE id = 21; INSERT INTO rows VALUES (21, now(), 1, 'x'); DELETE FROM rows WHERE id = 21`, effect{masks: 1}},
	{"update a row that was brought back", "rows", `UPDATE rows SET d = now() WHERE id = 22`, `UPDATE rows SET d = '2024-01-01' WHERE id = 22`, effect{rt: -1, late: 1}},
	{"delete a row that was brought back", "rows", `UPDATE rows SET v = 0 WHERE id = 23`, `DELETE FROM rows WHERE id = 23`, effect{late: -1}},
	{"insert a settled key that is free", "rows", `DELETE FROM rows WHERE id = 24`, `INSERT INTO rows VALUES (24, '2024-02-29 12:00Z', 24, 'x')`, effect{late: 1}},
	{"delete a settled key that was free", "rows", `DELETE FROM rows WHERE id = 25; INSERT INTO rows VALUES (25, '2024-02-29 12:00Z', 25, 'x')`, `DELETE FROM rows WHERE id = 25`, effect{late: -1}},
	{"swap two settled rows", "rows", "", `UPDATE rows SET id = -1 WHERE id = 26; UPDATE rows SET id = 26 WHERE id = 27; UPDATE rows SET id = 27 WHERE id = -1`, effect{late: 2, masks: 2}},
	{"swap a settled row with a fresh one", "rows", "", `UPDATE rows SET id = -1 WHERE id = 28; UPDATE rows SET id = 28 WHERE id = 128; UPDATE rows SET id = 128 WHERE id = -1`, effect{late: 1, masks: 1}},
	{"chain of settled keys", "rows", "", `DELETE FROM rows WHERE id = 29; UPDATE rows SET id = 29 WHERE id = 30; UPDATE rows SET id = 30 WHERE id = 31`, effect{late: 2, masks: 3}},
	{"roll back to a savepoint", "rows", "", `UPDATE rows SET v = 0 WHERE id = 32; SAVEPOINT s; UPDATE rows SET v = 0 WHERE id BETWEEN 33 AND 40; ROLLBACK TO s; DELETE FROM rows WHERE id = 33`, effect{late: 1, masks: 2}},
	{"no change but a new version", "rows", "", `UPDATE rows SET v = v WHERE id = 34`, effect{late: 1, masks: 1}},

	{"keep a settled row's TOAST with its key", "rows", "", `UPDATE rows SET id = 1010, v = 1 WHERE id = 201`, effect{late: 1, masks: 1}},
	{"keep a settled row's TOAST over three keys", "rows", "", `UPDATE rows SET id = 1011 WHERE id = 202; UPDATE rows SET id = 1012, v = 2 WHERE id = 1011; UPDATE rows SET id = 1013, d = now() WHERE id = 1012`, effect{rt: 1, masks: 1}},
	{"keep the TOAST of a row that comes and goes", "rows", "", `UPDATE rows SET id = 1014 WHERE id = 203; UPDATE rows SET v = 7, id = 203 WHERE id = 1014`, effect{late: 1, masks: 1}},
	{"keep the TOAST of a row inserted before", "rows", "", `INSERT INTO rows VALUES (1015, '2024-01-01', 1, repeat(md5('1015'), 320)); UPDATE rows SET v = 2 WHERE id = 1015; UPDATE rows SET id = 1016 WHERE id = 1015`, effect{late: 1}},
	{"swap the TOAST of a settled and a fresh row", "rows", "", `UPDATE rows SET id = -1 WHERE id = 204; UPDATE rows SET id = 204 WHERE id = 104; UPDATE rows SET id = 104, v = 0 WHERE id = -1`, effect{late: 1, masks: 1}},
	{"change TOAST, then leave it", "rows", "", `UPDATE rows SET big = repeat(md5('new'), 320) WHERE id = 205; UPDATE rows SET v = 0 WHERE id = 205`, effect{late: 1, masks: 1}},
	{"keep a fresh row's TOAST", "rows", "", `UPDATE rows SET v = 0 WHERE id = 105; UPDATE rows SET id = 1017 WHERE id = 105`, effect{}},
	{"keep a late row's TOAST", "rows", `UPDATE rows SET v = 0 WHERE id = 206`, `UPDATE rows SET v = 1, id = 1018 WHERE id = 206; UPDATE rows SET d = now() WHERE id = 1018`, effect{rt: 1, late: -1}},

	{"update a fresh row", "rows", "", `UPDATE rows SET v = 0 WHERE id = 106`, effect{}},
	{"backdate a fresh row", "rows", "", `UPDATE rows SET d = '2024-01-01' WHERE id = 107`, effect{rt: -1, late: 1}},
	{"delete a fresh row", "rows", "", `DELETE FROM rows WHERE id = 108`, effect{rt: -1}},
	{"change a fresh row's key", "rows", "", `UPDATE rows SET id = 1020 WHERE id = 109`, effect{}},
	{"insert and delete", "rows", "", `INSERT INTO rows VALUES (1021, '2024-01-01', 1, 'x'); DELETE FROM rows WHERE id = 1021; INSERT INTO rows VALUES (1022, now(), 1, 'x')`, effect{rt: 1}},
	{"insert and backdate", "rows", "", `INSERT INTO rows VALUES (1023, now(), 1, 'x'); UPDATE rows SET d = '2024-01-01' WHERE id = 1023`, effect{late: 1}},
	{"date a row that had none", "rows", `INSERT INTO rows VALUES (1024, NULL, 1, 'x')`, `UPDATE rows SET d = '2024-01-01' WHERE id = 1024`, effect{rt: -1, late: 1}},
	{"update a late row", "rows", `INSERT INTO rows VALUES (1025, '2024-01-01', 1, 'x')`, `UPDATE rows SET v = 2 WHERE id = 1025`, effect{}},
	{"bring a late row to today", "rows", `INSERT INTO rows VALUES (1026, '2024-01-01', 1, 'x')`, `UPDATE rows SET d = now() WHERE id = 1026`, effect{rt: 1, late: -1}},
	{"delete a late row", "rows", `INSERT INTO rows VALUES (1027, '2024-01-01', 1, 'x')`, `DELETE FROM rows WHERE id = 1027`, effect{late: -1}},
	{"change a late row's key", "rows", `INSERT INTO rows VALUES (1028, '2024-01-01', 1, 'x')`, `UPDATE rows SET id = 1029 WHERE id = 1028`, effect{}},

	{"change half of a composite key", "pairs", "", `UPDATE pairs SET b = 'y' WHERE a = 1`, effect{late: 1, masks: 1}},
	{"delete under a full identity", "pairs", "", `DELETE FROM pairs WHERE a = 2`, effect{masks: 1}},
	{"bring a row of a composite key to today", "pairs", "", `UPDATE pairs SET d = now() WHERE a = 3`, effect{rt: 1, masks: 1}},
	{"insert beside half of a key", "pairs", "", `INSERT INTO pairs VALUES (4, 'y', '2024-01-01', 1)`, effect{late: 1}},
	{"backdate a row of a composite key", "pairs", "", `UPDATE pairs SET d = '2024-01-01', a = 1104 WHERE a = 104`, effect{rt: -1, late: 1}},

	{"insert today", "days", "", `INSERT INTO days VALUES (1001, current_date, 1)`, effect{rt: 1}},
	{"insert yesterday", "days", "", `INSERT INTO days VALUES (1002, current_date - 1, 1)`, effect{rt: 1}},
	{"insert the day before", "days", "", `INSERT INTO days VALUES (1003, current_date - 2, 1)`, effect{late: 1}},
	{"insert no day", "days", "", `INSERT INTO days VALUES (1004, NULL, 1)`, effect{rt: 1}},
	{"update a settled day", "days", "", `UPDATE days SET v = 0 WHERE id = 50`, effect{late: 1, masks: 1}},
	{"bring a settled day to yesterday", "days", "", `UPDATE days SET d = current_date - 1 WHERE id = 51`, effect{rt: 1, masks: 1}},
	{"take today back by two days", "days", "", `UPDATE days SET d = d - 2 WHERE id = 5`, effect{rt: -1, late: 1}},

	{"insert without a key", "events", "", `INSERT INTO events VALUES (now(), 1), (now(), 1), ('2024-02-29 12:00Z', 1)`, effect{rt: 2, late: 1}},
	{"insert without key and date", "events", "", `INSERT INTO events VALUES (NULL, NULL)`, effect{rt: 1}},

	{"update a small mirrored row", "small", "", `UPDATE small SET v = 0 WHERE id = 1`, effect{}},
	{"delete a small mirrored row", "small", "", `DELETE FROM small WHERE id = 2`, effect{rt: -1}},
	{"update a large mirrored row", "large", "", `UPDATE large SET v = 0 WHERE id = 1`, effect{rt: 1, masks: 1}},
	{"delete a large mirrored row", "large", "", `DELETE FROM large WHERE id = 2`, effect{masks: 1}},
	{"change a large mirrored row's key", "large", "", `UPDATE large SET id = 20001 WHERE id = 3`, effect{rt: 1, masks: 1}},
	{"insert a large mirrored row", "large", "", `INSERT INTO large VALUES (20002, 1, 'x')`, effect{rt: 1}},
	{"update a large mirrored row again", "large", `UPDATE large SET v = 0 WHERE id = 4`, `UPDATE large SET v = 1 WHERE id = 4`, effect{}},
}

// TestLateCases does one kind of change at a time, and looks where the next mark has its rows.
func TestLateCases(t *testing.T) {
	t.Parallel()
	r := newAuditRig(t, caseTables()...)
	b := r.Run(r.config("tick: 50ms\nrt_window: 1h\nsplit_step: 1s\nschedule: {roll: \"\"}"), bridge.Options{})
	r.await()
	store := r.store()
	split := store.newest(t).Tables["rows"].Split.Time().Format("2006-01-02 15:04:05.000000Z")
	for _, c := range lateCases {
		t.Run(c.name, func(t *testing.T) {
			if c.before != "" {
				r.commit(c.before)
			}
			before := store.newest(t)
			r.commit(strings.ReplaceAll(c.apply, "{split}", split))
			r.checkEffect(t, before, store.newest(t), c.table, c.want)
			if _, err := r.only(c.table).read(t.Context(), r.CH, ""); err != nil {
				t.Error(err)
			}
		})
	}
	r.compare()
	r.truncations(t, store)
	r.compare()
	_ = b.Stop()
}

// truncations empties tables in every state that they can be in.
func (r *auditRig) truncations(t *testing.T, store *markStore) {
	for _, c := range []struct {
		name, table, apply string
		left               effect
	}{
		{"truncate and insert", "rows", `TRUNCATE rows; INSERT INTO rows VALUES (1, now(), 1, 'x'), (2, '2024-01-01', 1, 'x')`, effect{rt: 1, late: 1}},
		{"insert, truncate, insert and update", "rows", `INSERT INTO rows VALUES (3, now(), 1, 'x'); UPDATE rows SET v = 0; TRUNCATE rows; INSERT INTO rows VALUES (1, now(), 1, 'y'); UPDATE rows SET v = 3`, effect{rt: 1}},
		{"truncate", "rows", `TRUNCATE rows`, effect{}},
		{"truncate what is empty", "rows", `TRUNCATE rows; INSERT INTO pairs VALUES (5000, 'x', now(), 1)`, effect{}},
		{"truncate several", "large", `TRUNCATE large, pairs, events; INSERT INTO large VALUES (1, 1, '')`, effect{rt: 1}},
		{"truncate a small table", "small", `TRUNCATE small; INSERT INTO small VALUES (1, 1); DELETE FROM small`, effect{}},
	} {
		t.Run(c.name, func(t *testing.T) {
			r.commit(c.apply)
			if got := parts(store.newest(t).Tables[c.table]); got != c.left {
				t.Errorf("%s holds %+v, want %+v", c.table, got, c.left)
			}
			if _, err := r.only(c.table).read(t.Context(), r.CH, ""); err != nil {
				t.Error(err)
			}
		})
	}
}

// commit runs statements as one transaction and waits until the newest mark holds it.
func (r *auditRig) commit(statements string) {
	r.t.Helper()
	if _, err := r.PG.Exec(r.t.Context(), "BEGIN; "+statements+"; COMMIT"); err != nil {
		r.t.Fatal(err)
	}
	r.await()
}

// markStore reads marks.
type markStore struct{ *splitdate.Store }

func (r *auditRig) store() *markStore {
	r.t.Helper()
	db, err := warehouse.Open(warehouse.Options{DSN: r.TargetDSN()})
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { _ = db.Close() })
	return &markStore{splitdate.NewStore(db)}
}

func (s *markStore) newest(t *testing.T) splitdate.Mark {
	t.Helper()
	mark, ok, err := s.Newest(context.WithoutCancel(t.Context()))
	if err != nil || !ok {
		t.Fatalf("read the newest mark: found %v, %v", ok, err)
	}
	return mark
}

// parts counts the rows of each part of a table.
func parts(t splitdate.Table) effect {
	n := func(r sql.Region) int { return int(t.Rows(t.In(r))) }
	return effect{rt: n(sql.RT), late: n(sql.Late), masks: n(sql.Masks), historic: n(sql.Historic)}
}

func (e effect) minus(d effect) effect {
	return effect{rt: e.rt - d.rt, late: e.late - d.late, masks: e.masks - d.masks, historic: e.historic - d.historic}
}

// checkEffect compares what became of a table since a mark: all of it in one mark, and nothing of any other table.
func (r *auditRig) checkEffect(t *testing.T, before, after splitdate.Mark, table string, want effect) {
	t.Helper()
	was := parts(before.Tables[table])
	if got := parts(after.Tables[table]).minus(was); got != want {
		t.Errorf("%s changed by %+v, want %+v", table, got, want)
	}
	for _, m := range r.marks(table) {
		if got := m.parts.minus(was); m.epoch > uint64(before.Epoch) && got != (effect{}) && got != want {
			t.Errorf("%s changed by %+v at epoch %d on the way to %+v", table, got, m.epoch, want)
		}
	}
	for name, state := range after.Tables {
		if name == table || name == "audit" {
			continue
		}
		if got := parts(state).minus(parts(before.Tables[name])); got != (effect{}) {
			t.Errorf("%s changed by %+v, want nothing", name, got)
		}
	}
}

// TestLateRoll has a mirrored table roll, which it does by size, and then changes the rows that rolled.
func TestLateRoll(t *testing.T) {
	t.Parallel()
	large := audited{name: "large", config: "{}", columns: plainColumns("id", "v"), setup: []string{`CREATE TABLE large (id int PRIMARY KEY, v int)`}}
	r := newAuditRig(t, large)
	b := r.Run(r.config("tick: 100ms\nschedule: {roll: \"\"}"), bridge.Options{CheckInvariants: true})
	r.await()
	store := r.store()
	for _, step := range []struct {
		apply string
		roll  bool
		want  effect
	}{
		{`INSERT INTO large SELECT g, g FROM generate_series(1, 100000) g`, true, effect{rt: 100_000}},
		{`INSERT INTO large VALUES (0, 0)`, true, effect{historic: 100_001}},
		{`UPDATE large SET v = 0 WHERE id < 10; DELETE FROM large WHERE id BETWEEN 10 AND 12; INSERT INTO large VALUES (-1, 1)`, true, effect{rt: 11, masks: 13, historic: 100_001}},
		{`UPDATE large SET v = v + 1`, false, effect{rt: 99_999}}, // no row is left of the chunk
		{`INSERT INTO large SELECT -g, g FROM generate_series(10, 20) g`, true, effect{historic: 100_010}},
		{`DELETE FROM large WHERE id < 0`, false, effect{masks: 12, historic: 100_010}},
		{`TRUNCATE large; INSERT INTO large VALUES (1, 1)`, true, effect{rt: 1}},
	} {
		r.commit(step.apply)
		if step.roll {
			if _, err := b.Roll(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		if got := parts(store.newest(t).Tables["large"]); got != step.want {
			t.Errorf("after %q: %+v, want %+v", step.apply, got, step.want)
		}
		r.compare()
	}
	_ = b.Stop()
}

// TestRowsThatNeverSettle has rows without a date, and with one in the next century, lie in a chunk of their own once they were
// rolled past: later rolls leave it as it is.
func TestRowsThatNeverSettle(t *testing.T) {
	t.Parallel()
	dated := audited{
		name: "dated", config: "{date_column: d, order_by: [id]}", columns: plainColumns("id", "v"),
		setup: []string{`CREATE TABLE dated (id int PRIMARY KEY, v int, d timestamptz)`},
	}
	r := newAuditRig(t, dated)
	b := r.Run(r.config("tick: 100ms\nrt_window: 1s\nsplit_step: 100ms\nschedule: {roll: \"\"}"), bridge.Options{CheckInvariants: true})
	r.await()
	store := r.store()
	r.commit(`INSERT INTO dated SELECT g, g, CASE g % 3 WHEN 0 THEN NULL WHEN 1 THEN timestamptz '2150-01-01' ELSE now() END FROM generate_series(1, 300) g`)
	apart := splitdate.Chunk(0)
	for i := range 3 {
		r.commit(fmt.Sprintf("INSERT INTO dated VALUES (%d, 0, now())", 1000+i))
		r.Eventually(slow, "all rows with a date of now to roll", func(context.Context) error {
			r.commit("SELECT pg_logical_emit_message(true, '', '')") // moves the clock
			if _, err := b.Roll(t.Context()); err != nil {
				return err
			}
			if got, want := parts(store.newest(t).Tables["dated"]), (effect{rt: 200, historic: 101 + i}); got != want {
				return fmt.Errorf("%+v, want %+v", got, want)
			}
			return nil
		})
		chunks := store.newest(t).Tables["dated"].RT
		if len(chunks) != 1 || apart > 0 && chunks[0] != apart {
			t.Errorf("RT has chunks %v after roll %d, want one, and %v if it was there", chunks, i, apart)
		}
		apart = chunks[0]
		r.compare()
	}
	_ = b.Stop()
}
