package bridge

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"

	"github.com/tidemark-db/tidemark/internal/observe"
	"github.com/tidemark-db/tidemark/internal/warehouse"
	"github.com/tidemark-db/tidemark/splitdate"
	"github.com/tidemark-db/tidemark/sql"
)

// backfill is the computation of an aggregate that the mark does not hold yet: beside the ticks, the states of the clean
// HISTORIC chunks; at its end, in the loop, those of RT, LATE and what rolled meanwhile. The mark that holds all of them is
// the first one that its view answers with.
type backfill struct {
	table     *table
	aggregate *sql.Aggregate
	job       *observe.Job
	done      chan error
	cancel    context.CancelFunc
	since     time.Time
}

// backfillRest is how many rows of HISTORIC that came meanwhile the loop itself takes on.
const backfillRest = 500_000

// beginBackfill starts the computation of the next aggregate that the mark does not hold, unless one is under way.
func (s *session) beginBackfill(ctx context.Context) {
	if s.backfill != nil {
		return
	}
	for _, t := range s.tables {
		for _, a := range t.aggregates {
			if _, ok := s.mark.Aggregates[a.Name]; !ok && s.live(t) && !s.failed[a.Name] {
				s.log.Info().Str("aggregate", a.Name).Str("table", t.sql.Source).Msg("computing")
				total := s.mark.Tables[t.sql.Name].Rows(s.mark.Tables[t.sql.Name].Clean)
				s.runBackfill(ctx, &backfill{table: t, aggregate: a, job: s.seen.Begin(observe.Aggregate, a.Name, int64(total)), since: time.Now()})
				return
			}
		}
	}
}

// runBackfill computes what is missing of HISTORIC now.
func (s *session) runBackfill(ctx context.Context, b *backfill) {
	ctx, b.cancel = context.WithCancel(ctx)
	b.done = make(chan error, 1)
	s.backfill = b
	chunks := s.unwritten(b)
	go func() { b.done <- writeHistoric(warehouse.OnProgress(ctx, b.job.Add), b, chunks) }() // ends with its statements or ctx; awaited by endBackfill or stopBackfill
}

// unwritten are the clean HISTORIC chunks of the newest mark whose states a backfill has not written yet.
func (s *session) unwritten(b *backfill) []splitdate.Chunk {
	a := splitdate.Aggregate{States: b.table.states.Written(b.aggregate)}
	return a.Missing(s.mark.Tables[b.table.sql.Name])[sql.Historic]
}

// writeHistoric computes chunk by chunk: memory is bounded by the groups of one.
func writeHistoric(ctx context.Context, b *backfill, chunks []splitdate.Chunk) error {
	for _, c := range chunks {
		if err := b.table.states.Write(ctx, historicOf([]*sql.Aggregate{b.aggregate}, []splitdate.Chunk{c})); err != nil {
			return err
		}
	}
	return nil
}

func (s *session) backfillDone() <-chan error {
	if s.backfill == nil {
		return nil
	}
	return s.backfill.done
}

// stopBackfill ends the one under way and waits until it has; what it wrote is dropped at the next start.
func (s *session) stopBackfill() {
	if s.backfill != nil {
		s.backfill.cancel()
		s.backfill.job.End(errInterrupted)
		if err := <-s.backfill.done; err != nil {
			s.log.Debug().Err(err).Msg("computation of an aggregate abandoned")
		}
	}
}

// endBackfill publishes an aggregate whose states are there, after another round where much of HISTORIC came meanwhile.
func (s *session) endBackfill(ctx context.Context, err error) error {
	b := s.backfill
	s.backfill = nil // whatever follows: nobody will send on done again
	b.cancel()
	if rest := s.unwritten(b); err == nil && s.mark.Tables[b.table.sql.Name].Rows(rest) > backfillRest {
		s.runBackfill(ctx, b)
		return nil
	}
	if err != nil {
		b.job.End(err)
		return s.backfillFailed(b, err)
	}
	err = s.publishBackfill(ctx, b)
	b.job.End(err)
	if err != nil {
		return err
	}
	s.log.Info().Str("aggregate", b.aggregate.Name).Dur("took", time.Since(b.since)).Msg("computed")
	return s.selfCheck(ctx)
}

// publishBackfill has the mark hold the aggregate. The step computes what is missing still.
func (s *session) publishBackfill(ctx context.Context, b *backfill) error {
	step := splitdate.Step{LSN: s.mark.LSN, CommitTime: s.mark.CommitTime}
	step.Aggregates.Add = map[string]splitdate.Aggregate{
		b.aggregate.Name: {Table: b.table.sql.Name, Definition: b.aggregate.Definition()},
	}
	return s.publish(ctx, step)
}

// backfillFailed leaves an aggregate out that ClickHouse cannot compute, because of its size perhaps; the others, and the
// tables, go on. Anything else ends the session.
func (s *session) backfillFailed(b *backfill, err error) error {
	var server *clickhouse.Exception
	if !errors.As(err, &server) {
		return fmt.Errorf("compute aggregate %s: %w", b.aggregate.Name, err)
	}
	s.failed[b.aggregate.Name] = true
	s.log.Error().Err(err).Str("aggregate", b.aggregate.Name).Msg("cannot be computed; its view answers with an error until the next start or reload")
	return nil
}
