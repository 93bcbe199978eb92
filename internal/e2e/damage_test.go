package e2e

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tidemark-db/tidemark/historic"
	"github.com/tidemark-db/tidemark/internal/bridge"
	"github.com/tidemark-db/tidemark/internal/rig"
)

// damageTables hold settled rows on three days, and some of today; the mirrored ones lie in HISTORIC and in RT.
var damageTables = []string{
	`CREATE TABLE sales (id int PRIMARY KEY, at timestamptz NOT NULL, price numeric(10, 2), note text)`,
	`INSERT INTO sales SELECT g, CASE WHEN g > 3000 THEN now() ELSE timestamptz '2026-03-01 12:00Z' + g % 3 * interval '1 day' END, g / 7.0, 'note ' || g FROM generate_series(1, 3100) g`,
	`CREATE INDEX ON sales (at)`,
	`CREATE TABLE log (at timestamp, what text)`,
	`INSERT INTO log SELECT timestamp '2026-03-01 12:00' + g % 3 * interval '1 day', 'event ' || g % 10 FROM generate_series(1, 300) g`,
	`CREATE TABLE parts (id int PRIMARY KEY, name text)`,
	`INSERT INTO parts SELECT g, repeat(md5(g::text), 4) FROM generate_series(1, 16000) g`,
	`CREATE TABLE stores (id int PRIMARY KEY, name text)`,
	`INSERT INTO stores SELECT g, 'store ' || g FROM generate_series(1, 50) g`,
	`CREATE PUBLICATION tidemark FOR TABLE sales, log, parts, stores`,
}

const damageConfig = "tick: 100ms\nschedule: {roll: \"@every 1h\", resync: \"@every 1h\", verify: %q}\n" +
	"verify: {repair: true, rows_per_second: 0}\n" +
	"tables: {public.sales: {date_column: at}, public.log: {date_column: at}, public.parts: {}, public.stores: {}}\n"

// damages are done to HISTORIC by hand; want is what a comparison has to say of them.
var damages = []struct {
	name, table string
	statements  []string // of ClickHouse; {} is the database of the internals
	want        map[historic.Kind]int
	key         string // of one of them
}{
	{"rows missing", "sales", []string{"ALTER TABLE {}.sales_chunks DELETE WHERE id IN (3, 6, 9)"}, map[historic.Kind]int{historic.Missing: 3}, "6"},
	{"a row extra", "sales", []string{
		"INSERT INTO {}.sales_chunks SELECT * REPLACE (100000 AS id) FROM (SELECT * FROM {}.sales_chunks WHERE id = 12)",
	}, map[historic.Kind]int{historic.Extra: 1}, "100000"},
	{"a value different", "sales", []string{"ALTER TABLE {}.sales_chunks UPDATE price = price + 1 WHERE id = 15"}, map[historic.Kind]int{historic.Different: 1}, "15"},
	{"a NULL for a value", "sales", []string{"ALTER TABLE {}.sales_chunks UPDATE note = NULL WHERE id = 18"}, map[historic.Kind]int{historic.Different: 1}, "18"},
	{"a row doubled", "sales", []string{"INSERT INTO {}.sales_chunks SELECT * FROM {}.sales_chunks WHERE id = 21"}, map[historic.Kind]int{historic.Doubled: 1}, "21"},
	{"a row on another day", "sales", []string{
		"INSERT INTO {}.sales_chunks SELECT * REPLACE (at + INTERVAL 1 DAY AS at) FROM (SELECT * FROM {}.sales_chunks WHERE id = 24)",
		"ALTER TABLE {}.sales_chunks DELETE WHERE id = 24 AND toDate(at) = '2026-03-01'",
	}, map[historic.Kind]int{historic.Missing: 1, historic.Extra: 1}, "24"},
	{"a day missing", "sales", []string{"ALTER TABLE {}.sales_chunks DELETE WHERE toDate(at) = '2026-03-02'"}, map[historic.Kind]int{historic.Missing: 1000}, "1"},
	{"a row of today different", "sales", []string{"ALTER TABLE {}.sales_chunks UPDATE price = 0 WHERE id = 3050"}, map[historic.Kind]int{historic.Different: 1}, "3050"},
	{"rows of a large mirrored table", "parts", []string{
		"ALTER TABLE {}.parts_chunks DELETE WHERE id = 5", "ALTER TABLE {}.parts_chunks UPDATE name = 'x' WHERE id = 6",
	}, map[historic.Kind]int{historic.Missing: 1, historic.Different: 1}, "5"},
	{"a row of a small mirrored table", "stores", []string{"ALTER TABLE {}.stores_chunks UPDATE name = 'x' WHERE id = 7"}, map[historic.Kind]int{historic.Different: 1}, "7"},
	{"rows without a key", "log", []string{"ALTER TABLE {}.log_chunks DELETE WHERE what = 'event 4' AND toDate(assumeNotNull(at)) = '2026-03-02'"}, map[historic.Kind]int{historic.Missing: 1}, ""},
}

// TestDamage damages what settled in each way, has verify find and name it, and a load from the source repair it, while
// other rows change.
func TestDamage(t *testing.T) {
	t.Parallel()
	r := rig.New(t, servers, damageTables...)
	b := r.Run(r.ConfigFile(fmt.Sprintf(damageConfig, "@every 1h")), bridge.Options{})
	r.WaitLSN(4)
	for _, d := range damages {
		t.Run(d.name, func(t *testing.T) {
			damage(t, r, d.statements)
			parts, err := b.Verify(t.Context(), bridge.Request{Table: d.table})
			must(t, err)
			kinds, keys := tally(parts)
			for kind, n := range d.want {
				if kinds[kind] != n {
					t.Errorf("%d rows %s, want %d", kinds[kind], kind, n)
				}
			}
			if d.key != "" && !slices.Contains(keys, d.key) {
				t.Errorf("key %s is not among %v", d.key, keys)
			}
			_, err = r.PG.Exec(t.Context(), "UPDATE sales SET price = price + 1 WHERE id % 100 = 1; INSERT INTO log VALUES ('2026-03-02', 'late')")
			must(t, err)
			r.WaitLSN(4) // a table that an UPDATE found damaged is held and loaded again
			_, err = b.Reload(t.Context(), bridge.Request{Table: d.table})
			must(t, err)
			parts, err = b.Verify(t.Context(), bridge.Request{Table: d.table})
			must(t, err)
			if kinds, keys := tally(parts); len(kinds) > 0 {
				t.Errorf("after the load there are %v: %v", kinds, keys)
			}
		})
	}
}

// damage runs statements on the internals. A mutation that meets a chunk on its way out is tried again.
func damage(t *testing.T, r *rig.Rig, statements []string) {
	t.Helper()
	for _, s := range statements {
		s = strings.ReplaceAll(s, "{}", r.Name+"_tidemark")
		if strings.HasPrefix(s, "ALTER") {
			s += " SETTINGS mutations_sync = 2"
		}
		r.Eventually(time.Minute, s, func(ctx context.Context) error { return r.CH.Exec(ctx, s) })
	}
}

func tally(parts []bridge.Reread) (kinds map[historic.Kind]int, keys []string) {
	kinds = map[historic.Kind]int{}
	for _, p := range parts {
		for _, d := range p.Differences {
			kinds[d.Kind]++
			keys = append(keys, strings.Join(d.Key, ","))
		}
	}
	return kinds, keys
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// TestScheduledVerifyRepairs lets the schedule find and repair a damage, and keep when each part was proven.
func TestScheduledVerifyRepairs(t *testing.T) {
	t.Parallel()
	r := rig.New(t, servers, damageTables...)
	r.Run(r.ConfigFile(fmt.Sprintf(damageConfig, "@every 1s")), bridge.Options{})
	r.WaitLSN(4)
	damage(t, r, []string{"ALTER TABLE {}.sales_chunks UPDATE price = 0 WHERE id = 30"})
	query := fmt.Sprintf("SELECT price > 0 FROM %s.sales WHERE id = 30", r.Name)
	r.Eventually(3*time.Minute, "the repair", func(ctx context.Context) error {
		var repaired bool
		if err := r.CH.QueryRow(ctx, query).Scan(&repaired); err != nil || repaired {
			return err
		}
		return fmt.Errorf("the row is still damaged")
	})
	r.Eventually(3*time.Minute, "every part proven", func(ctx context.Context) error {
		var parts uint64
		err := r.CH.QueryRow(ctx, fmt.Sprintf("SELECT countIf(differences = 0) FROM %s_tidemark.verified FINAL", r.Name)).Scan(&parts)
		if err == nil && parts < 5+1+1+1 {
			err = fmt.Errorf("%d parts are proven", parts)
		}
		return err
	})
}
