package bridge

import (
	"context"
	"fmt"
	"slices"

	"github.com/tidemark-db/tidemark/internal/aggregate"
	"github.com/tidemark-db/tidemark/splitdate"
	"github.com/tidemark-db/tidemark/sql"
)

// merging is the merging of states of an aggregate, beside the ticks.
type merging struct {
	table     *table
	aggregate *sql.Aggregate
	plan      aggregate.Merge
	to        splitdate.Chunk
	states    uint64
	done      chan error
	cancel    context.CancelFunc
}

// beginMerge starts the next merging, unless one or a backfill is under way.
func (s *session) beginMerge(ctx context.Context) {
	if s.merging != nil || s.backfill != nil {
		return
	}
	for _, t := range s.tables {
		for _, a := range s.held(t) {
			plan, ok := aggregate.Plan(s.mark.Aggregates[a.Name], s.mark.Tables[t.sql.Name])
			if ok && plan.Before > s.fine[a.Name] {
				s.runMerge(ctx, &merging{table: t, aggregate: a, plan: plan, to: s.nextChunk(), done: make(chan error, 1)})
				return
			}
		}
	}
}

func (s *session) runMerge(ctx context.Context, m *merging) {
	ctx, m.cancel = context.WithCancel(ctx)
	s.merging = m
	go func() { // ends with its statements or ctx; awaited by endMerge or stopMerge
		var err error
		m.states, err = m.table.states.Merge(ctx, m.aggregate, m.plan, m.to)
		m.done <- err
	}()
}

func (s *session) mergeDone() <-chan error {
	if s.merging == nil {
		return nil
	}
	return s.merging.done
}

// stopMerge ends the one under way and waits until it has; what it wrote is garbage.
func (s *session) stopMerge() {
	if s.merging != nil {
		s.merging.cancel()
		if err := <-s.merging.done; err != nil {
			s.log.Debug().Err(err).Msg("merging of states abandoned")
		}
	}
}

// endMerge publishes a merged chunk, unless one of the chunks that it would stand for is no longer clean.
func (s *session) endMerge(ctx context.Context, err error) error {
	m := s.merging
	s.merging = nil // whatever follows: nobody will send on done again
	m.cancel()
	name := m.aggregate.Name
	switch clean := s.mark.Tables[m.table.sql.Name].Clean; {
	case err != nil:
		return fmt.Errorf("merge states of %s: %w", name, err)
	case m.states == 0:
		s.fine[name] = growthOfFine * m.plan.Before
		return nil
	case slices.ContainsFunc(m.plan.Of, func(c splitdate.Chunk) bool { return !slices.Contains(clean, c) }):
		s.keeper.discard(placeOf(m.aggregate, sql.Historic), []splitdate.Chunk{m.to})
		return nil
	}
	step := splitdate.Step{LSN: s.mark.LSN, CommitTime: s.mark.CommitTime}
	step.Aggregates.Merged = map[string]map[splitdate.Chunk]splitdate.Merged{name: {m.to: {States: m.states, Of: m.plan.Of}}}
	if err := s.publish(ctx, step); err != nil {
		return err
	}
	s.log.Info().Str("aggregate", name).Int("chunks", len(m.plan.Of)).Uint64("states", m.plan.Before).Uint64("merged", m.states).Msg("merged")
	return nil
}

// growthOfFine is how much larger an aggregate has to be before it is asked again whether merging pays.
const growthOfFine = 2
