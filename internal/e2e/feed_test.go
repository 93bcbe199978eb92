package e2e

import (
	"context"
	"fmt"
	"maps"
	"testing"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"github.com/tidemark-db/tidemark/internal/bridge"
	"github.com/tidemark-db/tidemark/internal/rig"
)

// follower keeps a copy of a table by its change feed alone, as an incremental model does.
type follower struct {
	*rig.Rig
	t    *testing.T
	conn driver.Conn
	rows map[int32]string
	seen uint64 // epoch up to which the copy is right
	ops  map[string]int
}

// question asks in one query for the newest epoch, what changed since the last one seen, and all rows of the view.
const feedQuestion = `SELECT kind, epoch, op, id, note FROM
(
	SELECT 0 AS kind, max(epoch) AS epoch, '' AS op, 0 AS id, '' AS note, 0 AS position, 0 AS ordinal FROM %[1]s.split_date_current
	UNION ALL SELECT 1, _epoch, _op, id, ifNull(note, '~'), _position, _ordinal FROM %[1]s.items_changes WHERE _epoch > %[2]d
	UNION ALL SELECT 2, 0, '', id, ifNull(note, '~'), 0, 0 FROM %[1]s.items
)
ORDER BY kind, epoch, position, ordinal, op`

// follow brings the copy up to the newest mark and compares it with the view at that mark.
func (f *follower) follow() {
	f.t.Helper()
	rows, err := f.conn.Query(f.t.Context(), fmt.Sprintf(feedQuestion, f.Name, f.seen))
	if err != nil {
		f.t.Fatal(err)
	}
	defer rows.Close()
	view, anew := map[int32]string{}, f.seen == 0
	for rows.Next() {
		var kind uint8
		var epoch uint64
		var op, note string
		var id int32
		if err := rows.Scan(&kind, &epoch, &op, &id, &note); err != nil {
			f.t.Fatal(err)
		}
		switch kind {
		case 0:
			f.seen = epoch
		case 2:
			view[id] = note
		default:
			f.ops[op]++
			switch op {
			case "load":
				anew = true
			case "truncate":
				clear(f.rows)
			case "delete":
				delete(f.rows, id)
			default:
				f.rows[id] = note
			}
		}
	}
	if err := rows.Err(); err != nil {
		f.t.Fatal(err)
	}
	if anew {
		f.rows = maps.Clone(view)
	}
	if !maps.Equal(f.rows, view) {
		f.t.Errorf("epoch %d: the copy has %d rows, the view %d, or others", f.seen, len(f.rows), len(view))
		f.rows = maps.Clone(view)
	}
}

// TestChangeFeed follows a table by its feed alone through changes of every kind, loads and crashes: at each read the copy is
// the view. What was written under an epoch that no mark of its term has does not count.
func TestChangeFeed(t *testing.T) {
	t.Parallel()
	r := rig.New(t, servers, "CREATE TABLE items (id int PRIMARY KEY, note text, big text)", "ALTER TABLE items ALTER big SET STORAGE EXTERNAL",
		"INSERT INTO items SELECT g, 'n' || g, repeat(md5(g::text), 100) FROM generate_series(1, 100) g", "CREATE PUBLICATION tidemark FOR TABLE items")
	file := r.ConfigFile("tick: 100ms\ntables: {public.items: {change_feed: 7d}}")
	p := r.Spawn(file)
	r.WaitLSN(1)
	f := &follower{Rig: r, t: t, conn: r.Reader(nil), rows: map[int32]string{}, ops: map[string]int{}}
	f.follow()
	for n := range 60 {
		execPostgres(t, r, fmt.Sprintf([]string{
			"INSERT INTO items VALUES (%[1]d, 'new', 'short'); UPDATE items SET note = 'twice' WHERE id = %[1]d",
			"UPDATE items SET note = 'u%[1]d' WHERE id BETWEEN %[2]d AND %[2]d + 10",
			"UPDATE items SET id = id + 10000 WHERE id = %[2]d",
			"DELETE FROM items WHERE id BETWEEN %[2]d + 20 AND %[2]d + 22",
			"INSERT INTO items VALUES (%[1]d, 'x', ''); DELETE FROM items WHERE id = %[1]d; UPDATE items SET note = NULL WHERE id = 99",
			"SELECT %[1]d + %[2]d",
		}[n%6], 1000+n, n))
		switch n {
		case 20, 40:
			p.Kill()
			orphan(t, r)
			p = r.Spawn(file)
		case 30:
			r.WaitLSN(1)
			execPostgres(t, r, "BEGIN; TRUNCATE items; INSERT INTO items SELECT g, 'again', repeat(md5(g::text), 100) FROM generate_series(1, 100) g; COMMIT")
		}
		f.follow()
	}
	r.WaitLSN(1)
	f.follow()
	p.Terminate()
	old := fmt.Sprintf("%s_tidemark.items_feed", r.Name)
	must(t, r.CH.Exec(t.Context(), "INSERT INTO "+old+" (note, _time) SELECT 'over', now() - toIntervalDay(arrayJoin([9, 60, 400]))"))
	b := r.Run(file, bridge.Options{})
	r.Eventually(time.Minute, "days that are over to go", func(ctx context.Context) error {
		var over uint64
		err := r.CH.QueryRow(ctx, "SELECT count() FROM "+old+" WHERE note = 'over'").Scan(&over)
		if err == nil && over > 0 {
			err = fmt.Errorf("%d are there", over)
		}
		return err
	})
	if _, err := b.Reload(t.Context(), bridge.Request{Table: "items"}); err != nil {
		t.Fatal(err)
	}
	f.follow()
	for _, op := range []string{"insert", "update", "delete", "truncate", "load"} {
		if f.ops[op] == 0 {
			t.Errorf("no %s among %v", op, f.ops)
		}
	}
	var short uint64
	if err := r.CH.QueryRow(t.Context(), "SELECT count() FROM "+r.Name+".items_changes WHERE _op = 'update' AND id BETWEEN 1 AND 100 AND length(big) < 100").Scan(&short); err != nil || short > 0 {
		t.Errorf("%d updates lack a TOAST value, %v", short, err)
	}
	var orphans, shown uint64
	err := r.CH.QueryRow(t.Context(), fmt.Sprintf("SELECT countIf(_epoch <= %[2]d), (SELECT count() FROM %[1]s.items_changes WHERE note = 'never') FROM %[1]s_tidemark.items_feed WHERE note = 'never'", r.Name, f.seen)).Scan(&orphans, &shown)
	if err != nil || orphans == 0 || shown > 0 {
		t.Errorf("%d entries of no mark, of which %d show: %v", orphans, shown, err)
	}
	t.Logf("%d epochs, %v", f.seen, f.ops)
}

// orphan writes what a bridge that was killed, or overtaken, may have left: entries of an epoch that its term never published.
func orphan(t *testing.T, r *rig.Rig) {
	t.Helper()
	err := r.CH.Exec(t.Context(), fmt.Sprintf(`INSERT INTO %[1]s_tidemark.items_feed (id, note, _op, _lsn, _time, _term, _epoch)
		SELECT number, 'never', 85, 1, now(), term, epoch + 2 + number FROM numbers(200) AS n, (SELECT term, epoch FROM %[1]s.split_date ORDER BY term DESC, epoch DESC LIMIT 1) AS m`, r.Name))
	if err != nil {
		t.Fatal(err)
	}
}
