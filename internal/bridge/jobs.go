package bridge

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/tidemark-db/tidemark/internal/fault"
	"github.com/tidemark-db/tidemark/internal/observe"
	"github.com/tidemark-db/tidemark/internal/warehouse"
	"github.com/tidemark-db/tidemark/splitdate"
)

// job begins what a command asks for. All but a roll is answered when its last part is published.
func (s *session) job(ctx context.Context, j job) error {
	if j.kind == jobRoll {
		rolled, err := s.roll(ctx)
		j.reply <- jobResult{rolled: rolled, err: err}
		return err
	}
	tables, err := s.requested(j.request.Table)
	if err != nil {
		j.reply <- jobResult{err: err}
		return nil
	}
	if j.kind == jobResync && !j.request.FromSource {
		s.resyncs = append(s.resyncs, &resync{waiting: tables, rng: j.request.dates(), reply: j.reply})
		s.nextFold(ctx)
		return nil
	}
	want := compare
	if j.kind == jobResync {
		want = replace
	}
	w, err := s.newWalk(want, tables, j)
	if err != nil {
		j.reply <- jobResult{err: err}
		return nil
	}
	s.beginWalk(ctx, w)
	return nil
}

// requested finds the tables that a request names.
func (s *session) requested(name string) ([]*table, error) {
	if name == "" {
		return slices.Clone(s.tables), nil
	}
	var found []*table
	for _, t := range s.tables {
		if t.sql.Source == name {
			return []*table{t}, nil
		}
		if t.cfg.Name.Name == name {
			found = append(found, t)
		}
	}
	switch len(found) {
	case 1:
		return found, nil
	case 0:
		return nil, fault.New("name one of "+s.tableNames(), "there is no table %q: %w", name, errNoTable)
	default:
		return nil, fault.New("write the schema before the name", "several tables are called %q: %w", name, errNoTable)
	}
}

func (s *session) tableNames() string {
	names := make([]string, len(s.tables))
	for i, t := range s.tables {
		names[i] = t.sql.Source
	}
	return strings.Join(names, ", ")
}

// newWalk returns a walk over all of what was asked for. A table that no mark shows is an error: nothing can be said of it.
func (s *session) newWalk(want intent, tables []*table, j job) (*walk, error) {
	w := &walk{intent: want, perSec: s.cfg.Limits.CopyRowsPerSecond, reply: j.reply}
	for _, t := range tables {
		if !s.live(t) {
			return nil, fault.New("wait until it is, tidemark status tells; or name another table with --table",
				"table %s is not loaded, or is held and being loaded again: %w", t.sql.Source, errNotLive)
		}
		w.parts = append(w.parts, s.parts(t, j.request.dates())...)
	}
	return w, nil
}

// errNotLive is in the chain of errors about a table that no mark shows.
var errNotLive = errors.New("no state to work on")

// failJobs answers those who wait when the session ends. After an end that is nothing wrong they may ask the next one.
func (s *session) failJobs(end error) {
	why := end
	if !errors.Is(end, errRenewed) {
		what := "the bridge was stopped before this was done"
		if end != nil {
			what = "the bridge was interrupted before this was done: " + end.Error()
		}
		why = &fault.Error{What: what, Try: "ask for it again; tidemark status tells when the bridge is at work", Err: errInterrupted}
	}
	for _, r := range s.resyncs {
		if r.reply != nil {
			r.reply <- jobResult{folded: r.folded, err: why}
		}
	}
	for _, w := range s.walks {
		w.answer(why)
	}
}

// scheduledVerify walks all tables: first the rows of verify.last, then the rest, what was compared longest ago first. A walk
// that is still under way goes on: if each one began anew, the rest would never have its turn.
func (s *session) scheduledVerify(ctx context.Context) error {
	if slices.ContainsFunc(s.walks, func(w *walk) bool { return w.scheduled }) {
		return nil
	}
	w := &walk{intent: compare, perSec: s.cfg.Verify.RowsPerSecond, scheduled: true}
	if s.cfg.Verify.Repair {
		w.intent = repair
	}
	proofs, err := listProofs(ctx, s.db)
	if err != nil {
		return err
	}
	recent := splitdate.InstantOf(time.Now().Add(-s.cfg.Verify.Last))
	var older []part
	for _, t := range s.tables {
		if !s.live(t) {
			continue
		}
		for _, p := range s.parts(t, splitdate.Everything) {
			if p.rng.To > recent {
				w.parts = append(w.parts, p)
			} else {
				older = append(older, p)
			}
		}
	}
	slices.SortStableFunc(older, func(a, b part) int {
		return proofs.of(a).At.Compare(proofs.of(b).At)
	})
	w.parts = append(w.parts, older...)
	s.beginWalk(ctx, w)
	return nil
}

// proof is what is known of a part: when it was last compared with PostgreSQL, and how many rows differed then. The zero
// proof is of a part that never was.
type proof struct {
	At          time.Time
	Differences uint64
	until       splitdate.Instant
}

// proofs are by table and first instant of the part.
type proofs map[string]map[splitdate.Instant]proof

// of returns the proof of a whole part; one of its beginning alone, which somebody may have asked for, is none.
func (p proofs) of(a part) proof {
	found := p[a.table.sql.Source][a.rng.From]
	if found.until < a.rng.To {
		return proof{}
	}
	return found
}

func listProofs(ctx context.Context, db *warehouse.Conn) (proofs, error) {
	out := proofs{}
	err := db.Query(ctx, db.Database().ListVerified(), nil, func(r warehouse.Rows) error {
		var table string
		var since, until, at int64
		var differences uint64
		if err := r.Scan(&table, &since, &until, &at, &differences); err != nil {
			return err
		}
		if out[table] == nil {
			out[table] = map[splitdate.Instant]proof{}
		}
		out[table][splitdate.Instant(since)] = proof{At: splitdate.Instant(at).Time(), Differences: differences, until: splitdate.Instant(until)}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read when rows were last compared: %w", err)
	}
	return out, nil
}

// prove keeps what comparing, or loading, a part found out about it.
func (s *session) prove(ctx context.Context, r *rereading, outcome Reread) error {
	differences := 0
	if !outcome.Equal && !outcome.Replaced {
		differences = max(len(outcome.Differences), 1) // never a proof, even if no key differs
	}
	err := s.db.Exec(ctx, s.db.Database().InsertVerified(), warehouse.Params{
		"table": outcome.Table, "since": warehouse.I64(r.rng.From), "until": warehouse.I64(r.rng.To),
		"lsn": warehouse.U64(r.barrier), "rows": warehouse.U64(outcome.Rows), "differences": warehouse.U64(uint64(differences)),
	})
	if err != nil {
		return err
	}
	return s.showProofs(ctx)
}

// showProofs tells the observer what is proven. A part that began after the process did need not have been compared yet.
func (s *session) showProofs(ctx context.Context) error {
	known, err := listProofs(ctx, s.db)
	if err != nil {
		return err
	}
	for _, t := range s.tables {
		if !s.live(t) {
			continue
		}
		shown, complete := observe.Proof{Since: time.Now()}, true
		for _, p := range s.parts(t, splitdate.Everything) {
			found := known.of(p)
			shown.Differences += found.Differences
			if found.At.IsZero() {
				found.At = p.rng.From.Time()
				complete = complete && found.At.After(s.seen.Started())
			}
			if found.At.Before(shown.Since) {
				shown.Since = found.At
			}
		}
		if !complete {
			shown.Since = time.Time{}
		}
		s.seen.Proven(t.sql.Source, shown)
	}
	return nil
}
