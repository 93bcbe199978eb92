package demo

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"

	"github.com/tidemark-db/tidemark/internal/warehouse"
	"github.com/tidemark-db/tidemark/splitdate"
)

// marks reads the newest mark. It is safe for concurrent use.
type marks struct {
	db    *warehouse.Conn
	store *splitdate.Store
	there atomic.Bool // the bridge has created their table
}

func openMarks(dsn string) (*marks, error) {
	db, err := warehouse.Open(warehouse.Options{DSN: dsn})
	if err != nil {
		return nil, err
	}
	return &marks{db: db, store: splitdate.NewStore(db)}, nil
}

func (m *marks) close() error { return m.db.Close() }

// newest reads the newest mark; ok is false as long as there is none.
func (m *marks) newest(ctx context.Context) (splitdate.Mark, bool, error) {
	mark, ok, err := m.read(ctx)
	if cancelled(err) {
		return m.read(ctx)
	}
	return mark, ok, err
}

// cancelled recognizes a query that was killed: a bridge that goes on after an interruption ends every query of this
// kind of connection that began before, as it may be another bridge's.
func cancelled(err error) bool {
	const queryWasCancelled = 394
	var exception *clickhouse.Exception
	return errors.As(err, &exception) && exception.Code == queryWasCancelled
}

func (m *marks) read(ctx context.Context) (mark splitdate.Mark, ok bool, err error) {
	if !m.there.Load() {
		var n uint64
		err := m.db.Query(ctx, m.db.Database().FindTable(), warehouse.Params{"database": database, "name": "split_date"},
			func(r warehouse.Rows) error { return r.Scan(&n) })
		if err != nil || n == 0 {
			return mark, false, err
		}
		m.there.Store(true)
	}
	return m.store.Newest(ctx)
}

// await returns the first mark that does.
func (m *marks) await(ctx context.Context, does func(splitdate.Mark) bool) (splitdate.Mark, error) {
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		mark, ok, err := m.newest(ctx)
		if err != nil {
			return mark, fmt.Errorf("read the newest mark: %w", err)
		}
		if ok && does(mark) {
			return mark, nil
		}
		select {
		case <-ctx.Done():
			return mark, ctx.Err()
		case <-tick.C:
		}
	}
}
