package rtwindow

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/tidemark-db/tidemark/cdc"
	"github.com/tidemark-db/tidemark/splitdate"
	"github.com/tidemark-db/tidemark/sql"
)

// items is a table with columns a (the key), b and c, whose relation has them in another order, and one column more.
func items(t *testing.T, key ...string) (*sql.Table, *cdc.Relation) {
	t.Helper()
	text := sql.Type{Name: "String", Kind: sql.KindString}
	table, err := sql.NewTable(sql.TableConfig{
		Database: "shop", Source: "public.items", Name: "items", Key: key,
		Columns: []sql.Column{{Name: "a", Type: text}, {Name: "b", Type: text}, {Name: "c", Type: text}},
	})
	if err != nil {
		t.Fatal(err)
	}
	return table, &cdc.Relation{Schema: "public", Name: "items", Columns: []cdc.RelationColumn{{Name: "c"}, {Name: "extra"}, {Name: "b"}, {Name: "a"}}}
}

// tuple reads "a b c": ~ is an unchanged value, - is NULL.
func tuple(s string) cdc.Tuple {
	if s == "" {
		return nil
	}
	f := strings.Fields(s)
	value := func(s string) cdc.Value {
		switch s {
		case "~":
			return cdc.Value{Kind: cdc.Unchanged}
		case "-":
			return cdc.Value{Kind: cdc.Null}
		}
		return cdc.NewValue(cdc.Text, []byte(s))
	}
	return cdc.Tuple{value(f[2]), value("extra"), value(f[1]), value(f[0])}
}

// change reads "I new", "U new", "U old > new", "F old > new" (an update with the full old row) and "D old".
func change(r *cdc.Relation, s string) *cdc.Event {
	op, rest, _ := strings.Cut(s, " ")
	e := &cdc.Event{Kind: cdc.Change, Relation: r, LSN: 7, Ordinal: 1}
	switch old, row, both := strings.Cut(rest, " > "); {
	case op == "D":
		e.Op, e.Old = cdc.Delete, tuple(rest)
	case op == "I":
		e.Op, e.New = cdc.Insert, tuple(rest)
	case both:
		e.Op, e.Old, e.New, e.OldFull = cdc.Update, tuple(old), tuple(row), op == "F"
	default:
		e.Op, e.New = cdc.Update, tuple(rest)
	}
	return e
}

func show(c *Changes) (out []string) {
	for _, e := range c.entries {
		text := map[bool]string{true: "insert", false: "other"}[e.insert]
		if !e.live {
			text += " dead " + string(e.row[0].Text())
		} else {
			text += " live"
			for _, v := range e.row {
				text += " " + map[cdc.ValueKind]string{cdc.Text: string(v.Text()), cdc.Null: "-", cdc.Unchanged: "~"}[v.Kind]
			}
		}
		if e.source != nil {
			text += fmt.Sprintf(" from %s", e.source[0].Text())
		}
		out = append(out, text)
	}
	return out
}

func TestChanges(t *testing.T) {
	for name, c := range map[string]struct{ changes, want []string }{
		"insert":                       {[]string{"I 1 x y"}, []string{"insert live 1 x y"}},
		"insert, update":               {[]string{"I 1 x y", "U 1 z -"}, []string{"insert live 1 z -"}},
		"insert, delete":               {[]string{"I 1 x y", "D 1 - -"}, []string{"insert dead 1"}},
		"insert, delete, insert":       {[]string{"I 1 x y", "D 1 - -", "I 1 p q"}, []string{"insert live 1 p q"}},
		"delete, insert":               {[]string{"D 1 - -", "I 1 p q"}, []string{"other live 1 p q"}},
		"delete, insert, delete":       {[]string{"D 1 - -", "I 1 p q", "D 1 - -"}, []string{"other dead 1"}},
		"update":                       {[]string{"U 1 x y"}, []string{"other live 1 x y"}},
		"unchanged":                    {[]string{"U 1 x ~"}, []string{"other live 1 x ~ from 1"}},
		"unchanged twice":              {[]string{"U 1 x ~", "U 1 z ~"}, []string{"other live 1 z ~ from 1"}},
		"unchanged after insert":       {[]string{"I 1 x y", "U 1 z ~"}, []string{"insert live 1 z y"}},
		"unchanged after update":       {[]string{"U 1 x y", "U 1 ~ w"}, []string{"other live 1 x w"}},
		"unchanged, then changed":      {[]string{"U 1 x ~", "U 1 ~ w"}, []string{"other live 1 x w"}},
		"unchanged with the old row":   {[]string{"F 1 x y > 1 z ~"}, []string{"other live 1 z y"}},
		"key change":                   {[]string{"U 1 - - > 2 x y"}, []string{"other dead 1", "insert live 2 x y"}},
		"key change, unchanged":        {[]string{"U 1 - - > 2 x ~"}, []string{"other dead 1", "insert live 2 x ~ from 1"}},
		"key chain, unchanged":         {[]string{"U 1 - - > 2 x ~", "U 2 - - > 3 z ~"}, []string{"other dead 1", "insert dead 2", "insert live 3 z ~ from 1"}},
		"key change and back":          {[]string{"U 1 - - > 2 x ~", "U 2 - - > 1 z ~"}, []string{"other live 1 z ~ from 1", "insert dead 2"}},
		"swap through a third":         {[]string{"U 1 - - > 9 x ~", "U 2 - - > 1 y ~", "U 9 - - > 2 x ~"}, []string{"other live 1 y ~ from 2", "insert dead 9", "other live 2 x ~ from 1"}},
		"key change after an insert":   {[]string{"I 1 x y", "U 1 - - > 2 z ~"}, []string{"insert dead 1", "insert live 2 z y"}},
		"old row, same key":            {[]string{"F 1 x y > 1 p q"}, []string{"other live 1 p q"}},
		"old row, key change":          {[]string{"F 1 x y > 2 p ~"}, []string{"other dead 1", "insert live 2 p y"}},
		"two keys":                     {[]string{"I 1 x y", "I 2 x y"}, []string{"insert live 1 x y", "insert live 2 x y"}},
		"delete of a new unresolved":   {[]string{"U 1 - - > 2 x ~", "D 2 - -"}, []string{"other dead 1", "insert dead 2"}},
		"insert over an unresolved":    {[]string{"U 1 x ~", "D 1 - -", "I 1 p q"}, []string{"other live 1 p q"}},
		"insert over a moved-away row": {[]string{"U 1 - - > 2 x ~", "I 1 p q"}, []string{"other live 1 p q", "insert live 2 x ~ from 1"}},
	} {
		t.Run(name, func(t *testing.T) {
			table, relation := items(t, "a")
			changes := NewChanges(table)
			for _, s := range c.changes {
				if err := changes.Add(change(relation, s)); err != nil {
					t.Fatal(err)
				}
			}
			if got := show(changes); !slices.Equal(got, c.want) {
				t.Errorf("got  %q\nwant %q", got, c.want)
			}
		})
	}
}

func TestChangesOfACompositeKey(t *testing.T) {
	table, relation := items(t, "a", "b")
	changes := NewChanges(table)
	for _, s := range []string{"I 1 23 y", "I 12 3 y"} { // the texts alone are the same one after the other
		if err := changes.Add(change(relation, s)); err != nil {
			t.Fatal(err)
		}
	}
	if len(changes.entries) != 2 {
		t.Errorf("two keys became %q", show(changes))
	}
}

func TestChangesRefuse(t *testing.T) {
	table, relation := items(t)
	for _, s := range []string{"U 1 x y", "D 1 x y"} {
		if err := NewChanges(table).Add(change(relation, s)); err == nil {
			t.Errorf("%q of a table without a key was taken", s)
		}
	}
	keyed, relation := items(t, "a")
	relation.Columns = relation.Columns[1:]
	e := change(relation, "I 1 x y")
	if err := NewChanges(keyed).Add(e); err == nil || !strings.Contains(err.Error(), `"c"`) {
		t.Errorf("a lost column: %v", err)
	}
}

func TestChosen(t *testing.T) {
	state := splitdate.Table{Chunks: map[splitdate.Chunk]splitdate.Meta{}}
	var chunks []splitdate.Chunk
	for i := range splitdate.Chunk(40) {
		chunks = append(chunks, i)
		state.Chunks[i] = splitdate.Meta{Rows: 10}
	}
	state.Chunks[0] = splitdate.Meta{Rows: 1_000_000}
	few := chunks[:maxChunks-1]
	if got := chosen(state, few, chunks[3:4], 5, false); !slices.Equal(got.merged, chunks[3:4]) || len(got.alone) > 0 {
		t.Errorf("with few chunks, %v are rewritten besides the touched one", got)
	}
	if got := chosen(state, few, few[:2], 5, false); !slices.Equal(got.merged, few[1:2]) || !slices.Equal(got.alone, few[:1]) {
		t.Errorf("of a large and a small chunk, %v: the large one should keep a chunk of its own", got)
	}
	if got := chosen(state, few, few[:2], 1_000_000, false); len(got.merged) != 2 || len(got.alone) > 0 {
		t.Errorf("of chunks no larger than what comes, %v: all should be merged", got)
	}
	if got := chosen(state, few, few[:2], 1_000_000, true); len(got.merged) > 0 || len(got.alone) != 2 {
		t.Errorf("with more to come, %v: none should be merged", got)
	}
	got := chosen(state, chunks, nil, 5, false).merged
	if len(got) < 30 || slices.Contains(got, 0) {
		t.Errorf("with many chunks, %v are merged: all small ones should be, and the large one not", got)
	}
}

// TestChunksStayFew runs the policy over many ticks: the number of chunks stays bounded, whatever the ticks touch, and a row
// that is only inserted is rewritten a logarithmic number of times.
func TestChunksStayFew(t *testing.T) {
	for _, share := range []int{0, 1, 30, 100} { // of the chunks that a tick touches, in percent
		for _, fresh := range []uint64{10, 20_000} {
			state := splitdate.Table{Chunks: map[splitdate.Chunk]splitdate.Meta{}}
			numbers := splitdate.NewNumbers(1)
			written, inserted := uint64(0), uint64(0)
			for tick := range 1800 {
				var touched []splitdate.Chunk
				for i, c := range state.RT {
					if (i*7919+tick*104_729)%100 < share {
						touched = append(touched, c)
					}
				}
				d := ticked(state, chosen(state, state.RT, touched, fresh, false), fresh, numbers)
				next, err := state.Apply(d)
				if err != nil {
					t.Fatal(err)
				}
				for _, meta := range d.Written {
					written += meta.Rows
				}
				state, inserted = next, inserted+fresh
				if len(state.RT) > 2*maxChunks {
					t.Fatalf("%d%% touched, tick %d: %d chunks", share, tick, len(state.RT))
				}
			}
			if factor := float64(written) / float64(inserted); share == 0 && factor > 12 {
				t.Errorf("each row was written %.1f times", factor)
			}
		}
	}
}

// ticked is what a choice makes of a state.
func ticked(state splitdate.Table, c choice, fresh uint64, numbers *splitdate.Numbers) (d splitdate.Delta) {
	add := func(rows uint64) {
		to := numbers.Next()
		d.AddRT = append(d.AddRT, to)
		d.Write(to, splitdate.Meta{Rows: rows})
	}
	add(state.Rows(c.merged) + fresh)
	for _, chunk := range c.alone {
		add(state.Chunks[chunk].Rows)
	}
	d.DropRT = slices.Concat(c.merged, c.alone)
	return d
}

// TestRepeated tells ticks whose pieces share a key, which have to be compacted, from those that do not.
func TestRepeated(t *testing.T) {
	for name, c := range map[string]struct {
		pieces [][]string
		want   []bool
	}{
		"apart":            {[][]string{{"I 1 x y", "I 2 x y"}, {"U 3 x y"}, {"D 4 - -"}}, []bool{false, false, false}},
		"within one piece": {[][]string{{"I 1 x y", "U 1 z w"}, {"I 2 x y"}}, []bool{false, false}},
		"in two":           {[][]string{{"I 1 x y"}, {"I 2 x y", "U 1 z w"}, {"I 3 x y"}}, []bool{false, true, false}},
		"far apart":        {[][]string{{"I 1 x y"}, {"I 2 x y"}, {"I 3 x y"}, {"D 1 - -"}}, []bool{false, false, false, true}},
		"old key":          {[][]string{{"U 1 x y"}, {"U 1 - - > 2 x y"}}, []bool{false, true}},
		"new key":          {[][]string{{"U 2 x y"}, {"U 1 - - > 2 x y"}}, []bool{false, true}},
	} {
		t.Run(name, func(t *testing.T) {
			table, relation := items(t, "a")
			changes := NewChanges(table)
			for range 2 { // what a tick remembers is not the next one's
				var got []bool
				for _, piece := range c.pieces {
					for _, text := range piece {
						if err := changes.Add(change(relation, text)); err != nil {
							t.Fatal(err)
						}
					}
					got = append(got, changes.flushed())
					if !changes.Empty() || changes.Bytes() != 0 {
						t.Error("entries are left")
					}
				}
				if !slices.Equal(got, c.want) {
					t.Errorf("%v, want %v", got, c.want)
				}
				changes.Reset()
			}
		})
	}
}

// TestRepeatedOfMany has more keys than are remembered: from then on any may be there twice.
func TestRepeatedOfMany(t *testing.T) {
	table, relation := items(t, "a")
	changes := NewChanges(table)
	for i := range maxSent + 1 {
		changes.byHash[uint64(i)] = 0
	}
	for _, want := range []bool{false, true} {
		if err := changes.Add(change(relation, "I 1 x y")); err != nil {
			t.Fatal(err)
		}
		if got := changes.flushed(); got != want {
			t.Errorf("%v, want %v", got, want)
		}
	}
	changes.Reset()
	if changes.flushed() {
		t.Error("the next tick remembers it")
	}
}
