package e2e

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/tidemark-db/tidemark/internal/bridge"
	"github.com/tidemark-db/tidemark/internal/rig"
)

// loadCase is what is done to a table (id, at, v, n, w) while its rows are being read.
type loadCase struct {
	name, ddl string
	restart   bool // the bridge is away when it is done
	twice     bool // and while the table is read again
}

var loadCases = []loadCase{
	{name: "add", ddl: "ALTER TABLE {t} ADD c int DEFAULT 7"},
	{name: "dropped", ddl: "ALTER TABLE {t} DROP w"},
	{name: "again", ddl: "BEGIN; ALTER TABLE {t} DROP w; ALTER TABLE {t} ADD w int; COMMIT", twice: true},
	{name: "swap", ddl: "BEGIN; ALTER TABLE {t} RENAME v TO x; ALTER TABLE {t} RENAME w TO v; ALTER TABLE {t} RENAME x TO w; COMMIT", restart: true},
	{name: "away", ddl: "BEGIN; ALTER TABLE {t} DROP w; ALTER TABLE {t} ADD w int; COMMIT", restart: true},
	{name: "rewritten", ddl: "ALTER TABLE {t} ALTER v TYPE bigint USING v * 30000", twice: true},
	{name: "truncated", ddl: "BEGIN; TRUNCATE {t}; INSERT INTO {t} SELECT g, now() - g * interval '1 min', 5, 5, g FROM generate_series(1, 100) g; COMMIT", twice: true},
}

// gate stops a barrier that has just been made.
type gate struct {
	armed            atomic.Bool
	reached, release chan struct{}
}

func (g *gate) hook(ctx context.Context, statement string, after bool) error {
	if statement != "create_barrier" || !after || !g.armed.CompareAndSwap(true, false) {
		return nil
	}
	g.reached <- struct{}{}
	select {
	case <-g.release:
	case <-ctx.Done():
	}
	return nil
}

// TestSchemaChangesUnderLoads changes tables while they are loaded for the first time, between two pieces of them, and while a
// live one is read again: no load breaks for good, and no read sees a wrong state. Rows are written all the while. A
// table has some fifty pieces, so that its load lasts until the table before it has settled.
func TestSchemaChangesUnderLoads(t *testing.T) {
	t.Parallel()
	setup, config := weighed, "tick: 100ms\nschedule: {resync: \"\"}\nlimits: {copy_rows_per_second: 4000, copy_workers: 1}\ntables:\n  public.audit: {}\n"
	for _, c := range loadCases {
		setup = append(setup, fmt.Sprintf("CREATE TABLE %s (id int PRIMARY KEY, at timestamptz NOT NULL, v int, n int, w int) WITH (fillfactor = 10)", c.name),
			fmt.Sprintf("INSERT INTO %s SELECT g, now() - g * interval '1 min', g, g, -g FROM generate_series(1, 1500) g", c.name))
		setup = append(setup, weigh(c.name)...)
		config += fmt.Sprintf("  public.%s: {date_column: at}\n", c.name)
	}
	r := rig.New(t, servers, append(setup, "CREATE PUBLICATION tidemark FOR ALL TABLES")...)
	file := r.ConfigFile(config)
	g := &gate{reached: make(chan struct{}), release: make(chan struct{})}
	options := bridge.Options{CheckInvariants: true, PiecePages: 2, Hook: g.hook}
	b := r.Run(file, options)
	for _, c := range loadCases {
		r.Eventually(schemaPatience, "a piece of "+c.name, func(ctx context.Context) error { return pieceLoaded(ctx, r, c.name) })
		settle := readWhileWritten(t, r, schemaCase{name: c.name, loaded: true}, true)
		if c.restart {
			_ = b.Stop()
		}
		execute(t, r, strings.ReplaceAll(c.ddl, "{t}", c.name))
		if c.restart {
			b = r.Run(file, options)
		}
		settle()
	}
	for _, c := range loadCases {
		if c.twice {
			reloadUnder(t, r, b, g, c)
		}
	}
	reloadUnder(t, r, b, g, loadCase{name: "away", ddl: "ALTER TABLE {t} ADD c int DEFAULT 7"})
	reloadUnder(t, r, b, g, loadCase{name: "add", ddl: "ALTER TABLE {t} DROP w"})
	for _, c := range loadCases {
		sameAsSource(t, r, c.name)
		compareTable(t, b, "public."+c.name)
	}
}

// pieceLoaded returns nil once the newest mark keeps a piece of a table that is being loaded.
func pieceLoaded(ctx context.Context, r *rig.Rig, table string) error {
	var loads string
	err := r.CH.QueryRow(ctx, fmt.Sprintf("SELECT toString(loads) FROM %s.split_date ORDER BY term DESC, epoch DESC LIMIT 1", r.Name)).Scan(&loads)
	if err == nil && !strings.Contains(loads, table) {
		err = errors.New("none")
	}
	return err
}

// reloadUnder changes a live table between the barrier at which it is read again and the first row. A table that has to be
// loaded as a whole may refuse to be read again meanwhile.
func reloadUnder(t *testing.T, r *rig.Rig, b *rig.Bridge, g *gate, c loadCase) {
	t.Helper()
	settle := readWhileWritten(t, r, schemaCase{name: c.name, loaded: true}, true)
	g.armed.Store(true)
	done := make(chan error, 1)
	go func() { // ends with the reload
		_, err := b.Reload(t.Context(), bridge.Request{Table: c.name})
		done <- err
	}()
	<-g.reached
	execute(t, r, strings.ReplaceAll(c.ddl, "{t}", c.name))
	g.release <- struct{}{}
	if err := <-done; err != nil && !strings.Contains(err.Error(), "held and being loaded again") {
		t.Errorf("read %s again: %v", c.name, err)
	}
	settle()
}
