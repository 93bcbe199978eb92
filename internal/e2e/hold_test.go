package e2e

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/tidemark-db/tidemark/internal/bridge"
	"github.com/tidemark-db/tidemark/internal/fault"
	"github.com/tidemark-db/tidemark/internal/rig"
)

// valueRig is a table whose dates may be more than ClickHouse holds, beside one that is always good.
type valueRig struct {
	*rig.Rig
	t *testing.T
}

func newValueRig(t *testing.T) *valueRig {
	t.Helper()
	r := rig.New(t, servers, "CREATE TABLE people (id int PRIMARY KEY, born date)", "CREATE TABLE other (id int PRIMARY KEY)",
		"INSERT INTO people SELECT g, '2000-01-01' FROM generate_series(1, 9) g", "CREATE PUBLICATION tidemark FOR ALL TABLES")
	return &valueRig{r, t}
}

func (r *valueRig) config(policy, columns string) string {
	return r.ConfigFile(fmt.Sprintf("tick: 100ms\non_bad_value: %s\ntables:\n  public.people: {columns: {%s}}\n  public.other: {}", policy, columns))
}

func (r *valueRig) exec(statement string) {
	r.t.Helper()
	if _, err := r.PG.Exec(r.t.Context(), statement); err != nil {
		r.t.Fatal(err)
	}
}

// view reads one value from ClickHouse as text.
func (r *valueRig) view(ctx context.Context, query string) (text string, err error) {
	err = r.CH.QueryRow(ctx, strings.ReplaceAll(query, "{db}", r.Name)).Scan(&text)
	return text, err
}

// until waits until a query gives an answer.
func (r *valueRig) until(query, want string) {
	r.t.Helper()
	r.Eventually(commandPatience, query+" = "+want, func(ctx context.Context) error {
		got, err := r.view(ctx, query)
		if err == nil && got != want {
			err = fmt.Errorf("it is %s", got)
		}
		return err
	})
}

const (
	countPeople = "SELECT toString(count()) FROM {db}.people"
	countOther  = "SELECT toString(count()) FROM {db}.other"
)

// TestStopAtABadValue keeps every view at the last good mark, and goes on from there once the configuration says how.
func TestStopAtABadValue(t *testing.T) {
	t.Parallel()
	r := newValueRig(t)
	b := r.Run(r.config("stop", ""), bridge.Options{CheckInvariants: true})
	r.WaitLSN(2)
	r.exec("BEGIN; INSERT INTO other VALUES (1); INSERT INTO people VALUES (10, '2000-01-01'), (11, '9999-12-31'); COMMIT")
	err := <-b.Done()
	if err == nil {
		t.Fatal("the bridge did not stop")
	}
	for _, text := range []string{"public.people", "id=11", "born", `"9999-12-31"`, " at 0/", "Date32"} {
		if !strings.Contains(err.Error(), text) {
			t.Errorf("no %q in %q", text, err)
		}
	}
	if try := fault.Try(err); !strings.Contains(try, "out_of_range") || !strings.Contains(try, "born") {
		t.Errorf("remedy %q", try)
	}
	for query, want := range map[string]string{countPeople: "9", countOther: "0"} {
		if got, err := r.view(t.Context(), query); err != nil || got != want {
			t.Errorf("%s gives %s, %v; want the last good mark's %s", query, got, err, want)
		}
	}
	again := r.Run(r.config("stop", "out_of_range: {born: clamp}"), bridge.Options{CheckInvariants: true})
	r.until("SELECT toString(born) FROM {db}.people WHERE id = 11", "2299-12-31")
	r.until(countOther, "1")
	_ = again.Stop()
}

// TestHoldATable has the other tables go on, and the slot with them, until the value or the configuration is corrected.
func TestHoldATable(t *testing.T) {
	t.Parallel()
	r := newValueRig(t)
	file := r.config("hold_table", "")
	b := r.Run(file, bridge.Options{CheckInvariants: true})
	r.WaitLSN(2)
	r.exec("BEGIN; INSERT INTO other VALUES (1); INSERT INTO people VALUES (10, '9999-12-31'), (11, '2000-01-01'); COMMIT")
	r.until(countOther, "1")
	r.throws()
	r.slotMoves()
	r.exec("DELETE FROM people WHERE id = 1; UPDATE people SET born = '2001-01-01' WHERE id = 10")
	r.until(countPeople, "10")
	r.until("SELECT toString(born) FROM {db}.people WHERE id = 10", "2001-01-01")

	// Another value, which another type takes: with it, the table is made anew.
	r.exec("UPDATE people SET born = 'infinity' WHERE id = 2; INSERT INTO other VALUES (2)")
	r.until(countOther, "2")
	r.throws()
	if err := b.Stop(); err != nil {
		t.Fatal(err)
	}
	again := r.Run(r.config("hold_table", "types: {born: String}"), bridge.Options{CheckInvariants: true})
	r.until("SELECT toString(born) FROM {db}.people WHERE id = 2", "infinity")
	r.until(countPeople, "10")
	_ = again.Stop()
}

// TestHoldAtTheFirstLoad holds a table whose first rows are bad.
func TestHoldAtTheFirstLoad(t *testing.T) {
	t.Parallel()
	r := newValueRig(t)
	r.exec("UPDATE people SET born = '0001-01-01' WHERE id = 5")
	b := r.Run(r.config("hold_table", ""), bridge.Options{CheckInvariants: true})
	r.exec("INSERT INTO other VALUES (1)")
	r.until(countOther, "1")
	r.throws()
	r.exec("DELETE FROM people WHERE id = 5")
	r.until(countPeople, "8")
	_ = b.Stop()
}

// throws waits until the held view answers with an error: no state of it is known to be right.
func (r *valueRig) throws() {
	r.t.Helper()
	r.Eventually(commandPatience, "the held view to throw", func(ctx context.Context) error {
		_, err := r.view(ctx, countPeople)
		switch {
		case err == nil:
			return errors.New("it answers")
		case !strings.Contains(err.Error(), "public.people") || !strings.Contains(err.Error(), "held"):
			return err
		}
		return nil
	})
}

// slotMoves waits until the slot has been confirmed beyond what PostgreSQL has written so far.
func (r *valueRig) slotMoves() {
	r.t.Helper()
	slotBeyond(r.t, r.Rig, r.PG)
}

func slotBeyond(t *testing.T, r *rig.Rig, pg *pgxpool.Pool) {
	t.Helper()
	var now string
	if err := pg.QueryRow(t.Context(), "SELECT pg_current_wal_lsn()::text").Scan(&now); err != nil {
		t.Fatal(err)
	}
	if _, err := pg.Exec(t.Context(), "INSERT INTO other SELECT 100 + count(*) FROM other; DELETE FROM other WHERE id >= 100"); err != nil {
		t.Fatal(err)
	}
	r.Eventually(commandPatience, "the slot to pass "+now, func(ctx context.Context) error {
		var beyond bool
		err := pg.QueryRow(ctx, "SELECT confirmed_flush_lsn >= $1::pg_lsn FROM pg_replication_slots WHERE slot_name = $2", now, r.Name).Scan(&beyond)
		if err == nil && !beyond {
			err = errors.New("it has not")
		}
		return err
	})
}
