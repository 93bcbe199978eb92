package bridge

import (
	"context"
	"fmt"
	"time"

	"github.com/tidemark-db/tidemark/internal/warehouse"
	"github.com/tidemark-db/tidemark/splitdate"
)

// The entries of a change feed without a row: rows came by a load, or all went.
const (
	feedLoad     = 'L'
	feedTruncate = 'T'
)

// createFeed creates a table's change feed, or drops one that is no longer wanted.
func (s *session) createFeed(ctx context.Context, t *table) error {
	if t.sql.Feed {
		return s.db.Exec(ctx, t.sql.CreateFeedView(), nil)
	}
	var n uint64
	err := s.db.Query(ctx, s.db.Database().FindTable(), warehouse.Params{"database": s.db.Database().Internals(), "name": t.sql.RegionName("feed")},
		func(r warehouse.Rows) error { return r.Scan(&n) })
	if err != nil || n == 0 {
		return err
	}
	s.log.Warn().Str("table", t.sql.Source).Msg("its change feed is no longer configured, and dropped")
	for _, st := range t.sql.DropFeed() {
		if err := s.db.Exec(ctx, st, nil); err != nil {
			return err
		}
	}
	return nil
}

// writeFeeds writes what the next mark adds to the change feeds, under its term and epoch. If that mark does not come, the
// session ends and its term with it, so that nobody ever reads them: entries count by the mark that they are of.
func (s *session) writeFeeds(ctx context.Context, changed []*table, step splitdate.Step) error {
	for _, t := range changed {
		if !t.sql.Feed {
			continue
		}
		if t.pending.Truncated {
			if err := s.noteFeed(ctx, t, feedTruncate, step); err != nil {
				return err
			}
		}
		if chunks := t.pending.FeedChunks(); len(chunks) > 0 {
			params := s.nextMark()
			params["pieces"] = warehouse.Array(chunks)
			if err := s.db.Exec(ctx, t.sql.InsertFeed(), params); err != nil {
				return fmt.Errorf("change feed of %s: %w", t.sql.Source, err)
			}
		}
	}
	for name := range step.Add {
		if err := s.noteFeed(ctx, s.byView(name), feedLoad, step); err != nil {
			return err
		}
	}
	return nil
}

func (s *session) nextMark() warehouse.Params {
	return warehouse.Params{"term": warehouse.U64(s.mark.Term), "epoch": warehouse.U64(s.mark.Epoch + 1)}
}

// noteFeed writes an entry without a row: whoever follows the feed has to read the table anew.
func (s *session) noteFeed(ctx context.Context, t *table, op rune, step splitdate.Step) error {
	if !t.sql.Feed {
		return nil
	}
	params := s.nextMark()
	params["op"], params["lsn"] = warehouse.U64(uint64(op)), warehouse.U64(s.mark.LSN) // before what else the mark brings
	params["time"] = warehouse.I64(max(splitdate.InstantOf(step.CommitTime), splitdate.InstantOf(s.mark.CommitTime)))
	if err := s.db.Exec(ctx, t.sql.NoteFeed(), params); err != nil {
		return fmt.Errorf("change feed of %s: %w", t.sql.Source, err)
	}
	return nil
}

// dropFeedDays drops the days of change feeds that are over, once a day and at each start.
func (s *session) dropFeedDays(ctx context.Context) error {
	today := day(time.Now())
	if s.feedsDropped == today {
		return nil
	}
	s.feedsDropped = today
	kept := map[string]string{} // the oldest day, by feed
	for _, t := range s.tables {
		if t.sql.Feed {
			kept[t.sql.RegionName("feed")] = day(time.Now().Add(-t.cfg.ChangeFeed))
		}
	}
	if len(kept) == 0 {
		return nil
	}
	over := map[string][]string{}
	err := s.db.Query(ctx, s.db.Database().ListChunks(), warehouse.Params{"database": s.db.Database().Internals()}, func(r warehouse.Rows) error {
		var table, partition string
		var bytes uint64
		err := r.Scan(&table, &partition, &bytes)
		if partition < kept[table] {
			over[table] = append(over[table], partition)
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("list the days of the change feeds: %w", err)
	}
	for _, t := range s.tables {
		days := over[t.sql.RegionName("feed")]
		if len(days) == 0 {
			continue
		}
		if err := s.db.Exec(ctx, t.sql.DropFeedDays(days), nil); err != nil {
			return fmt.Errorf("change feed of %s: %w", t.sql.Source, err)
		}
	}
	return nil
}

// day is a partition of a change feed.
func day(t time.Time) string { return t.UTC().Format("20060102") }
