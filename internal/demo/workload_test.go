package demo

import (
	"context"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// soldWrong lists the stock whose sales are not what left it.
const soldWrong = `
SELECT count(*) FROM stock
LEFT JOIN (
    SELECT store_id, product_id, sum(qty) AS qty FROM sales
    WHERE status NOT IN ('cancelled', 'refunded') GROUP BY store_id, product_id
) AS sold USING (store_id, product_id)
WHERE received - on_hand != coalesce(sold.qty, 0)`

// changedRows counts what the session has changed, by PostgreSQL's own account; within a transaction it only grows.
const changedRows = `SELECT coalesce(sum(n_tup_ins + n_tup_upd + n_tup_del), 0)::bigint FROM pg_stat_xact_user_tables`

func checkStock(ctx context.Context, t *testing.T, s *shop) {
	t.Helper()
	var wrong, stock int
	if err := s.pool.QueryRow(ctx, soldWrong).Scan(&wrong); err != nil {
		t.Fatal(err)
	}
	if err := s.pool.QueryRow(ctx, "SELECT count(*) FROM stock").Scan(&stock); err != nil {
		t.Fatal(err)
	}
	if wrong != 0 || stock != s.stores*s.products {
		t.Errorf("%d of %d rows of stock are not what was sold", wrong, stock)
	}
}

func TestEvents(t *testing.T) {
	ctx, s := testContext(t), startShared(t).shop
	checkStock(ctx, t, s)
	w := newWorkload(s, 1000)
	for _, e := range events {
		t.Run(e.name, func(t *testing.T) {
			var sum int64
			checked := event{name: e.name, apply: func(ctx context.Context, w *workload, tx pgx.Tx) (int64, error) {
				var before, after int64
				if err := tx.QueryRow(ctx, changedRows).Scan(&before); err != nil {
					return 0, err
				}
				changed, err := e.apply(ctx, w, tx)
				if err != nil {
					return 0, err
				}
				if err := tx.QueryRow(ctx, changedRows).Scan(&after); err != nil {
					return 0, err
				}
				if after-before != changed {
					t.Errorf("says that it changed %d rows, PostgreSQL says %d", changed, after-before)
				}
				sum += changed
				return changed, nil
			}}
			for range 200 {
				if err := w.transact(ctx, checked); err != nil {
					t.Fatal(err)
				}
			}
			if sum == 0 {
				t.Error("changed nothing in 200 times")
			}
			checkStock(ctx, t, s)
		})
	}
}

func TestWorkloadConcurrently(t *testing.T) {
	ctx, s := testContext(t), startShared(t).shop
	const rate = 2000
	w, closing := newWorkload(s, rate), make(chan struct{})
	start := time.Now()
	timer := time.AfterFunc(2*time.Second, func() { close(closing) })
	defer timer.Stop()
	if err := w.run(ctx, closing); err != nil {
		t.Fatal(err)
	}
	took := time.Since(start)
	// What each worker may do before it sees that all is paid for: a transaction of up to eight rows.
	most := int64(rate*(took+mostBehind).Seconds()) + 8*workers
	if n := w.changes.Load(); n == 0 || n > most {
		t.Errorf("%d changes in %v, expected at most %d", n, took, most)
	}
	checkStock(ctx, t, s)
}
