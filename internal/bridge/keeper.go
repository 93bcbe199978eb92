package bridge

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/tidemark-db/tidemark/internal/warehouse"
	"github.com/tidemark-db/tidemark/splitdate"
	"github.com/tidemark-db/tidemark/sql"
)

// place is an internal table, one of sql.Homes.
type place struct {
	table  regional
	region sql.Region
}

// placeOf is where the chunks of a region lie.
func placeOf(t regional, r sql.Region) place { return place{t, r.Home()} }

// regional is what has internal tables: *sql.Table or *sql.Aggregate.
type regional interface {
	RegionName(r sql.Region) string
	PartitionID(r sql.Region, chunk uint64) string
	DropPartitions(r sql.Region, ids []string) sql.Statement
	DropPlainly(r sql.Region, ids []string) sql.Statement
}

// keeper drops chunks that no query can need any more, and then confirms to PostgreSQL what can no longer be lost.
type keeper struct {
	s *session

	mu        sync.Mutex
	retention *splitdate.Retention
	rounds    int
	garbage   map[place][]splitdate.Chunk           // chunks that no mark ever listed
	pinned    map[regional]map[splitdate.Chunk]bool // chunks that the builder of a table's journal still reads
	held      map[place][]splitdate.Chunk           // pinned ones that could go
}

func newKeeper(s *session, now splitdate.Instant) *keeper {
	return &keeper{s: s, retention: splitdate.NewRetention(s.mark, nil, now), garbage: map[place][]splitdate.Chunk{}, pinned: map[regional]map[splitdate.Chunk]bool{}, held: map[place][]splitdate.Chunk{}}
}

// keepEvery is the time between two rounds. Dropping costs a statement for each internal table, however many chunks it
// drops; what no reader can know of is dropped every sweepEvery rounds.
const (
	keepEvery  = 2 * time.Second
	sweepEvery = 5
)

// run works until ctx ends.
func (k *keeper) run(ctx context.Context) error {
	ticker := time.NewTicker(keepEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
		if err := k.round(ctx); err != nil && ctx.Err() == nil {
			return fmt.Errorf("drop old chunks: %w", err)
		}
	}
}

func (k *keeper) published(prev, next splitdate.Mark, now splitdate.Instant) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.retention.Published(prev, next, now)
}

// discard takes chunks that no reader can know of.
func (k *keeper) discard(at place, chunks []splitdate.Chunk) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.garbage[at] = append(k.garbage[at], chunks...)
}

// pin keeps chunks of a table although no mark lists them any more, until unpin.
func (k *keeper) pin(t regional, chunks []splitdate.Chunk) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.pinned[t] == nil {
		k.pinned[t] = map[splitdate.Chunk]bool{}
	}
	for _, c := range chunks {
		k.pinned[t][c] = true
	}
}

// unpin lets go of all pinned chunks of a table.
func (k *keeper) unpin(t regional) {
	k.mu.Lock()
	defer k.mu.Unlock()
	delete(k.pinned, t)
	for at, chunks := range k.held {
		if at.table == t {
			k.garbage[at] = append(k.garbage[at], chunks...)
			delete(k.held, at)
		}
	}
}

// round drops what is due and confirms.
func (k *keeper) round(ctx context.Context) error {
	var now, oldest int64
	err := k.s.db.Query(ctx, k.s.db.Database().OldestQuery(), warehouse.Params{"prefix": k.s.db.QueryPrefix()},
		func(r warehouse.Rows) error { return r.Scan(&now, &oldest) })
	if err != nil {
		return err
	}
	if err := k.drop(ctx, k.due(splitdate.Instant(now), splitdate.Instant(oldest))); err != nil {
		return err
	}
	if err := k.boundDisk(ctx); err != nil {
		return err
	}
	k.mu.Lock()
	epoch, lsn := k.retention.Safe()
	k.mu.Unlock()
	k.s.stream.Confirm(lsn)
	return k.s.archiveMarks(ctx, epoch)
}

// due takes what may be dropped.
func (k *keeper) due(now, oldest splitdate.Instant) map[place][]splitdate.Chunk {
	k.mu.Lock()
	defer k.mu.Unlock()
	out := map[place][]splitdate.Chunk{}
	if k.rounds++; k.rounds%sweepEvery == 0 {
		out, k.garbage = k.garbage, out
	}
	k.sort(out, k.retention.Due(now, oldest, k.s.cfg.Limits.MaxQueryAge))
	return out
}

// sort adds retired chunks to those of their internal tables.
func (k *keeper) sort(out map[place][]splitdate.Chunk, retired []splitdate.Retired) {
	for _, c := range retired {
		if t := k.s.regional(c.Table); t != nil {
			at := placeOf(t, c.Region)
			if k.pinned[t][c.Chunk] {
				k.held[at] = append(k.held[at], c.Chunk)
				continue
			}
			out[at] = append(out[at], c.Chunk)
		}
	}
}

func (k *keeper) drop(ctx context.Context, due map[place][]splitdate.Chunk) error {
	for at, chunks := range due {
		if err := k.s.dropChunks(ctx, at, chunks); err != nil {
			return err
		}
	}
	return nil
}

// measureEvery is in how many rounds the size of what waits for long queries is looked at; more than manyWaiting chunks are
// looked at in each.
const (
	measureEvery = 10
	manyWaiting  = 100
)

// boundDisk drops the oldest waiting chunks where all of them take more than limits.kept_bytes; queries that still need
// them fail.
func (k *keeper) boundDisk(ctx context.Context) error {
	k.mu.Lock()
	waiting := k.retention.Waiting()
	k.mu.Unlock()
	if waiting == 0 || waiting < manyWaiting && k.rounds%measureEvery != 0 {
		return nil
	}
	found, err := k.s.partitions(ctx)
	if err != nil {
		return err
	}
	sizes := make(map[splitdate.Chunk]int64, len(found))
	for _, p := range found {
		sizes[p.chunk] += p.bytes
	}
	out := map[place][]splitdate.Chunk{}
	k.mu.Lock()
	retired := k.retention.Over(int64(k.s.cfg.Limits.KeptBytes), sizes)
	k.sort(out, retired)
	k.mu.Unlock()
	if len(retired) > 0 {
		k.s.log.Warn().Int("chunks", len(retired)).Msg("a long query keeps more than limits.kept_bytes: dropping what it may still need, it will fail")
	}
	return k.drop(ctx, out)
}
