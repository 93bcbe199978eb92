package bridge

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/tidemark-db/tidemark/internal/warehouse"
	"github.com/tidemark-db/tidemark/splitdate"
	"github.com/tidemark-db/tidemark/sql"
)

// partition is a partition of an internal table; its id ends with the chunk's number.
type partition struct {
	at    place
	id    string
	chunk splitdate.Chunk
	bytes int64 // on disk
}

// partitions lists all partitions of the internals.
func (s *session) partitions(ctx context.Context) (out []partition, err error) {
	places := map[string]place{}
	for _, t := range s.tables {
		for _, r := range sql.Homes() {
			places[t.sql.RegionName(r)] = placeOf(t.sql, r)
		}
		for _, a := range t.aggregates {
			places[a.RegionName(sql.Chunks)] = placeOf(a, sql.Chunks)
		}
	}
	err = s.db.Query(ctx, s.db.Database().ListChunks(), warehouse.Params{"database": s.db.Database().Internals()}, func(r warehouse.Rows) error {
		var table, id string
		var bytes uint64
		if err := r.Scan(&table, &id, &bytes); err != nil {
			return err
		}
		at, ours := places[table]
		chunk, err := strconv.ParseUint(id[strings.LastIndexByte(id, '-')+1:], 10, 64)
		if ours && err == nil {
			out = append(out, partition{at, id, splitdate.Chunk(chunk), int64(bytes)})
		}
		return nil
	})
	return out, err
}

// collectGarbage drops the chunks that no kept mark lists: what a crash left. Those that only older marks list may still
// be read by a query, and wait.
func (s *session) collectGarbage(ctx context.Context) error {
	found, err := s.partitions(ctx)
	if err != nil {
		return err
	}
	older, first, now, err := s.store.Kept(ctx)
	if err != nil {
		return err
	}
	s.archived = uint64(first) / marksPerPartition
	var retired []splitdate.Retired
	drop := map[place][]string{}
	for _, p := range found {
		name, listed := s.listed(p)
		switch {
		case listed, p.chunk.Term() > s.mark.Term: // of a writer that has overtaken this one
		case older[name][p.chunk]:
			retired = append(retired, splitdate.Retired{Table: name, Region: p.at.region, Chunk: p.chunk})
		default:
			drop[p.at] = append(drop[p.at], p.id)
		}
	}
	s.keeper.retention = splitdate.NewRetention(s.mark, retired, now)
	for at, ids := range drop {
		s.log.Info().Str("table", at.table.RegionName(at.region)).Int("partitions", len(ids)).Msg("dropping what no mark lists")
		if err := s.dropPartitions(ctx, at, ids); err != nil {
			return err
		}
	}
	return nil
}

// listed reports whether the newest mark lists a chunk, and under which name older ones would. States go with the chunk of
// rows that they are of, which may be listed by older marks alone: they are found again when that is dropped.
func (s *session) listed(p partition) (name string, listed bool) {
	switch t := p.at.table.(type) {
	case *sql.Aggregate:
		if _, merged := s.mark.Aggregates[t.Name].Merged[p.chunk]; merged {
			return t.Name, true
		}
		return t.Name, s.mark.Tables[t.Table.Name].Has(p.chunk)
	case *sql.Table:
		return t.Name, s.mark.Tables[t.Name].Has(p.chunk) || s.mark.Loads[t.Name].Has(p.chunk)
	}
	return "", true
}

// dropChunks drops chunks of an internal table, and then their states.
func (s *session) dropChunks(ctx context.Context, at place, chunks []splitdate.Chunk) error {
	if len(chunks) == 0 {
		return nil
	}
	table, _ := at.table.(*sql.Table)
	var ids []string
	var cut []splitdate.Chunk // in a partition for each period
	for _, c := range chunks {
		if table != nil && at.region == sql.Chunks && !table.Mirrored() && c.IsSettled() {
			cut = append(cut, c)
		} else {
			ids = append(ids, at.table.PartitionID(at.region, uint64(c)))
		}
	}
	if len(cut) > 0 {
		found, err := s.partitionsOf(ctx, at, cut)
		if err != nil {
			return err
		}
		ids = append(ids, found...)
	}
	if err := s.dropPartitions(ctx, at, ids); err != nil || table == nil || at.region != sql.Chunks {
		return err
	}
	return s.dropStates(ctx, table, chunks)
}

// dropStates drops the states of chunks of rows.
func (s *session) dropStates(ctx context.Context, t *sql.Table, chunks []splitdate.Chunk) error {
	of := s.byView(t.Name)
	of.states.Forget(chunks)
	for _, a := range of.aggregates {
		if err := s.dropChunks(ctx, placeOf(a, sql.Chunks), chunks); err != nil {
			return err
		}
	}
	return nil
}

// partitionsOf returns the ids of the partitions that chunks have.
func (s *session) partitionsOf(ctx context.Context, at place, chunks []splitdate.Chunk) (ids []string, err error) {
	wanted := map[splitdate.Chunk]bool{}
	for _, c := range chunks {
		wanted[c] = true
	}
	found, err := s.partitions(ctx)
	for _, p := range found {
		if p.at == at && wanted[p.chunk] {
			ids = append(ids, p.id)
		}
	}
	return ids, err
}

// maxDropped is how many partitions one statement drops.
const maxDropped = 200

func (s *session) dropPartitions(ctx context.Context, at place, ids []string) error {
	for len(ids) > 0 {
		n := min(len(ids), maxDropped)
		err := s.db.Exec(ctx, at.table.DropPartitions(at.region, ids[:n]), nil)
		if warehouse.IsUnlike(err) { // its columns change
			err = s.db.Exec(ctx, at.table.DropPlainly(at.region, ids[:n]), nil)
		}
		if err != nil {
			return fmt.Errorf("table %s: %w", at.table.RegionName(at.region), err)
		}
		ids = ids[n:]
	}
	return nil
}

// marksPerPartition is that of split_date.
const marksPerPartition = 64

// archiveMarks moves marks before the oldest kept one from split_date, which every query reads, to its log.
func (s *session) archiveMarks(ctx context.Context, oldest splitdate.Epoch) error {
	before := uint64(oldest) / marksPerPartition
	for ; s.archived < before; s.archived++ {
		n := s.archived
		if err := s.db.Exec(ctx, s.db.Database().ArchiveMarks(), warehouse.Params{"partition": strconv.FormatUint(n, 10)}); err != nil {
			return err
		}
		if err := s.db.Exec(ctx, s.db.Database().DropMarks([]string{strconv.FormatUint(n, 10)}), nil); err != nil {
			return err
		}
	}
	return nil
}
