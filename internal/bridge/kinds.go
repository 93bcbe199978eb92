package bridge

import (
	"context"
	"errors"
	"net"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/tidemark-db/tidemark/cdc"
	"github.com/tidemark-db/tidemark/internal/block"
	"github.com/tidemark-db/tidemark/internal/warehouse"
	"github.com/tidemark-db/tidemark/rtwindow"
	"github.com/tidemark-db/tidemark/splitdate"
)

// errorKind is a class of errors that need the same thing done about them. The name is the label of
// tidemark_errors_total, the key "kind" of the log, and a heading in docs/operators.md.
type errorKind struct {
	name string
	is   func(error) bool
}

// errorKinds in the order in which they are tried.
var errorKinds = []errorKind{
	{"bad_value", isA[*block.ValueError]},
	{"fenced", wraps(splitdate.ErrFenced)},
	{"invariant", wraps(splitdate.ErrInvariant)},
	{"gap", wraps(rtwindow.ErrGap)},
	{"slot_missing", wraps(cdc.ErrNoSlot)},
	{"slot_lost", wraps(cdc.ErrSlotLost)},
	{"slot_ahead", wraps(cdc.ErrSlotAhead)},
	{"slot_in_use", wraps(cdc.ErrSlotInUse, cdc.ErrLocked)},
	{"lock_lost", wraps(cdc.ErrLockLost)},
	{"slot_blocked", wraps(cdc.ErrBlocked)},
	{"publication", wraps(cdc.ErrNoPublication, errNotPublished)},
	{"schema", wraps(errReshaped)},
	{"refused", wraps(errRefused)},
	{"timeout", func(err error) bool { return errors.Is(err, context.DeadlineExceeded) && !isA[*net.OpError](err) }},
	{"unreachable", func(err error) bool { return away(err) && !warehouse.IsStrained(err) }},
	{"clickhouse", isA[*clickhouse.Exception]},
	{"postgres", isA[*pgconn.PgError]},
	{"other", func(error) bool { return true }},
}

func wraps(targets ...error) func(error) bool {
	return func(err error) bool {
		for _, target := range targets {
			if errors.Is(err, target) {
				return true
			}
		}
		return false
	}
}

func isA[T error](err error) bool {
	var target T
	return errors.As(err, &target)
}

// kindOf names the kind of an error.
func kindOf(err error) string {
	for _, k := range errorKinds {
		if k.is(err) {
			return k.name
		}
	}
	return ""
}

// ErrorKinds lists the names of all kinds.
func ErrorKinds() []string {
	names := make([]string, len(errorKinds))
	for i, k := range errorKinds {
		names[i] = k.name
	}
	return names
}
