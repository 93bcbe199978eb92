package rtwindow

import (
	"encoding/binary"
	"fmt"
	"hash/maphash"
	"maps"
	"slices"
	"strings"

	"github.com/tidemark-db/tidemark/cdc"
	"github.com/tidemark-db/tidemark/internal/fault"
	"github.com/tidemark-db/tidemark/sql"
)

// entry is what became of one key since the last Flush.
type entry struct {
	insert       bool      // the first change was an INSERT: the key was not there before
	live         bool      // there is a row after the last change
	whole        bool      // of a dead row, all of it is there
	row          cdc.Tuple // by column of the table; of a dead row only the key is filled
	next         int32     // the entry before whose key has the same hash, -1 of none
	source       cdc.Tuple // the key, when the piece began, of the row that unchanged values come from
	lsn, ordinal uint64
	op           cdc.Op // of the last change; a dead row whose last change is an UPDATE has another key now
	time         int64  // of its commit, µs since the epoch
}

func (e *entry) at(c *cdc.Event) {
	e.lsn, e.ordinal, e.op, e.time = uint64(c.LSN), c.Ordinal, c.Op, c.Time.UnixMicro()
}

func (e *entry) unresolved() bool { return e.live && e.source != nil }

// entrySize is about what an entry takes of memory, with its place in the lists and without its row.
const entrySize = 128

// Changes collects the changes of whole transactions to one table, one entry per key. It is not safe for concurrent
// use.
type Changes struct {
	table *sql.Table
	key   []int // positions of the key's columns in the table's

	entries []*entry
	free    []entry          // the next ones: an allocation each would be the most there are
	feed    []*entry         // every change by itself, where the table has a change feed
	byHash  map[uint64]int32 // of the key: the last entry with it. No pointers: the collector of garbage need not look
	sent    map[uint64]int32 // those of the tick's earlier pieces
	many    bool             // too many for sent
	seed    maphash.Seed
	bytes   int
	scratch []byte

	relation *cdc.Relation
	columns  []int // position in the relation of each of the table's columns
	same     bool  // the relation has the table's columns in their order, and no other
}

// NewChanges returns an empty collection for the table.
func NewChanges(t *sql.Table) *Changes {
	c := &Changes{table: t, byHash: map[uint64]int32{}, sent: map[uint64]int32{}, seed: maphash.MakeSeed()}
	if t.Keyless() {
		return c
	}
	for _, k := range t.Key {
		for i, col := range t.Columns {
			if col.Name == k {
				c.key = append(c.key, i)
			}
		}
	}
	return c
}

// Empty reports whether nothing was collected.
func (c *Changes) Empty() bool { return len(c.entries) == 0 }

// Bytes is about how much memory the entries hold on to.
func (c *Changes) Bytes() int { return c.bytes }

// maxSent bounds how many keys of earlier pieces are remembered: some 20 MiB.
const maxSent = 1 << 20

// Reset forgets the entries, and which keys earlier pieces had.
func (c *Changes) Reset() {
	c.forget()
	clear(c.byHash)
	if len(c.sent) > maxSent/8 { // after a big transaction: a map keeps its memory
		c.sent = map[uint64]int32{}
	}
	clear(c.sent)
	c.many = false
}

// forget forgets the entries.
func (c *Changes) forget() { c.entries, c.free, c.feed, c.bytes = nil, nil, nil, 0 }

// flushed forgets the entries, whose piece was sent, and remembers their keys. It reports whether an earlier piece may have one
// of them too.
func (c *Changes) flushed() (repeated bool) {
	c.forget()
	repeated = c.many
	switch {
	case c.many:
	case len(c.sent)+len(c.byHash) > maxSent:
		repeated = c.shared()
		c.sent, c.many = map[uint64]int32{}, true
	case len(c.sent) == 0: // as nearly always: nothing is looked up or copied
		c.sent, c.byHash = c.byHash, c.sent
	default:
		repeated = c.shared()
		maps.Copy(c.sent, c.byHash)
	}
	clear(c.byHash)
	return repeated
}

// shared reports whether a key is among those of earlier pieces.
func (c *Changes) shared() bool {
	for hash := range c.byHash {
		if _, ok := c.sent[hash]; ok {
			return true
		}
	}
	return false
}

// Add takes one change, which is not to be written again. An error says that the table's structure or identity does not fit.
func (c *Changes) Add(e *cdc.Event) error {
	c.bytes += entrySize + e.Bytes
	if e.Relation != c.relation {
		if err := c.bind(e.Relation); err != nil {
			return err
		}
	}
	if c.table.Keyless() {
		return c.addKeyless(e)
	}
	if e.Old != nil && c.nameless(e.Old) {
		return fault.New("give every partition of the table that the message names, or the table, REPLICA IDENTITY FULL or the key as its identity",
			"table %s: at %s the stream names a row by something else than the key %v: %w", c.table.Source, e.LSN, c.table.Key, ErrGap)
	}
	switch e.Op {
	case cdc.Insert:
		c.put(c.arrange(e.New), nil, e, true)
	case cdc.Delete:
		c.remove(c.arrange(e.Old), e)
	case cdc.Update:
		c.update(e)
	}
	return nil
}

func (c *Changes) addKeyless(e *cdc.Event) error {
	if e.Op != cdc.Insert {
		return fault.New("give the table a primary key, or leave updates and deletes out of the publication, and load it again",
			"table %s has no key, but the stream brought a change %q at %s", c.table.Source, e.Op, e.LSN)
	}
	row := c.arrange(e.New)
	n := c.newEntry()
	n.insert, n.live, n.row = true, true, row
	n.at(e)
	c.note(*n)
	return nil
}

// nameless reports whether an old row lacks part of the key: a partition may have a replica identity of its own.
func (c *Changes) nameless(old cdc.Tuple) bool {
	for _, k := range c.key {
		if old[c.columns[k]].Kind == cdc.Null {
			return true
		}
	}
	return false
}

// bind maps the table's columns to a relation's, by name.
func (c *Changes) bind(r *cdc.Relation) error {
	at := make(map[string]int, len(r.Columns))
	for i, col := range r.Columns {
		at[col.Name] = i
	}
	columns := make([]int, len(c.table.Columns))
	for i, col := range c.table.Columns {
		p, ok := at[col.Shown()]
		if !ok {
			return fmt.Errorf("table %s: the stream's rows have no column %q", c.table.Source, col.Shown())
		}
		columns[i] = p
	}
	c.relation, c.columns, c.same = r, columns, len(columns) == len(r.Columns)
	for i, p := range columns {
		c.same = c.same && i == p
	}
	return nil
}

// arrange puts a tuple of the relation into the order of the table's columns. It may be the tuple itself, which is ours from
// then on: the event is not looked at again.
func (c *Changes) arrange(t cdc.Tuple) cdc.Tuple {
	if c.same {
		return t
	}
	row := make(cdc.Tuple, len(c.columns))
	for i, p := range c.columns {
		row[i] = t[p]
	}
	return row
}

func (c *Changes) update(e *cdc.Event) {
	row := c.arrange(e.New)
	old := row
	if e.Old != nil {
		old = c.arrange(e.Old)
		if e.OldFull {
			fill(row, old)
		}
	}
	// The stream sends no toasted key that did not change.
	for _, k := range c.key {
		if row[k].Kind == cdc.Unchanged {
			row[k] = old[k]
		}
	}
	var source cdc.Tuple
	if unchanged(row) {
		source = c.keyOf(old)
		if before, _ := c.find(old); before != nil {
			source = before.source
			fill(row, before.row)
		}
	}
	if e.Old != nil && !c.sameKey(old, row) {
		c.remove(old, e)
		c.put(row, source, e, true)
		return
	}
	c.put(row, source, e, false)
}

// put makes row the live row of its key; first says that the change is an INSERT if the key has no entry yet.
func (c *Changes) put(row, source cdc.Tuple, e *cdc.Event, first bool) {
	if !unchanged(row) {
		source = nil
	}
	n := c.entry(row, first)
	n.live, n.row, n.source = true, row, source
	n.at(e)
	c.note(entry{insert: first, live: true, row: row, source: source, lsn: n.lsn, ordinal: n.ordinal, op: n.op, time: n.time})
}

func (c *Changes) remove(old cdc.Tuple, e *cdc.Event) {
	n := c.entry(old, false)
	n.live, n.row, n.source = false, old, nil
	n.at(e)
	c.note(entry{whole: e.OldFull, row: old, lsn: n.lsn, ordinal: n.ordinal, op: n.op, time: n.time})
}

// note adds a change to the feed. A change of the key is a delete and an insert.
func (c *Changes) note(e entry) {
	if !c.table.Feed {
		return
	}
	n := e // allocated for a feed alone
	switch {
	case !e.live:
		n.op = cdc.Delete
	case e.insert:
		n.op = cdc.Insert
	default:
		n.op = cdc.Update
	}
	c.feed = append(c.feed, &n)
	c.bytes += entrySize
}

// entry returns that of the row's key; a new one says insert.
func (c *Changes) entry(row cdc.Tuple, insert bool) *entry {
	n, hash := c.find(row)
	if n != nil {
		return n
	}
	n = c.newEntry()
	n.insert, n.row, n.next = insert, row, -1
	if other, ok := c.byHash[hash]; ok {
		n.next = other
	}
	c.byHash[hash] = int32(len(c.entries) - 1) // a tick has no 2^31 entries
	return n
}

// find returns the entry of the row's key, nil of none, and the hash of the key.
func (c *Changes) find(row cdc.Tuple) (*entry, uint64) {
	hash := maphash.Bytes(c.seed, c.keyText(row))
	at, ok := c.byHash[hash]
	if !ok {
		return nil, hash
	}
	for ; at >= 0; at = c.entries[at].next {
		if c.sameKey(c.entries[at].row, row) {
			return c.entries[at], hash
		}
	}
	return nil, hash
}

// newEntry appends an entry.
func (c *Changes) newEntry() *entry {
	const atOnce = 64
	if len(c.free) == 0 {
		c.free = make([]entry, atOnce)
	}
	n := &c.free[0]
	c.free = c.free[1:]
	c.entries = append(c.entries, n)
	return n
}

// keyText is a text that is equal for equal keys: each column's length and bytes. The next call overwrites it.
func (c *Changes) keyText(row cdc.Tuple) []byte {
	b := c.scratch[:0]
	for _, k := range c.key {
		b = binary.AppendUvarint(b, uint64(len(row[k].Text())))
		b = append(b, row[k].Text()...)
	}
	c.scratch = b
	return b
}

func (c *Changes) keyOf(row cdc.Tuple) cdc.Tuple {
	out := make(cdc.Tuple, len(c.key))
	for i, k := range c.key {
		out[i] = row[k]
	}
	return out
}

func (c *Changes) sameKey(a, b cdc.Tuple) bool {
	for _, k := range c.key {
		if string(a[k].Text()) != string(b[k].Text()) {
			return false
		}
	}
	return true
}

// Key renders a row's key for messages; without one, all of the row that is short.
func (c *Changes) Key(row cdc.Tuple) string {
	var out []string
	for i, col := range c.table.Columns {
		if slices.Contains(c.key, i) || c.table.Keyless() && len(row[i].Text()) < 40 {
			out = append(out, fmt.Sprintf("%s=%s", col.Shown(), row[i].Text()))
		}
	}
	return strings.Join(out, ", ")
}

// fill takes the values that row lacks from an older version of it.
func fill(row, older cdc.Tuple) {
	for i := range row {
		if row[i].Kind == cdc.Unchanged {
			row[i] = older[i]
		}
	}
}

func unchanged(row cdc.Tuple) bool {
	for i := range row {
		if row[i].Kind == cdc.Unchanged {
			return true
		}
	}
	return false
}
