package bridge

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/tidemark-db/tidemark/internal/load"
	"github.com/tidemark-db/tidemark/splitdate"
)

// ages says which rows of a state are kept although the source deletes them, and which are too old to be there. Both are
// measured as rolls measure: from where the split date would be without a window. So they never go back, and a mark alone
// tells them.
func (t *table) ages(state splitdate.Table) splitdate.Ages {
	now := state.Split + microseconds(t.cfg.RTWindow)
	out := splitdate.Ages{Keep: splitdate.Ancient, Oldest: splitdate.Ancient}
	if t.sql.KeepsOld {
		out.Keep = max(out.Keep, now-microseconds(t.cfg.KeepOlderThan))
	}
	if t.sql.Retains {
		out.Oldest = max(out.Oldest, load.PeriodStart(t.sql)(now-microseconds(t.cfg.Retain)))
	}
	return out
}

func microseconds(d time.Duration) splitdate.Instant { return splitdate.Instant(d.Microseconds()) }

// retained is the range of the rows of a state that are not too old to be there.
func (t *table) retained(state splitdate.Table) splitdate.Range {
	out := splitdate.Everything
	if t.sql.Retains {
		out.From = t.ages(state).Oldest
	}
	return out
}

// takeOut writes the chunks of a state without the rows of a range, and returns that state too. What the range covers goes
// as it is; only chunks that reach beyond it are written anew.
func (s *session) takeOut(ctx context.Context, t *table, state splitdate.Table, rng splitdate.Range) (d splitdate.Delta, rest splitdate.Table, err error) {
	since := splitdate.Since{Keep: splitdate.Ancient}
	fold, err := t.archive.FreezeRange(ctx, state, rng)
	if err != nil {
		return d, rest, err
	}
	if err := t.archive.Build(ctx, &fold, since); err != nil {
		return d, rest, err
	}
	if err := t.archive.Publish(ctx, state, fold, nil, &d); err != nil {
		return d, rest, err
	}
	if err := t.window.Replace(ctx, state, nil, rng, since, &d); err != nil {
		return d, rest, err
	}
	rest, err = state.Apply(d)
	return d, rest, err
}

// dropOld adds to a delta what drops the rows that the state after it makes too old, if there are any. While something is
// being built of the table, its old rows wait.
func (s *session) dropOld(ctx context.Context, t *table, state splitdate.Table, d splitdate.Delta) (splitdate.Delta, error) {
	if !t.sql.Retains || t.busy() {
		return d, nil
	}
	after, err := state.Apply(d)
	if err != nil {
		return d, fmt.Errorf("table %s: %w", t.sql.Source, err)
	}
	old := splitdate.Range{From: splitdate.Everything.From, To: t.ages(after).Oldest}
	if !slices.ContainsFunc(slices.Concat(after.Historic(), after.Late), func(c splitdate.Chunk) bool { return old.Overlaps(after.Chunks[c]) }) {
		return d, nil
	}
	gone, rest, err := s.takeOut(ctx, t, after, old)
	if err != nil {
		return d, fmt.Errorf("drop the rows of %s before %s: %w", t.sql.Source, old.To, err)
	}
	s.log.Info().Str("table", t.sql.Source).Stringer("before", old.To).Uint64("rows", after.Live()-rest.Live()).Msg("dropped what is older than retain")
	return d.Then(gone), nil
}
