package splitdate

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/tidemark-db/tidemark/internal/fault"
	"github.com/tidemark-db/tidemark/internal/warehouse"
	"github.com/tidemark-db/tidemark/sql"
)

// ErrFenced says that another writer's mark is newer: this writer must stop, and whatever it wrote since its last mark
// is garbage that no mark lists.
var ErrFenced = errors.New("another tidemark has taken over")

// Store reads and publishes marks.
type Store struct{ db *warehouse.Conn }

// NewStore returns the store of the connection's database.
func NewStore(db *warehouse.Conn) *Store { return &Store{db: db} }

// Newest reads the newest mark; ok is false when there is none yet, or not even a table for it. A mark of a newer format
// is refused.
func (s *Store) Newest(ctx context.Context) (m Mark, ok bool, err error) {
	names := s.db.Database()
	var tables uint64
	err = s.db.Query(ctx, names.FindTable(), warehouse.Params{"database": string(names), "name": "split_date"},
		func(r warehouse.Rows) error { return r.Scan(&tables) })
	if err != nil || tables == 0 {
		return m, false, err
	}
	var format uint16
	err = s.db.Query(ctx, names.ReadMarkFormat(), nil, func(r warehouse.Rows) error { ok = true; return r.Scan(&format) })
	if err != nil || !ok {
		return m, false, err
	}
	if format > Format {
		return m, false, fault.New("run the newer tidemark that wrote it; an older one must not touch its tables",
			"the marks in %s have format %d, this tidemark knows formats up to %d", names.SplitDate(), format, Format)
	}
	err = s.db.Query(ctx, names.ReadMark(), nil, func(r warehouse.Rows) error { m, err = scanMark(r); return err })
	return m, err == nil, err
}

// scanMark reads a row of read_mark.sql.
func scanMark(r warehouse.Rows) (Mark, error) {
	var (
		m                      Mark
		term, epoch, lsn       uint64
		commit, written        int64
		texts                  [5]string // tables, chunks, aggregates, states, loads
		system, database, slot string
		timeline               int32
		views                  map[string]tableRow
		metas                  map[string]map[Chunk]metaRow
		aggregates             map[string]aggregateRow
		states                 map[string]map[Chunk]statesRow
	)
	if err := r.Scan(&m.Format, &term, &epoch, &lsn, &commit, &written, &system, &timeline, &database, &slot, &texts[0], &texts[1], &texts[2], &texts[3], &texts[4]); err != nil {
		return m, err
	}
	m.Term, m.Epoch, m.LSN, m.CommitTime = Term(term), Epoch(epoch), LSN(lsn), Instant(commit).Time()
	m.Source = Source{SystemID: system, Timeline: timeline, Database: database, Slot: slot}
	for i, to := range []any{&views, &metas, &aggregates, &states, &m.Loads} {
		if err := json.Unmarshal([]byte(texts[i]), to); err != nil {
			return m, fmt.Errorf("decode %s: %w", m, err)
		}
	}
	if len(m.Loads) == 0 {
		m.Loads = nil
	}
	m.Tables = make(map[string]Table, len(views))
	for name, v := range views {
		t, err := v.table(metas[name], m.Format)
		if err != nil {
			return m, fmt.Errorf("decode table %s of %s: %w", name, m, err)
		}
		m.Tables[name] = t
	}
	m.Aggregates = make(map[string]Aggregate, len(aggregates))
	for name, v := range aggregates {
		a := v.aggregate(states[name])
		if got := a.rows(m.Tables[a.Table], m.Format); got != v.Rows {
			return m, fmt.Errorf("decode aggregate %s of %s: %w", name, m, violation("the mark counts %d rows, its chunks %d", v.Rows, got))
		}
		m.Aggregates[name] = a
	}
	return m, m.Check()
}

type metaRow struct {
	Rows uint64 `json:"rows"`
	From int64  `json:"from"`
	To   int64  `json:"to"`
}

type tableRow struct {
	Split *string `json:"split"`
	Clean []Chunk `json:"clean"`
	Dirty []Chunk `json:"dirty"`
	Masks []Chunk `json:"masks"`
	Late  []Chunk `json:"late"`
	RT    []Chunk `json:"rt"`
	Rows  uint64  `json:"rows"`
	Shape uint64  `json:"shape"`

	Narrowed uint64 `json:"narrowed"`
}

type aggregateRow struct {
	Table      string `json:"table"`
	Definition string `json:"definition"`
	Rows       uint64 `json:"rows"`
}

type statesRow struct {
	Rows uint64  `json:"rows"`
	Of   []Chunk `json:"of"`
}

func (v aggregateRow) aggregate(states map[Chunk]statesRow) Aggregate {
	a := Aggregate{Table: v.Table, Definition: v.Definition, States: map[Chunk]uint64{}, Merged: map[Chunk]Merged{}}
	for c, s := range states {
		if len(s.Of) > 0 {
			a.Merged[c] = Merged{States: s.Rows, Of: s.Of}
		} else {
			a.States[c] = s.Rows
		}
	}
	return a
}

func (v tableRow) table(metas map[Chunk]metaRow, format uint16) (Table, error) {
	t := Table{Mirrored: v.Split == nil, Clean: v.Clean, Dirty: v.Dirty, Masks: v.Masks, Late: v.Late, RT: v.RT, Chunks: map[Chunk]Meta{}, Shape: v.Shape, Narrowed: LSN(v.Narrowed)}
	if v.Split != nil {
		at, err := time.Parse("2006-01-02 15:04:05.000000", *v.Split)
		if err != nil {
			return t, fmt.Errorf("decode split date: %w", err)
		}
		t.Split = InstantOf(at)
	}
	for c, m := range metas {
		t.Chunks[c] = Meta{Rows: m.Rows, From: Instant(m.From), To: Instant(m.To)}
	}
	if got := t.counted(format); got != v.Rows {
		return t, violation("the mark counts %d rows, its chunks %d", v.Rows, got)
	}
	return t, nil
}

// Claim begins a term of its own for a writer and publishes the mark with which it begins: the newest one's state. From
// then on no writer of an older term can publish anything, however late it wakes up:
//
//   - The term is written down first, and it is the caller's only if nobody else wrote it down too.
//   - A mark is inserted only while its term is the newest one written down; what was past that check by then is ended
//     and awaited. So the newest mark, read after that, is the last of the older terms.
//
// It sets the connection's term.
func (s *Store) Claim(ctx context.Context, first Mark) (Mark, Instant, error) {
	term, err := s.beginTerm(ctx)
	if err != nil {
		return Mark{}, 0, err
	}
	s.db.SetTerm(uint64(term))
	names := s.db.Database()
	if err := s.db.Exec(ctx, names.KillOlderTerms(), warehouse.Params{"prefix": s.db.QueryPrefix(), "current": s.db.TermPrefix()}); err != nil {
		return Mark{}, 0, fmt.Errorf("end the statements of older terms: %w", err)
	}
	prev, ok, err := s.Newest(ctx)
	if err != nil {
		return Mark{}, 0, err
	}
	switch {
	case !ok:
		prev = first
		prev.Format = Format
	case prev.Source != first.Source:
		return Mark{}, 0, fmt.Errorf("another source's bridge began here at the same time: %w", ErrFenced)
	}
	next := prev.Claim(term)
	now, err := s.Publish(ctx, prev, next)
	return next, now, err
}

// beginTerm writes the next term down and returns it, or ErrFenced where another writer wrote down the same.
func (s *Store) beginTerm(ctx context.Context) (Term, error) {
	newest, _, err := s.newestWriters(ctx)
	if err != nil {
		return 0, err
	}
	mark, _, err := s.Newest(ctx)
	if err != nil {
		return 0, err
	}
	term, writer := max(newest, mark.Term)+1, rand.Uint64()
	err = s.db.Exec(ctx, s.db.Database().InsertWriter(), warehouse.Params{"term": warehouse.U64(term), "writer": warehouse.U64(writer)})
	if err != nil {
		return 0, fmt.Errorf("begin term %d: %w", term, err)
	}
	newest, writers, err := s.newestWriters(ctx)
	if err == nil && (newest != term || !slices.Equal(writers, []uint64{writer})) {
		err = fmt.Errorf("begin term %d: %d writers began term %d: %w", term, len(writers), newest, ErrFenced)
	}
	return term, err
}

func (s *Store) newestWriters(ctx context.Context) (newest Term, writers []uint64, err error) {
	err = s.db.Query(ctx, s.db.Database().NewestWriters(), nil, func(r warehouse.Rows) error {
		return r.Scan((*uint64)(&newest), &writers)
	})
	return newest, writers, err
}

// Publish inserts next if the newest mark is still prev and no newer term has begun: the commit point. Otherwise its error
// wraps ErrFenced. After any other error it is open whether the mark arrived; Newest tells. The Instant is ClickHouse's
// clock (µs, UTC), read after the mark was there.
func (s *Store) Publish(ctx context.Context, prev, next Mark) (Instant, error) {
	names := s.db.Database()
	if err := s.db.Exec(ctx, names.InsertMark(), params(prev, next)); err != nil {
		return 0, fmt.Errorf("publish %s: %w", next, err)
	}
	var term, epoch uint64
	var now int64
	err := s.db.Query(ctx, names.NewestMark(), nil, func(r warehouse.Rows) error { return r.Scan(&term, &epoch, &now) })
	if err != nil {
		return 0, fmt.Errorf("confirm %s: %w", next, err)
	}
	if Term(term) != next.Term || Epoch(epoch) != next.Epoch {
		return 0, fmt.Errorf("publish %s: the newest mark is (%d, %d): %w", next, term, epoch, ErrFenced)
	}
	return Instant(now), nil
}

func params(prev, next Mark) warehouse.Params {
	src := next.Source
	return warehouse.Params{
		"format": strconv.Itoa(int(next.Format)), "term": warehouse.U64(next.Term), "epoch": warehouse.U64(next.Epoch),
		"lsn": warehouse.U64(next.LSN), "commit_time": warehouse.I64(InstantOf(next.CommitTime)),
		"source":        fmt.Sprintf("(%s,%d,%s,%s)", sql.Literal(src.SystemID), src.Timeline, sql.Literal(src.Database), sql.Literal(src.Slot)),
		"tables":        mapText(next.Tables, func(t Table) string { return tableText(t, next.Format) }),
		"masked":        mapText(next.Tables, func(t Table) string { return warehouse.U64(t.Rows(t.Masks)) }),
		"chunks":        mapText(next.Tables, func(t Table) string { return chunksText(t.Chunks) }),
		"aggregates":    mapText(next.Aggregates, func(a Aggregate) string { return aggregateText(a, next.Tables[a.Table], next.Format) }),
		"states":        mapText(next.Aggregates, statesText),
		"loads":         loadsText(next.Loads),
		"previous_term": warehouse.U64(prev.Term), "previous_epoch": warehouse.U64(prev.Epoch),
	}
}

// loadsText is JSON: nobody but the next session of the bridge reads it.
func loadsText(loads map[string]Load) string {
	if len(loads) == 0 {
		return "{}"
	}
	text, err := json.Marshal(loads)
	if err != nil {
		panic(fmt.Sprintf("encode loads: %v", err)) // plain values all of them
	}
	return string(text)
}

func mapText[T any](items map[string]T, text func(T) string) string {
	parts := make([]string, 0, len(items))
	for _, name := range slices.Sorted(maps.Keys(items)) {
		parts = append(parts, sql.Literal(name)+":"+text(items[name]))
	}
	return "{" + strings.Join(parts, ",") + "}"
}

func tableText(t Table, format uint16) string {
	split := "NULL"
	if !t.Mirrored {
		split = "'" + t.Split.String() + "'"
	}
	return fmt.Sprintf("(%s,%s,%s,%s,%s,%s,%d,%d,%d)", split, warehouse.Array(t.Clean), warehouse.Array(t.Dirty),
		warehouse.Array(t.Masks), warehouse.Array(t.Late), warehouse.Array(t.RT), t.counted(format), t.Shape, uint64(t.Narrowed))
}

func chunksText(chunks map[Chunk]Meta) string {
	parts := make([]string, 0, len(chunks))
	for _, c := range slices.Sorted(maps.Keys(chunks)) {
		m := chunks[c]
		parts = append(parts, fmt.Sprintf("%d:(%d,%d,%d)", c, m.Rows, m.From, m.To))
	}
	return "{" + strings.Join(parts, ",") + "}"
}

func aggregateText(a Aggregate, t Table, format uint16) string {
	return fmt.Sprintf("(%s,%s,%s,%d)", sql.Literal(a.Table), sql.Literal(a.Definition), warehouse.Array(a.Historic(t)), a.rows(t, format))
}

func statesText(a Aggregate) string {
	parts := make([]string, 0, len(a.States)+len(a.Merged))
	for _, c := range slices.Sorted(maps.Keys(a.States)) {
		parts = append(parts, fmt.Sprintf("%d:(%d,[])", c, a.States[c]))
	}
	for _, c := range slices.Sorted(maps.Keys(a.Merged)) {
		parts = append(parts, fmt.Sprintf("%d:(%d,%s)", c, a.Merged[c].States, warehouse.Array(a.Merged[c].Of)))
	}
	return "{" + strings.Join(parts, ",") + "}"
}

// Kept returns the chunks that the marks still in split_date list, by table and by aggregate, the first epoch among them,
// and ClickHouse's clock.
func (s *Store) Kept(ctx context.Context) (listed map[string]map[Chunk]bool, first Epoch, now Instant, err error) {
	listed = map[string]map[Chunk]bool{}
	err = s.db.Query(ctx, s.db.Database().ListMarks(), nil, func(r warehouse.Rows) error {
		var epoch uint64
		var at int64
		var chunks, states string
		if err := r.Scan(&epoch, &at, &chunks, &states); err != nil {
			return err
		}
		if now = Instant(at); first == 0 {
			first = Epoch(epoch)
		}
		for _, text := range []string{chunks, states} {
			var found map[string]map[Chunk]json.RawMessage
			if err := json.Unmarshal([]byte(text), &found); err != nil {
				return fmt.Errorf("decode chunks of mark %d: %w", epoch, err)
			}
			for name, of := range found {
				if listed[name] == nil {
					listed[name] = map[Chunk]bool{}
				}
				for c := range of {
					listed[name][c] = true
				}
			}
		}
		return nil
	})
	return listed, first, now, err
}
