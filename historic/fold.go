package historic

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/tidemark-db/tidemark/internal/warehouse"
	"github.com/tidemark-db/tidemark/splitdate"
	"github.com/tidemark-db/tidemark/sql"
)

// Fold is a rebuild of some HISTORIC chunks: their live rows, and the rows that LATE had when the fold began, become one
// new chunk per period. It is built beside the ticks. What changes meanwhile is in the journal, the pieces of the ticks
// since; when the fold is published, those keys are masked in the new chunks and stay where the ticks put them. Readers of
// older marks keep the old chunks.
type Fold struct {
	From  []splitdate.Chunk // HISTORIC chunks that go
	Masks []splitdate.Chunk // that there were
	Late  []splitdate.Chunk // frozen

	rest  *splitdate.Range // the rows of From that stay are those outside it; nil: all of them
	built map[splitdate.Chunk]splitdate.Meta
}

// Frozen are the chunks that must stay until the fold has ended, listed or not.
func (f Fold) Frozen() []splitdate.Chunk { return slices.Concat(f.From, f.Masks, f.Late) }

// Built are the chunks of the fold.
func (f Fold) Built() []splitdate.Chunk {
	out := make([]splitdate.Chunk, 0, len(f.built))
	for c := range f.built {
		out = append(out, c)
	}
	slices.Sort(out)
	return out
}

// maxPeriodChunks is how many chunks whose rows end in one period may lie side by side before the small ones are merged.
const maxPeriodChunks = 8

// Freeze chooses what to fold: of the chunks that may hold rows of the range, every dirty one and the small ones that rolls
// left where there are many; and all of LATE. ok is false when there is nothing to do.
func Freeze(state splitdate.Table, rng splitdate.Range, period func(splitdate.Instant) int64) (f Fold, ok bool) {
	outside := func(c splitdate.Chunk) bool { return !state.Mirrored && !rng.Overlaps(state.Chunks[c]) }
	f = Fold{From: slices.DeleteFunc(slices.Clone(state.Dirty), outside), Masks: slices.Clone(state.Masks), Late: slices.Clone(state.Late)}
	periods := map[int64][]splitdate.Chunk{}
	for _, c := range state.Clean {
		if outside(c) {
			continue
		}
		p := period(state.Chunks[c].To)
		periods[p] = append(periods[p], c)
	}
	for _, chunks := range periods {
		f.From = append(f.From, crowd(state, chunks)...)
	}
	return f, len(f.From)+len(f.Late) > 0
}

// crowd picks, from the smallest on, the chunks that are no larger than what is merged already, if there are many: a row
// is rewritten a logarithmic number of times.
func crowd(state splitdate.Table, chunks []splitdate.Chunk) (merge []splitdate.Chunk) {
	if len(chunks) <= maxPeriodChunks {
		return nil
	}
	slices.SortFunc(chunks, func(a, b splitdate.Chunk) int { return cmp.Compare(state.Chunks[a].Rows, state.Chunks[b].Rows) })
	total := uint64(0)
	for i, c := range chunks {
		if rows := state.Chunks[c].Rows; i < 2 || rows <= total {
			merge = append(merge, c)
			total += rows
		}
	}
	return merge
}

// FreezeRange chooses what a load of a range replaces: every HISTORIC chunk with rows of it. Their other rows become new
// chunks as in a fold; the loaded ones join them by Join.
func (a *Archive) FreezeRange(ctx context.Context, state splitdate.Table, r splitdate.Range) (Fold, error) {
	f := Fold{Masks: slices.Clone(state.Masks), rest: &r}
	params := r.Params(splitdate.Since{})
	params["historic"] = warehouse.Array(state.Historic())
	err := a.db.Query(ctx, a.table.ChunksInRange(), params, func(row warehouse.Rows) error {
		var c uint64
		err := row.Scan(&c)
		f.From = append(f.From, splitdate.Chunk(c))
		return err
	})
	for _, c := range state.Historic() { // one that has lost all its rows of the range is damaged and goes too
		if (state.Mirrored || r.Overlaps(state.Chunks[c])) && !slices.Contains(f.From, c) {
			f.From = append(f.From, c)
		}
	}
	return f, err
}

// Join adds loaded chunks to those of the fold.
func (f *Fold) Join(chunks []splitdate.Chunk, metas map[splitdate.Chunk]splitdate.Meta) {
	if f.built == nil {
		f.built = map[splitdate.Chunk]splitdate.Meta{}
	}
	for _, c := range chunks {
		f.built[c] = metas[c]
	}
}

// Build writes the chunks of the fold. It runs beside the ticks and needs nothing but what the fold froze; where rows of a
// range are replaced, since tells which of those that were not loaded stay all the same.
func (a *Archive) Build(ctx context.Context, f *Fold, since splitdate.Since) error {
	params := warehouse.Params{}
	periodsOf, fold := a.table.FoldPeriods(), a.table.Fold()
	if f.rest != nil {
		params = f.rest.Params(since)
		params["loaded_historic"] = warehouse.Array(since.Loaded)
		periodsOf, fold = a.table.FoldRestPeriods(), a.table.FoldRest()
	}
	params["from"], params["masks"], params["late"] = warehouse.Array(f.From), warehouse.Array(f.Masks), warehouse.Array(f.Late)
	var periods []int64
	err := a.db.Query(ctx, periodsOf, params, func(r warehouse.Rows) error {
		var p int64
		err := r.Scan(&p)
		periods = append(periods, p)
		return err
	})
	if err != nil || len(periods) == 0 {
		return err
	}
	slices.Sort(periods)
	chunks := make([]splitdate.Chunk, len(periods))
	for i := range periods {
		chunks[i] = a.numbers().Settled()
	}
	params["periods"], params["to"] = signed(periods), warehouse.Array(chunks)
	f.Join(chunks, nil) // from here on they may be there
	if err := a.db.Exec(ctx, fold, params); err != nil {
		return err
	}
	metas, err := splitdate.CountChunks(ctx, a.db, a.table, chunks)
	f.Join(chunks, metas)
	maps.DeleteFunc(f.built, func(_ splitdate.Chunk, meta splitdate.Meta) bool { return meta.Rows == 0 })
	return err
}

func signed(list []int64) string {
	out := make([]string, len(list))
	for i, v := range list {
		out[i] = warehouse.I64(v)
	}
	return "[" + joined(out) + "]"
}

func joined(parts []string) string {
	out := ""
	for i, p := range parts {
		if i > 0 {
			out += ","
		}
		out += p
	}
	return out
}

// Publish adds to the delta what makes a built fold live: the new chunks for the old ones, and masks on what changed since
// the freeze.
func (a *Archive) Publish(ctx context.Context, state splitdate.Table, f Fold, journal []splitdate.Chunk, d *splitdate.Delta) error {
	for c, meta := range f.built {
		d.AddHistoric = append(d.AddHistoric, c)
		d.Write(c, meta)
	}
	slices.Sort(d.AddHistoric)
	return a.carry(ctx, state, f, nil, journal, d)
}

// carry drops the chunks that a fold folds, and their masks. Of the other masks, listed or fresh, and of those on rows of built
// chunks whose keys are in the journal, it makes one chunk.
func (a *Archive) carry(ctx context.Context, state splitdate.Table, f Fold, fresh, journal []splitdate.Chunk, d *splitdate.Delta) error {
	to := a.numbers()
	err := a.db.Exec(ctx, a.table.FoldMasks(), warehouse.Params{
		"to": warehouse.U64(to), "masks": warehouse.Array(slices.Concat(state.Masks, fresh)), "from": warehouse.Array(f.From),
		"built": warehouse.Array(f.Built()), "journal": warehouse.Array(journal),
	})
	if err != nil {
		return err
	}
	masked, err := a.masked(ctx, to)
	d.DropHistoric, d.DropMasks, d.Masked = f.From, state.Masks, slices.Sorted(maps.Keys(masked))
	d.Scratch = map[sql.Region][]splitdate.Chunk{sql.Masks: fresh}
	if rows := total(masked); rows > 0 {
		d.AddMasks = []splitdate.Chunk{to}
		d.Write(to, splitdate.Meta{Rows: rows})
	}
	return err
}

// Check compares the number of rows before and after: a fold changes where rows lie, never how many there are.
func Check(before, after splitdate.Table) error {
	if before.Live() != after.Live() {
		return fmt.Errorf("fold: %d live rows became %d: %w", before.Live(), after.Live(), splitdate.ErrInvariant)
	}
	return nil
}
