package aggregate

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/tidemark-db/tidemark/internal/warehouse"
	"github.com/tidemark-db/tidemark/splitdate"
	"github.com/tidemark-db/tidemark/sql"
)

// States writes the states of one table's aggregates. It is safe for concurrent use: what takes long, such as the chunks of
// a fold, is written beside the ticks.
type States struct {
	db   *warehouse.Conn
	list []*sql.Aggregate

	mu      sync.Mutex
	written map[string]map[splitdate.Chunk]uint64 // by aggregate: the number of states of chunks that no mark lists yet
}

// NewStates returns the states of a table's aggregates.
func NewStates(db *warehouse.Conn, list []*sql.Aggregate) *States {
	s := &States{db: db, list: list, written: map[string]map[splitdate.Chunk]uint64{}}
	for _, a := range list {
		s.written[a.Name] = map[splitdate.Chunk]uint64{}
	}
	return s
}

// Aggregates are those of the table.
func (s *States) Aggregates() []*sql.Aggregate { return s.list }

// parallel is how many statements compute states at once.
const parallel = 4

// Todo is what to compute: chunks of rows, by aggregate and region.
type Todo map[*sql.Aggregate]map[sql.Region][]splitdate.Chunk

// Write computes the states of chunks of rows, unless that was done before. The chunks must not change any more.
func (s *States) Write(ctx context.Context, todo Todo) error {
	group, inner := errgroup.WithContext(ctx)
	group.SetLimit(parallel)
	var written []splitdate.Chunk
	for a, regions := range todo {
		for _, chunks := range regions {
			for _, c := range s.unwritten(a, chunks) {
				group.Go(func() error { return s.write(inner, a, c) })
				written = append(written, c)
			}
		}
	}
	if err := group.Wait(); err != nil || len(written) == 0 {
		return err
	}
	slices.Sort(written)
	return s.count(ctx, todo, slices.Compact(written))
}

func (s *States) write(ctx context.Context, a *sql.Aggregate, c splitdate.Chunk) error {
	if err := s.db.Exec(ctx, a.Insert(), warehouse.Params{"chunk": warehouse.U64(c)}); err != nil {
		return fmt.Errorf("aggregate %s: %w", a.Name, err)
	}
	return nil
}

// unwritten returns the chunks without states of an aggregate.
func (s *States) unwritten(a *sql.Aggregate, chunks []splitdate.Chunk) (out []splitdate.Chunk) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range chunks {
		if _, ok := s.written[a.Name][c]; !ok {
			out = append(out, c)
		}
	}
	return out
}

// count takes note of the states of chunks. A chunk of which no row passes the filter has none.
func (s *States) count(ctx context.Context, todo Todo, chunks []splitdate.Chunk) error {
	counts := map[string]map[splitdate.Chunk]uint64{}
	err := s.db.Query(ctx, sql.CountStates(slices.Collect(maps.Keys(todo))), warehouse.Params{"chunks": warehouse.Array(chunks)}, func(row warehouse.Rows) error {
		var name string
		var chunk, n uint64
		if err := row.Scan(&name, &chunk, &n); err != nil {
			return err
		}
		if counts[name] == nil {
			counts[name] = map[splitdate.Chunk]uint64{}
		}
		counts[name][splitdate.Chunk(chunk)] = n
		return nil
	})
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for a, regions := range todo {
		for _, wanted := range regions {
			for _, c := range wanted {
				if slices.Contains(chunks, c) {
					s.written[a.Name][c] = counts[a.Name][c]
				}
			}
		}
	}
	return nil
}

// Written returns the number of states, by chunk, of the chunks that no mark lists yet.
func (s *States) Written(a *sql.Aggregate) map[splitdate.Chunk]uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := make(map[splitdate.Chunk]uint64, len(s.written[a.Name]))
	for c, n := range s.written[a.Name] {
		out[c] = n
	}
	return out
}

// Published forgets what a mark holds now.
func (s *States) Published(aggregates map[string]splitdate.Aggregate) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for name, chunks := range s.written {
		for c := range aggregates[name].States {
			delete(chunks, c)
		}
	}
}

// Forget forgets chunks of rows that no mark will list.
func (s *States) Forget(chunks []splitdate.Chunk) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, written := range s.written {
		for _, c := range chunks {
			delete(written, c)
		}
	}
}
