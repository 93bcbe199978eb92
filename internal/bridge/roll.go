package bridge

import (
	"context"
	"fmt"
	"time"

	"github.com/tidemark-db/tidemark/internal/warehouse"
	"github.com/tidemark-db/tidemark/splitdate"
	"github.com/tidemark-db/tidemark/sql"
)

// Rolled is what a roll did to one table.
type Rolled struct {
	Table  string    `json:"table"`
	Before time.Time `json:"split_before"`
	After  time.Time `json:"split_after"`
	Rows   uint64    `json:"rows"` // that moved to HISTORIC
}

// farAhead is how much later than now the date of a row is that will not settle soon.
const farAhead = splitdate.Instant(24 * time.Hour / time.Microsecond)

// roll moves the split dates as far as the clocks allow, all in one mark.
func (s *session) roll(ctx context.Context) ([]Rolled, error) {
	step := splitdate.Step{LSN: s.mark.LSN, CommitTime: s.mark.CommitTime, Deltas: map[string]splitdate.Delta{}}
	now, err := s.settledClock(ctx, s.mark.CommitTime)
	if err != nil {
		return nil, err
	}
	began := time.Now()
	var rolled []Rolled
	for _, t := range s.tables {
		state, ok := s.mark.Tables[t.sql.Name]
		if !ok || s.holdsSplit(t, state) {
			continue
		}
		var d splitdate.Delta
		if split, due := s.due(t, state, now); due {
			if d, err = t.archive.Roll(ctx, state, split, now+farAhead); err != nil {
				return nil, err
			}
			rolled = append(rolled, describeRoll(t.sql, state, d))
		}
		if d, err = s.dropOld(ctx, t, state, d); err != nil {
			return nil, err
		}
		if !d.Empty() {
			step.Deltas[t.sql.Name] = d
		}
	}
	if len(step.Deltas) == 0 {
		return nil, nil
	}
	if err := s.publish(ctx, step); err != nil {
		return nil, err
	}
	s.seen.Rolled(time.Since(began))
	return rolled, nil
}

func describeRoll(t *sql.Table, before splitdate.Table, d splitdate.Delta) Rolled {
	r := Rolled{Table: t.Source, Before: before.Split.Time(), After: before.Split.Time()}
	if d.Split != nil {
		r.After = d.Split.Time()
	}
	for _, c := range d.AddHistoric {
		r.Rows += d.Written[c].Rows
	}
	return r
}

// minMirroredRoll is how many changed rows a mirrored table keeps in RT, where each tick may rewrite them, before they
// roll. A larger table keeps more, so that the number of its chunks grows with the logarithm of its size.
const minMirroredRoll = 100_000

// due says whether a table has to roll, and to which split date.
func (s *session) due(t *table, state splitdate.Table, now splitdate.Instant) (splitdate.Instant, bool) {
	if state.Mirrored {
		rows := state.Rows(state.RT)
		return state.Split, rows > minMirroredRoll && rows > state.Rows(state.Historic())/8
	}
	split := s.splitAt(t, now)
	return split, split > state.Split
}

// splitAt is the split date of a table at an instant: rt_window before it, on a multiple of split_step; of a table with
// dates alone, on a midnight of its zone.
func (s *session) splitAt(t *table, now splitdate.Instant) splitdate.Instant {
	at := now - splitdate.Instant(t.cfg.RTWindow.Microseconds())
	if typ := t.sql.DateType(); typ.Kind == sql.KindDate || typ.Kind == sql.KindDate32 {
		y, m, d := at.Time().In(typ.Zone).Date()
		return splitdate.InstantOf(time.Date(y, m, d, 0, 0, 0, 0, typ.Zone))
	}
	step := splitdate.Instant(s.cfg.SplitStep.Microseconds())
	if rest := at % step; rest < 0 {
		return at - rest - step
	} else {
		return at - rest
	}
}

// maxClockGap is how far ClickHouse's clock and ours may differ before rolls pause.
const maxClockGap = 5 * time.Minute

// settledClock is the clock by which rows settle: the smallest of the commit time of the applied position, our clock and
// ClickHouse's. A clock that runs ahead cannot settle a row early; a catch-up rolls as it goes.
func (s *session) settledClock(ctx context.Context, applied time.Time) (splitdate.Instant, error) {
	var server int64
	err := s.db.Query(ctx, s.db.Database().ServerClock(), nil, func(r warehouse.Rows) error { return r.Scan(&server) })
	if err != nil {
		return 0, fmt.Errorf("read ClickHouse's clock: %w", err)
	}
	now, gap := settled(splitdate.InstantOf(applied), splitdate.InstantOf(time.Now()), splitdate.Instant(server))
	if now == 0 {
		s.log.Warn().Dur("gap", gap).Msg("ClickHouse's clock and ours differ; the split dates stay until they agree")
	}
	return now, nil
}

// settled is the smallest of three clocks: PostgreSQL's, as the applied commits show it, ours and ClickHouse's. It is 0,
// before which nothing settles, when the last two are too far apart for either to be believed.
func settled(applied, ours, server splitdate.Instant) (now splitdate.Instant, gap time.Duration) {
	gap = time.Duration(ours-server) * time.Microsecond
	if gap.Abs() > maxClockGap {
		return 0, gap
	}
	return min(applied, ours, server), gap
}
