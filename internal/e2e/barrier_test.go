package e2e

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/tidemark-db/tidemark/internal/bridge"
	"github.com/tidemark-db/tidemark/internal/rig"
)

// barrierRig runs a bridge on a table with settled and fresh rows.
func barrierRig(t *testing.T) (*rig.Rig, *rig.Bridge) {
	r := rig.New(t, servers,
		`CREATE TABLE sales (id int PRIMARY KEY, at timestamptz NOT NULL, note text)`,
		`INSERT INTO sales SELECT g, now() - g % 3 * interval '1 day', 'note' FROM generate_series(1, 300) g`,
		`CREATE PUBLICATION tidemark FOR TABLE sales`)
	b := r.Run(r.ConfigFile("tick: 100ms\ntables: {public.sales: {date_column: at}}\n"), bridge.Options{CheckInvariants: true})
	r.WaitLSN(1)
	return r, b
}

// awaitCount waits until the view has so many rows of an id.
func awaitCount(t *testing.T, r *rig.Rig, id, want int) {
	t.Helper()
	query := fmt.Sprintf("SELECT count() FROM %s.sales WHERE id = %d", r.Name, id)
	r.Eventually(time.Minute, fmt.Sprintf("%d rows of id %d", want, id), func(ctx context.Context) error {
		var n uint64
		err := r.CH.QueryRow(ctx, query).Scan(&n)
		if err == nil && n != uint64(want) {
			err = fmt.Errorf("%d rows", n)
		}
		return err
	})
}

// TestLoadKeepsWhatNobodySeesYet loads a table while a transaction waits for a synchronous standby: it streams, but no
// snapshot sees it. The barrier waits for it too, so that the load neither deletes nor doubles its rows.
func TestLoadKeepsWhatNobodySeesYet(t *testing.T) {
	r, b := barrierRig(t)
	reset := func() {
		ctx := context.WithoutCancel(t.Context())
		_, err := r.PG.Exec(ctx, "ALTER SYSTEM RESET synchronous_standby_names")
		must(t, err)
		_, err = r.PG.Exec(ctx, "SELECT pg_reload_conf()")
		must(t, err)
	}
	_, err := r.PG.Exec(t.Context(), "ALTER SYSTEM SET synchronous_standby_names = 'ghost'")
	must(t, err)
	t.Cleanup(reset)
	_, err = r.PG.Exec(t.Context(), "SELECT pg_reload_conf()")
	must(t, err)
	r.Eventually(time.Minute, "a commit that waits for the standby", func(ctx context.Context) error {
		ctx, cancel := context.WithTimeout(ctx, 200*time.Millisecond)
		defer cancel()
		_, err := r.PG.Exec(ctx, "UPDATE sales SET note = 'waits' WHERE id = 1")
		if err == nil {
			return errors.New("it does not wait yet") // the server reads its configuration when it gets to it
		}
		return nil
	})
	committed := make(chan error, 1)
	go func() { // ends with the reset
		_, err := r.PG.Exec(context.WithoutCancel(t.Context()), "INSERT INTO sales VALUES (1000, now() - interval '2 days', 'ghost'), (1001, now(), 'ghost')")
		committed <- err
	}()
	awaitCount(t, r, 1000, 1)
	var seen int
	must(t, r.PG.QueryRow(t.Context(), "SELECT count(*) FROM sales WHERE id >= 1000").Scan(&seen))
	if seen != 0 {
		t.Fatalf("PostgreSQL shows %d rows of the transaction: it waits for nobody", seen)
	}
	loaded := make(chan error, 1)
	go func() { // ends with the reset
		_, err := b.Reload(context.WithoutCancel(t.Context()), bridge.Request{})
		loaded <- err
	}()
	for range 10 {
		awaitCount(t, r, 1000, 1)
		awaitCount(t, r, 1001, 1)
	}
	reset()
	must(t, <-committed)
	must(t, <-loaded)
	r.WaitLSN(1)
	awaitCount(t, r, 1000, 1)
	awaitCount(t, r, 1001, 1)
}

// TestTicksDoNotWaitForABarrier holds a prepared transaction open in another database, which a barrier has to wait for:
// the job waits, the views go on, and the job ends when the transaction does.
func TestTicksDoNotWaitForABarrier(t *testing.T) {
	r, b := barrierRig(t)
	other := rig.New(t, servers, `CREATE TABLE elsewhere (id int)`)
	ctx := context.WithoutCancel(t.Context())
	_, err := other.PG.Exec(ctx, "BEGIN; INSERT INTO elsewhere VALUES (1); PREPARE TRANSACTION 'elsewhere'")
	must(t, err)
	open := true
	t.Cleanup(func() {
		if open {
			_, _ = other.PG.Exec(ctx, "ROLLBACK PREPARED 'elsewhere'")
		}
	})
	done := make(chan error, 1)
	go func() { // ends with the transaction
		_, err := b.Reload(ctx, bridge.Request{})
		done <- err
	}()
	for id := 2000; id < 2005; id++ {
		_, err := r.PG.Exec(t.Context(), "INSERT INTO sales VALUES ($1, now() - interval '1 day', 'meanwhile')", id)
		must(t, err)
		awaitCount(t, r, id, 1)
	}
	select {
	case err := <-done:
		t.Fatalf("the load did not wait for the prepared transaction: %v", err)
	default:
	}
	_, err = other.PG.Exec(ctx, "ROLLBACK PREPARED 'elsewhere'")
	must(t, err)
	open = false
	must(t, <-done)
	awaitCount(t, r, 2000, 1)
}
