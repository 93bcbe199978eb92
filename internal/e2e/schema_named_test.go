package e2e

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/tidemark-db/tidemark/internal/bridge"
	"github.com/tidemark-db/tidemark/internal/config"
	"github.com/tidemark-db/tidemark/internal/fault"
	"github.com/tidemark-db/tidemark/internal/rig"
)

// namedCase is a column that the configuration names, and that is then dropped or renamed.
type namedCase struct {
	name, config, ddl string
	says              string // part of the reason
	mended            string // the configuration with which it goes on
}

var namedCases = []namedCase{
	{"by_date", "date_column: at", "RENAME at TO made", `"at"`, "date_column: made"},
	{"ordered", "date_column: at, order_by: [shop, at]", "DROP shop", `"shop"`, "date_column: at"},
	{"excluded", "columns: {exclude: [secret]}", "RENAME secret TO hidden", `"secret"`, "columns: {exclude: [hidden]}"},
	{"typed", "columns: {types: {v: String}}", "DROP v", `"v"`, ""},
	{"measured", "aggregates: {measured_sum: {by: {shop: shop}, measures: {total: sum(v), rows: count()}}}", "RENAME v TO w", "measured_sum", "aggregates: {measured_sum: {by: {shop: shop}, measures: {total: sum(w), rows: count()}}}"},
	{"keyed", "aggregates: {keyed_sum: {by: {shop: shop}, measures: {total: sum(v), rows: count()}}}", "DROP shop", "keyed_sum", ""},
	{"selected", "aggregates: {selected_sum: {where: secret != 'x', measures: {total: sum(v), rows: count()}}}", "DROP secret", "selected_sum", ""},
}

func namedConfig(mended bool) string {
	text := "tick: 100ms\nschedule: {resync: \"\"}\ntables:\n  public.calm: {}\n"
	for _, c := range namedCases {
		of := c.config
		if mended {
			of = c.mended
		}
		text += fmt.Sprintf("  public.%s: {%s}\n", c.name, of)
	}
	return text
}

// TestConfigNamesAColumn drops and renames columns that the configuration names: those tables are held, status, check and the
// page's data say why and what to do, the others go on, also after a restart; with a configuration that names what is there,
// the tables are back.
func TestConfigNamesAColumn(t *testing.T) {
	t.Parallel()
	setup := []string{"CREATE TABLE calm (id int PRIMARY KEY)"}
	for _, c := range namedCases {
		setup = append(setup, fmt.Sprintf("CREATE TABLE %s (id int PRIMARY KEY, at timestamptz NOT NULL, shop int NOT NULL, secret text, v int NOT NULL)", c.name),
			fmt.Sprintf("INSERT INTO %s SELECT g, now() - g * interval '1 min', g %% 3, 'x' || g, g FROM generate_series(1, 60) g", c.name))
	}
	r := rig.New(t, servers, append(setup, "CREATE PUBLICATION tidemark FOR ALL TABLES")...)
	file, _ := served(t, r, namedConfig(false))
	b := r.Run(file, bridge.Options{CheckInvariants: true})
	r.WaitLSN(1 + len(namedCases))
	for i, c := range namedCases {
		execute(t, r, fmt.Sprintf("ALTER TABLE %s %s", c.name, c.ddl), fmt.Sprintf("UPDATE %s SET id = id + 100 WHERE id < 10", c.name))
		heldView(t, r, c.name)
		execute(t, r, fmt.Sprintf("INSERT INTO calm VALUES (%d)", i))
		sameAsSource(t, r, "calm")
	}
	toldWhy(t, file)
	if err := b.Stop(); err != nil {
		t.Fatal(err)
	}
	reloads := make(chan *config.Config)
	b = r.Run(file, bridge.Options{CheckInvariants: true, Reloads: reloads})
	execute(t, r, "INSERT INTO calm VALUES (100)")
	sameAsSource(t, r, "calm")
	toldWhy(t, file)

	cfg, err := config.Load(write(t, strings.Replace(read(t, r.ConfigFile(namedConfig(true))), `listen: ""`, "listen: "+b.Config.HTTP.Listen, 1)), func(string) (string, bool) { return "", false }, nil)
	if err != nil {
		t.Fatal(err)
	}
	reloads <- cfg
	for _, c := range namedCases {
		if c.name == "excluded" { // its view lacks a column
			r.Eventually(schemaPatience, "the rows of excluded", func(ctx context.Context) error {
				var n uint64
				err := r.CH.QueryRow(ctx, "SELECT countIf(id > 100) FROM "+r.Name+".excluded").Scan(&n)
				if err == nil && n != 9 {
					err = fmt.Errorf("%d", n)
				}
				return err
			})
			continue
		}
		sameAsSource(t, r, c.name)
	}
	r.Eventually(schemaPatience, "the aggregate", func(ctx context.Context) error {
		var n uint64
		err := r.CH.QueryRow(ctx, "SELECT toUInt64(sum(total)) FROM "+r.Name+".measured_sum").Scan(&n)
		if err == nil && n != 60*61/2 {
			err = fmt.Errorf("%d", n)
		}
		return err
	})
	status := decode[bridge.Status](t, command(t, file, "status", "--json"))
	for _, table := range status.Tables {
		if !table.Loaded || table.Held != nil {
			t.Errorf("%+v", table)
		}
	}
}

// toldWhy sees status, as text and as data, and check say of every held table why, and what to do.
func toldWhy(t *testing.T, file string) {
	t.Helper()
	text := command(t, file, "status").works(t).stdout
	t.Log(text)
	status := decode[bridge.Status](t, command(t, file, "status", "--json"))
	check := command(t, file, "check")
	if check.code != 1 {
		t.Errorf("check ends with %d", check.code)
	}
	for i, c := range namedCases {
		held := status.Tables[1+i].Held
		if status.Tables[1+i].Table != "public."+c.name || held == nil || !strings.Contains(held.Error, c.says) || held.Try == "" {
			t.Errorf("status of %s: %+v", c.name, held)
			continue
		}
		if !strings.Contains(text, "public."+c.name+" is held") || !strings.Contains(text, held.Try) {
			t.Errorf("status says nothing of %s", c.name)
		}
		if !strings.Contains(check.stdout+check.stderr, c.says) {
			t.Errorf("check says nothing of %s in %s%s", c.name, check.stdout, check.stderr)
		}
	}
	if calm := status.Tables[0]; calm.Held != nil || !calm.Loaded {
		t.Errorf("%+v", calm)
	}
}

// TestKeptIsNotLoadedAgain changes a table of which ClickHouse has rows that PostgreSQL has deleted, so that it would have to be
// loaded again: the bridge stops and says how to go on, its view still shows those rows, and `deletes: apply` loads it.
func TestKeptIsNotLoadedAgain(t *testing.T) {
	t.Parallel()
	r := rig.New(t, servers, "CREATE TABLE kept (id int PRIMARY KEY, at timestamptz NOT NULL, v int)",
		"INSERT INTO kept SELECT g, now() - g * interval '1 h', g FROM generate_series(1, 60) g", "CREATE PUBLICATION tidemark FOR ALL TABLES")
	const kept = "tick: 100ms\ntables: {public.kept: {date_column: at, deletes: {keep_older_than: 1d}}}"
	b := r.Run(r.ConfigFile(kept), bridge.Options{CheckInvariants: true})
	r.WaitLSN(1)
	execute(t, r, "DELETE FROM kept WHERE id > 30", "ALTER TABLE kept ADD c int DEFAULT 7", "UPDATE kept SET c = 8 WHERE id = 1")
	r.Eventually(schemaPatience, "the new column", func(ctx context.Context) error { return keptRows60(ctx, r) })
	execute(t, r, "ALTER TABLE kept ALTER v TYPE bigint USING v * 10")
	err := <-b.Done()
	if err == nil || !strings.Contains(err.Error(), "public.kept keeps rows") || !strings.Contains(fault.Try(err), "deletes: apply") {
		t.Fatalf("ended with %v: %s", err, fault.Try(err))
	}
	if err := keptRows60(t.Context(), r); err != nil {
		t.Error(err)
	}
	b = r.Run(r.ConfigFile("tick: 100ms\ntables: {public.kept: {date_column: at}}"), bridge.Options{CheckInvariants: true})
	sameAsSource(t, r, "kept")
	_ = b.Stop()
}

// TestKeptIsNotHeld has a value come that ClickHouse cannot hold, where such a table is to be held: of one that keeps rows the
// view would be lost with them, so the bridge stops.
func TestKeptIsNotHeld(t *testing.T) {
	t.Parallel()
	r := rig.New(t, servers, "CREATE TABLE kept (id int PRIMARY KEY, at timestamptz NOT NULL, c int DEFAULT 7)",
		"INSERT INTO kept SELECT g, now() - g * interval '1 h' FROM generate_series(1, 60) g", "CREATE PUBLICATION tidemark FOR ALL TABLES")
	b := r.Run(r.ConfigFile("tick: 100ms\non_bad_value: hold_table\ntables: {public.kept: {date_column: at, deletes: {keep_older_than: 1d}}}"), bridge.Options{})
	r.WaitLSN(1)
	execute(t, r, "DELETE FROM kept WHERE id > 30", "UPDATE kept SET c = 8 WHERE id = 1")
	r.Eventually(schemaPatience, "the update", func(ctx context.Context) error { return keptRows60(ctx, r) })
	execute(t, r, "INSERT INTO kept VALUES (61, 'infinity')")
	if err := <-b.Done(); err == nil || !strings.Contains(err.Error(), "so it is not held") || !strings.Contains(err.Error(), "id=61") || fault.Try(err) == "" {
		t.Errorf("ended with %v: %s", err, fault.Try(err))
	}
	if err := keptRows60(t.Context(), r); err != nil {
		t.Error(err)
	}
}

// keptRows60 returns nil if the view has all rows that ever were, with the column that came.
func keptRows60(ctx context.Context, r *rig.Rig) error {
	var n uint64
	var sum int64
	err := r.CH.QueryRow(ctx, "SELECT count(), toInt64(sum(c)) FROM "+r.Name+".kept").Scan(&n, &sum)
	if err == nil && (n != 60 || sum != 60*7+1) {
		err = errors.New(fmt.Sprint(n, " rows, ", sum))
	}
	return err
}
