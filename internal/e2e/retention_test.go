package e2e

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/tidemark-db/tidemark/historic"
	"github.com/tidemark-db/tidemark/internal/bridge"
	"github.com/tidemark-db/tidemark/internal/config"
	"github.com/tidemark-db/tidemark/internal/rig"
)

// kept is a table whose old rows stay when they are deleted; what its view has to show is in PostgreSQL's table shadow. Rows
// are of less than half an hour or more than two: the time between is nobody's. No row is deleted within the tick that wrote
// it: what a delete finds in the view is what counts.
var kept = audited{
	name: "kept", config: "{date_column: d, deletes: {keep_older_than: 1h}}",
	columns: append(plainColumns("id", "v"), instantColumn("d")),
	setup: []string{
		"CREATE TABLE kept (id int PRIMARY KEY, d timestamptz, v bigint)", "CREATE TABLE shadow (LIKE kept INCLUDING ALL)",
		`CREATE FUNCTION keep() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
			IF TG_OP = 'TRUNCATE' THEN DELETE FROM shadow WHERE d >= now() - interval '1 h' OR d IS NULL; END IF;
			IF TG_OP = 'UPDATE' OR TG_OP = 'DELETE' AND (OLD.d >= now() - interval '1 h' OR OLD.d IS NULL) THEN DELETE FROM shadow WHERE id = OLD.id; END IF;
			IF TG_OP IN ('INSERT', 'UPDATE') THEN DELETE FROM shadow WHERE id = NEW.id; INSERT INTO shadow VALUES (NEW.*); END IF;
			RETURN NULL;
		END $$`,
		"CREATE TRIGGER a_keep AFTER INSERT OR UPDATE OR DELETE ON kept FOR EACH ROW EXECUTE FUNCTION keep()",
		"CREATE TRIGGER a_keep_all AFTER TRUNCATE ON kept FOR EACH STATEMENT EXECUTE FUNCTION keep()",
	},
	aggregates: []declared{{name: "kept_by_hour", keys: []column{{"hour", "toStartOfHour(ifNull(d, toDateTime64(0, 6)))"}}, measures: []column{{"n", "count()"}, {"total", "sum(v)"}}}},
}

// keptRows are those of the beginning: 200 that are deleted and come back, 200 that change in every other way.
const keptRows = `INSERT INTO kept SELECT g, CASE WHEN g % 2 = 0 THEN now() - interval '2 h' - g * interval '10 min' ELSE now() - g * interval '4 s' END, g FROM generate_series(1, 400) g`

var keptDeeds = deeds(200,
	`DELETE FROM kept WHERE id BETWEEN {k} AND {k} + 3 AND id <= 200 AND v > 0`,
	`INSERT INTO kept VALUES ({k}, now(), -{v}) ON CONFLICT DO NOTHING`,
	`UPDATE kept SET v = v + 1 WHERE id BETWEEN 200 + {k} AND 210 + {k}`,
	`UPDATE kept SET d = (ARRAY[now(), now() - interval '10 min', now() - interval '3 h', now() - interval '2 days', NULL])[1 + {v} % 5] WHERE id = 200 + {k} AND (d IS NULL OR d > now() - interval '20 min' OR d < now() - interval '2 h')`,
	`UPDATE kept SET id = 200 + {j} WHERE id = 200 + {k} AND NOT EXISTS (SELECT FROM kept WHERE id = 200 + {j})`,
)

// TestKeepOlderThan deletes rows of every age while readers look, truncates, folds, loads again and compares: rows that are
// old stay, rows that are not go, and what changes in the source changes in the view.
func TestKeepOlderThan(t *testing.T) {
	t.Parallel()
	recount := fmt.Sprintf(`CREATE FUNCTION recount() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
		INSERT INTO audit SELECT 'kept', 0, count(*), coalesce(sum(%s), 0) FROM shadow ON CONFLICT (name, session) DO UPDATE SET n = excluded.n, h = excluded.h;
		RETURN NULL; END $$`, kept.postgresWeight())
	statements := append([]string{auditTable}, kept.setup...)
	statements = append(statements, recount, "CREATE TRIGGER b_recount AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON kept FOR EACH STATEMENT EXECUTE FUNCTION recount()",
		keptRows, "CREATE PUBLICATION tidemark FOR TABLE kept, audit")
	r := &auditRig{Rig: rig.New(t, servers, statements...), t: t, tables: []audited{kept}}
	file := r.config(lateSettings)
	b := r.Run(file, bridge.Options{CheckInvariants: true})
	r.await()
	r.Eventually(commandPatience, "the aggregate", func(ctx context.Context) error {
		_, err := r.read(ctx, r.CH, "")
		return err
	})
	readers := r.startReaders()
	g := (&workload{rig: r, seed: seed(t)}).gen(1)
	changeKept(t, r, func() string { return g.fill(keptDeeds[g.IntN(len(keptDeeds))]) })
	r.await()
	execPostgres(t, r.Rig, "BEGIN; TRUNCATE kept; INSERT INTO kept SELECT g, now(), -g FROM generate_series(191, 230) g; COMMIT")
	r.await()
	r.sameAsShadow(b)
	changeKept(t, r, func() string { return g.fill(keptDeeds[g.IntN(len(keptDeeds))]) })
	r.await()
	if _, err := b.Resync(t.Context(), bridge.Request{}); err != nil {
		t.Fatal(err)
	}
	r.sameAsShadow(b)
	if _, err := b.Reload(t.Context(), bridge.Request{Table: "kept"}); err != nil {
		t.Fatal(err)
	}
	r.sameAsShadow(b)
	readers.stop(3)
	_ = b.Stop()
	r.keptAreExtra()
}

// changeKept does deeds for a few seconds.
func changeKept(t *testing.T, r *auditRig, next func() string) {
	t.Helper()
	for end := time.Now().Add(time.Duration(duration(t)) * time.Second / 2); time.Now().Before(end); {
		if _, err := r.PG.Exec(t.Context(), next()); err != nil {
			t.Fatal(err)
		}
	}
}

// sameAsShadow compares the view with what it has to show, and has the bridge find no difference from PostgreSQL.
func (r *auditRig) sameAsShadow(b *rig.Bridge) {
	r.t.Helper()
	r.await()
	shadow := kept
	shadow.name = "shadow"
	if err := r.compareRows(shadow, "kept"); err != nil {
		r.t.Error(err)
	}
	found, err := b.Verify(r.t.Context(), bridge.Request{Table: "kept"})
	if err != nil {
		r.t.Fatal(err)
	}
	for _, f := range found {
		if !f.Equal {
			r.t.Errorf("%+v", f)
		}
	}
}

// keptAreExtra is the control: to a bridge that applies deletes, exactly the rows that were kept are too many.
func (r *auditRig) keptAreExtra() {
	r.t.Helper()
	var want int
	if err := r.PG.QueryRow(r.t.Context(), "SELECT count(*) FROM shadow WHERE id NOT IN (SELECT id FROM kept)").Scan(&want); err != nil || want == 0 {
		r.t.Fatalf("%d rows were kept: %v", want, err)
	}
	r.tables[0].config = "{date_column: d}"
	b := r.Run(r.config(lateSettings), bridge.Options{})
	r.await()
	found, err := b.Verify(r.t.Context(), bridge.Request{Table: "kept"})
	if err != nil {
		r.t.Fatal(err)
	}
	extra := 0
	for _, f := range found {
		for _, d := range f.Differences {
			if d.Kind != historic.Extra {
				r.t.Errorf("%+v", d)
			}
			extra++
		}
	}
	if extra != want {
		r.t.Errorf("%d rows are extra, want the %d that were kept", extra, want)
	}
}

// TestRetain gives a table an end: all partitions that are too old go in one mark, and stay away, whatever the source does to
// their rows; loads and comparisons know.
func TestRetain(t *testing.T) {
	t.Parallel()
	r := rig.New(t, servers, "CREATE TABLE aged (id int PRIMARY KEY, d timestamptz, v bigint, note text)", "ALTER TABLE aged ALTER note SET STORAGE EXTERNAL",
		"INSERT INTO aged SELECT g, CASE WHEN g > 20 THEN now() - g * interval '3 min' END, g, repeat(md5(g::text), 100) FROM generate_series(1, 900) g",
		"CREATE PUBLICATION tidemark FOR TABLE aged")
	settings := lateSettings + "\ntables: {public.aged: {date_column: d, partition_by: hour%s, aggregates: {aged_total: {measures: {n: count(), total: sum(v)}}}}}"
	reloads := make(chan *config.Config)
	b := r.Run(r.ConfigFile(fmt.Sprintf(settings, "")), bridge.Options{CheckInvariants: true, Reloads: reloads})
	r.WaitLSN(1)
	r.Eventually(commandPatience, "the aggregate", func(ctx context.Context) error {
		var rows, total uint64
		err := r.CH.QueryRow(ctx, fmt.Sprintf("SELECT count(), (SELECT n FROM %[1]s.aged_total) FROM %[1]s.aged", r.Name)).Scan(&rows, &total)
		if err == nil && (rows != 900 || total != 900) {
			err = fmt.Errorf("%d rows, %d in the aggregate", rows, total)
		}
		return err
	})
	stop := watchAged(t, r)
	cfg, err := config.Load(r.ConfigFile(fmt.Sprintf(settings, ", retain: 1d")), func(string) (string, bool) { return "", false }, nil)
	if err != nil {
		t.Fatal(err)
	}
	reloads <- cfg
	r.Eventually(commandPatience, "the old rows to go", func(ctx context.Context) error {
		var old uint64
		err := r.CH.QueryRow(ctx, "SELECT count() FROM "+r.Name+".aged WHERE d < now() - INTERVAL 26 HOUR").Scan(&old)
		if err == nil && old > 0 {
			err = fmt.Errorf("%d are there", old)
		}
		return err
	})
	for _, statement := range []string{
		"UPDATE aged SET v = v + 1",
		"UPDATE aged SET note = 'x' WHERE id > 800; DELETE FROM aged WHERE id > 880; INSERT INTO aged SELECT 1000 + g, now() - g * interval '90 min', g, 'late' FROM generate_series(0, 25) g",
		"UPDATE aged SET d = d - interval '20 h' WHERE id BETWEEN 21 AND 200; UPDATE aged SET d = now(), note = 'back' WHERE id BETWEEN 850 AND 860",
		"UPDATE aged SET id = id + 5000 WHERE id BETWEEN 600 AND 700",
	} {
		execPostgres(t, r, statement)
		sameAsRetained(t, r, statement)
	}
	for _, again := range []func() ([]bridge.Reread, error){
		func() ([]bridge.Reread, error) { return b.Verify(t.Context(), bridge.Request{}) },
		func() ([]bridge.Reread, error) { return b.Reload(t.Context(), bridge.Request{Table: "aged"}) },
		func() ([]bridge.Reread, error) { return b.Verify(t.Context(), bridge.Request{}) },
	} {
		found, err := again()
		for _, f := range found {
			if !f.Equal && !f.Replaced {
				err = errors.Join(err, fmt.Errorf("%+v", f))
			}
		}
		if err != nil {
			t.Error(err)
		}
		sameAsRetained(t, r, "a comparison or a load")
	}
	stop()
}

// bound is the oldest date that is retained, as the views tell it.
const agedBound = "(SELECT toStartOfHour(any(split_date) + INTERVAL 4 SECOND - INTERVAL 1 DAY) FROM %s.split_date_current)"

// watchAged reads until it is stopped: what is too old is there as a whole or not at all, and never comes back; the
// aggregate says what the rows say.
func watchAged(t *testing.T, r *rig.Rig) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	conn := r.Reader(nil)
	var group sync.WaitGroup
	group.Go(func() { // ends with stop
		gone, reads := false, 0
		for ; ctx.Err() == nil; reads++ {
			var old, n, total uint64
			var sum, summed int64
			err := conn.QueryRow(context.WithoutCancel(ctx), fmt.Sprintf("SELECT countIf(d < "+agedBound+"), count(), sum(v), (SELECT n FROM %[1]s.aged_total), (SELECT total FROM %[1]s.aged_total) FROM %[1]s.aged", r.Name)).
				Scan(&old, &n, &sum, &total, &summed)
			switch {
			case err != nil:
				t.Error(err)
				return
			case old > 0 && (gone || n != 900):
				t.Errorf("%d of %d rows are too old", old, n)
			case n != total || sum != summed:
				t.Errorf("%d rows of %d, the aggregate says %d of %d", n, sum, total, summed)
			}
			gone = old == 0
		}
		t.Logf("%d reads", reads)
	})
	return func() { cancel(); group.Wait() }
}

// sameAsRetained waits until the view holds exactly the rows of PostgreSQL that are young enough.
func sameAsRetained(t *testing.T, r *rig.Rig, after string) {
	t.Helper()
	r.WaitLSN(1)
	r.Eventually(commandPatience, "the view after "+after, func(ctx context.Context) error {
		var bound time.Time
		var n uint64
		var sum int64
		err := r.CH.QueryRow(ctx, fmt.Sprintf("SELECT "+agedBound+", count(), sum(v * 3 + id + modulo(ifNull(toUnixTimestamp64Micro(d), 0), 1000007) + length(note)) FROM %[1]s.aged", r.Name)).Scan(&bound, &n, &sum)
		if err != nil {
			return err
		}
		var wantN, wantSum int64
		err = r.PG.QueryRow(ctx, `SELECT count(*), sum(v * 3 + id + mod(coalesce((extract(epoch FROM d) * 1000000)::bigint, 0), 1000007) + length(note)) FROM aged WHERE d IS NULL OR d >= $1`,
			pgx.QueryExecModeSimpleProtocol, bound).Scan(&wantN, &wantSum)
		if err == nil && (int64(n) != wantN || sum != wantSum) {
			err = fmt.Errorf("%d rows of %d, PostgreSQL has %d of %d since %s", n, sum, wantN, wantSum, bound)
		}
		return err
	})
}
