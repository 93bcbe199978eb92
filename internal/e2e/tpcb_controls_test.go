package e2e

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"

	"github.com/tidemark-db/tidemark/internal/bridge"
	"github.com/tidemark-db/tidemark/internal/rig"
)

// control is a negative control: views without one part of what makes them right have to be seen to go wrong, where the
// bridge's own, asked the same at the same time, do not.
type control struct {
	name     string
	prefix   string // of the variants' names
	change   func(table, text string) string
	question string
	settings clickhouse.Settings
	drop     bool // chunks go as soon as the newest mark does not list them; the bridge's views then answer with an error
}

// tables of TPC-B, without the prefix.
var tables = []string{"accounts", "branches", "tellers", "history"}

var controls = []control{
	{
		name: "one mark per table", prefix: "own_mark_", question: askSlowly(10), settings: clickhouse.Settings{sharedSnapshots: 0},
		// ClickHouse evaluates scalar subqueries of one text once; these differ.
		change: func(table, text string) string {
			where := fmt.Sprintf(".split_date WHERE lsn > %d ORDER BY", slices.Index(tables, table))
			return strings.ReplaceAll(text, ".split_date ORDER BY", where)
		},
	},
	{
		name: "views with a definer", prefix: "definer_", question: askSlowly(10),
		change: func(_, text string) string {
			return strings.Replace(text, "SQL SECURITY INVOKER", "SQL SECURITY DEFINER", 1)
		},
	},
	{
		name: "no first branch", prefix: "tables_first_", question: askHistory, settings: clickhouse.Settings{sharedSnapshots: 0},
		change: func(table, text string) string {
			head, branches, _ := strings.Cut(text, " AS WITH ")
			_, rest, _ := strings.Cut(branches, " UNION ALL ")
			if table != "history" { // no other rolls
				return head + " AS " + rest
			}
			// The delay lies between the moment at which HISTORIC is opened and the one at which the mark is read.
			return head + " AS " + strings.Replace(rest, " UNION ALL ", " SETTINGS merge_tree_storage_snapshot_sleep_ms = 1000 UNION ALL ", 1)
		},
	},
	{
		name: "no guard, chunks dropped at once", prefix: "unguarded_", question: askSlowly(10), drop: true,
		change: func(_, text string) string {
			return strings.NewReplacer("throwIf(count() != ", "ignore(count() != ").Replace(text)
		},
	},
}

// TestControls shows that TestTPCB can fail: it breaks one part at a time while marks and rolls follow each other as
// fast as they can.
func TestControls(t *testing.T) {
	b := newTPCB(t, 1, "UTC")
	running := b.run("rt_window: 1s\nsplit_step: 100ms\ntick: 50ms\nschedule: {roll: \"@every 1s\"}", bridge.Options{})
	b.write(t)
	repeat(t, func(ctx context.Context) error {
		_, err := running.Roll(ctx)
		return err
	})
	for _, c := range controls {
		t.Run(c.name, func(t *testing.T) { c.run(t, b) })
	}
}

// write lets pgbench write at a moderate rate until the test ends.
func (b *tpcb) write(t *testing.T) {
	t.Helper()
	cmd := b.command("-n", "-c", "2", "--rate", "200", "-T", "3600")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
}

// repeat calls f again and again until the test ends; it fails the test when f does.
func repeat(t *testing.T, f func(context.Context) error) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { // ends with the test, which awaits it
		defer close(done)
		pause := time.NewTicker(20 * time.Millisecond)
		defer pause.Stop()
		for {
			if err := f(ctx); err != nil && ctx.Err() == nil {
				t.Error(err)
				return
			}
			select {
			case <-ctx.Done():
				return
			case <-pause.C:
			}
		}
	}()
	t.Cleanup(func() { cancel(); <-done })
}

// patience is how many reads a control has to go wrong in; it takes one to three where the bridge has time to tick.
const patience = 40

func (c control) run(t *testing.T, b *tpcb) {
	variant := c.create(t, b)
	if c.drop {
		repeat(t, func(ctx context.Context) error { return dropUnlisted(ctx, b.Rig) })
	}
	conn := b.Reader(c.settings)
	own := reader{conn: conn, question: c.question, views: b.views()}
	broken := reader{conn: conn, question: c.question, views: variant}
	wrong, outlived := 0, 0
	for n := range patience {
		mine, theirs := both(t.Context(), own, broken)
		switch {
		case c.drop && isOutlived(mine.err):
			outlived++
		case mine.err != nil || !mine.balanced(b.rows()):
			t.Fatalf("the bridge's views: %+v", mine)
		}
		if theirs.err != nil {
			t.Fatalf("the variant: %v", theirs.err)
		}
		if !theirs.balanced(b.rows()) {
			wrong++
			t.Logf("wrong at read %d: %+v", n+1, theirs.state)
		}
		if wrong > 0 && (outlived > 0 || !c.drop) {
			return
		}
	}
	t.Errorf("%d reads: %d wrong, %d outlived their data", patience, wrong, outlived)
}

type result struct {
	state
	err error
}

// both lets two readers read at the same time.
func both(ctx context.Context, a, b reader) (fromA, fromB result) {
	var wg sync.WaitGroup
	wg.Go(func() { fromA.state, fromA.err = a.read(ctx) })
	fromB.state, fromB.err = b.read(ctx)
	wg.Wait()
	return fromA, fromB
}

// create makes the variant's views of the text of the bridge's own.
func (c control) create(t *testing.T, b *tpcb) views {
	t.Helper()
	for _, table := range tables {
		var text string
		err := b.CH.QueryRow(t.Context(), "SELECT create_table_query FROM system.tables WHERE database = ? AND name = ?", b.Name, ownPrefix+table).Scan(&text)
		if err != nil {
			t.Fatal(err)
		}
		changed := c.change(table, text)
		if changed == text {
			t.Fatalf("nothing to change in %s", text)
		}
		if err := b.CH.Exec(t.Context(), strings.Replace(changed, "."+ownPrefix+table, "."+c.prefix+table, 1)); err != nil {
			t.Fatal(err)
		}
	}
	return views{b.Name, c.prefix}
}

// throwIfTrue is ClickHouse's code of the error that throwIf raises.
const throwIfTrue = 395

// isOutlived reports whether a view's guard ended the query.
func isOutlived(err error) bool {
	var e *clickhouse.Exception
	return errors.As(err, &e) && e.Code == throwIfTrue && strings.Contains(e.Message, "outlived its data")
}

// dropUnlisted drops the chunks that some mark lists, but not the newest one.
func dropUnlisted(ctx context.Context, r *rig.Rig) error {
	rows, err := r.CH.Query(ctx, fmt.Sprintf(`
		SELECT DISTINCT table, partition_id
		FROM system.parts
		WHERE database = '%[1]s_tidemark' AND active
			AND (toUInt64OrZero(splitByChar('-', partition_id)[-1]) AS chunk) IN
				(SELECT arrayJoin(arrayFlatten(mapValues(mapApply((k, v) -> (k, mapKeys(v)), chunks)))) FROM %[1]s.split_date)
			AND NOT arrayExists(t -> mapContains(t, chunk),
				(SELECT mapValues(chunks) FROM %[1]s.split_date ORDER BY term DESC, epoch DESC LIMIT 1))`, r.Name))
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var table, id string
		if err := rows.Scan(&table, &id); err != nil {
			return err
		}
		if err := r.CH.Exec(ctx, fmt.Sprintf("ALTER TABLE %s_tidemark.%s DROP PARTITION ID '%s'", r.Name, table, id)); err != nil {
			return err
		}
	}
	return rows.Err()
}
