// Package failpoint is what every change of a server's state goes through, ClickHouse's and PostgreSQL's alike. The name
// of the statement is the name of the failpoint: nothing has to be placed by hand, and nothing can be forgotten.
//
// It owns the order hook, change, hook. It does not own what a hook does: a bridge in production has none, tests kill or
// pause one of the three processes in theirs.
package failpoint

import (
	"context"
	"fmt"
)

// Hook is called before and after every change of state. An error before it means that nothing is done; an error after
// it hides that it was done.
type Hook func(ctx context.Context, statement string, after bool) error

// Around runs a change between two calls of the hook. Its error names the statement. A nil hook is none.
func (h Hook) Around(ctx context.Context, statement string, change func() error) error {
	if h != nil {
		if err := h(ctx, statement, false); err != nil {
			return err
		}
	}
	if err := change(); err != nil {
		return fmt.Errorf("%s: %w", statement, err)
	}
	if h != nil {
		return h(ctx, statement, true)
	}
	return nil
}
