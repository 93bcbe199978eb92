package e2e

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
)

// TestMaxQueryAge lets queries outlast limits.max_query_age between their first table and their last, while every chunk of
// the last is replaced. They fail; one that the machine was too slow to harm is right.
func TestMaxQueryAge(t *testing.T) {
	t.Parallel()
	r := newAuditRig(t, lateTables("docs", "stock")...)
	p := r.Spawn(r.config("tick: 100ms\nlimits: {max_query_age: 1s}"))
	r.await()
	w := r.startStubborn(seed(t))
	w.begin("UPDATE stock SET v = v + 1; UPDATE docs SET title = 'x{v}' WHERE id < 50")
	for _, shared := range []int{0, 1} {
		t.Run(fmt.Sprintf("shared snapshots %d", shared), func(t *testing.T) {
			conn := r.Reader(clickhouse.Settings{sharedSnapshots: shared, "function_sleep_max_microseconds_per_block": 60_000_000})
			outlived := 0
			for range 3 {
				switch err := r.readSlowly(t.Context(), conn); {
				case isOutlived(err):
					outlived++
				case err != nil:
					t.Error(err)
				}
			}
			t.Logf("%d of 3 slow queries failed", outlived)
			if outlived == 0 {
				t.Error("no query outlived its data")
			}
		})
	}
	w.stop()
	r.compare()
	if code := p.Terminate(); code != 0 {
		t.Errorf("exit code %d", code)
	}
}

// readSlowly reads audit, then nothing for many seconds, then stock, and compares the two.
func (r *auditRig) readSlowly(ctx context.Context, conn driver.Conn) error {
	var want, got, slept int64
	err := conn.QueryRow(ctx, fmt.Sprintf(`SELECT (SELECT sum(h) FROM %[1]s.audit WHERE name = 'stock'),
		toInt64((SELECT sum(sleepEachRow(0.1)) FROM numbers(100))), (SELECT sum(%[2]s) FROM %[1]s.stock)`,
		r.Name, r.tables[1].clickhouseWeight())).Scan(&want, &slept, &got)
	if err == nil && want != got {
		err = errors.Join(errAudit, fmt.Errorf("audit says %d, stock has %d", want, got))
	}
	return err
}
