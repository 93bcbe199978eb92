package bridge

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"testing"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/tidemark-db/tidemark/cdc"
)

// TestKinds sees that what operators do about an error follows from its kind: docs/operators.md has a heading for each.
func TestKinds(t *testing.T) {
	postgres := func(code string) error { return &pgconn.PgError{Code: code} }
	for _, c := range []struct {
		err  error
		want string
	}{
		{context.DeadlineExceeded, "timeout"},
		{&net.OpError{Op: "dial", Err: os.ErrDeadlineExceeded}, "unreachable"},
		{postgres("57P01"), "unreachable"}, // it shuts down
		{postgres("53300"), "unreachable"}, // no connection to spare
		{postgres("42501"), "postgres"},    // no right
		{&clickhouse.Exception{Code: 497}, "clickhouse"},
		{&clickhouse.Exception{Code: 243}, "clickhouse"}, // no space
		{cdc.ErrLockLost, "lock_lost"},
		{errors.New("what nobody thought of"), "other"},
	} {
		if got := kindOf(fmt.Errorf("step: %w", c.err)); got != c.want {
			t.Errorf("%T %v is %q, want %q", c.err, c.err, got, c.want)
		}
	}
}
