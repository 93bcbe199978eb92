// Package shape knows what the columns of a published table are, and what became of them. It decides whether a schema change
// maps onto the rows that ClickHouse has: all that can be said without asking a server.
//
// A shape is how PostgreSQL described a table once. A mark names the shape that its chunks have; the stream's rows come
// with a description of their own, and the catalogue has the newest one. Three facts make a change certain:
//
//   - A column keeps its number for as long as it lives, whatever its name, and no number is used twice.
//   - ALTER TABLE either rewrites all rows, into other files, or leaves every value as it is.
//   - What the rows from before a column have in it lies in the catalogue, or is NULL.
//
// So a change that left the table's files alone can be followed without reading a row. Any other one is Reload.
package shape

import (
	"errors"
	"fmt"
	"slices"
	"unicode/utf8"

	"github.com/tidemark-db/tidemark/cdc"
)

// ErrReload says that ClickHouse's rows cannot be told from the description of a table: it has to be loaded again.
var ErrReload = errors.New("it has to be loaded again")

func reload(format string, args ...any) error {
	return fmt.Errorf("%s: %w", fmt.Sprintf(format, args...), ErrReload)
}

// Shape is a table as PostgreSQL described it, and where its columns lie in ClickHouse.
type Shape struct {
	cdc.Table
	Stored map[int16]string // names in the internals, by the column's number, where they are others than PostgreSQL's
	// Since is the position that a mark has to pass before it shows these columns: the mark that first names the shape holds
	// the rows from before the change. Narrowed is that of the last change that took a column away.
	Since, Narrowed cdc.LSN
}

// Change says what has to be done about a difference between a shape and the catalogue.
type Change int

// The changes, each worse than the ones before.
const (
	None   Change = iota
	Relax         // a column may be NULL now, and all else is the same: the rows in the stream look the same too
	Follow        // columns came, went, or have other names or types; no value that was there is another one now
)

// Compare tells what happened between a shape and what the catalogue says now. An error wraps ErrReload.
func Compare(was, now cdc.Table) (Change, error) {
	switch {
	case was.OID != now.OID:
		return None, reload("it was dropped, and is another table of that name now")
	case leftPublication(was, now):
		return None, reload("it left the publication and came back; what changed in between was not sent")
	case was.RowFilter != now.RowFilter:
		return None, reload("the publication has another row filter for it now")
	case !slices.Equal(keyNumbers(was), keyNumbers(now)):
		return None, reload("its key is another one now")
	}
	change := None
	for _, c := range now.Columns {
		next, err := compareColumn(was, now, c)
		if err != nil {
			return None, err
		}
		change = max(change, next)
	}
	if wasUnlogged(was, now) {
		return None, reload("its rows were rewritten by ALTER TABLE; if it was unlogged in between, what changed then was not sent")
	}
	if len(was.Columns) > len(now.Columns)-added(was, now) {
		change = Follow
	}
	return change, nil
}

// wasUnlogged reports whether ALTER TABLE rewrote the rows and changed no column, as SET UNLOGGED and SET LOGGED do: a publication
// of all tables sends nothing of an unlogged one. Tables without a TOAST table do not tell.
func wasUnlogged(was, now cdc.Table) bool {
	return was.Files != now.Files && was.Toast != 0 && was.Toast != now.Toast
}

// leftPublication reports whether the table was out of the publication in between, or a partition that it still has.
func leftPublication(was, now cdc.Table) bool {
	for oid, entry := range was.Entries {
		if other, there := now.Entries[oid]; there && other != entry {
			return true
		}
	}
	return false
}

func compareColumn(was, now cdc.Table, c cdc.Column) (Change, error) {
	rewritten := was.Files != now.Files
	if old := named(was, c.Name); old != nil && old.Number != c.Number {
		return None, reload("column %q is another one than the one of that name before", c.Name)
	}
	old := numbered(was, c.Number)
	switch {
	case old == nil:
		return Follow, addable(was, now, c)
	case rewritten && old.Version != c.Version:
		return None, reload("its rows were rewritten, and column %q was changed", c.Name)
	case old.Name != c.Name || !sameType(*old, c):
		return Follow, nil
	case old.NotNull && !c.NotNull:
		return Relax, nil
	}
	return None, nil
}

// addable returns why the value of a column in rows from before it is not known.
func addable(was, now cdc.Table, c cdc.Column) error {
	switch {
	case c.Number <= was.Attributes:
		return reload("column %q is published now, and was not before", c.Name)
	case was.Files != now.Files:
		return reload("its rows were rewritten, and column %q is new", c.Name)
	case c.Missing != nil && !utf8.ValidString(*c.Missing): // of a database in SQL_ASCII; shapes are kept as JSON
		return reload("what older rows have in the new column %q is not in UTF-8", c.Name)
	case c.HasDefault && c.Missing == nil && now.Partitioned:
		return reload("the catalogue does not say what rows of its partitions have in the new column %q", c.Name)
	}
	return nil
}

func added(was, now cdc.Table) (n int) {
	for _, c := range now.Columns {
		if numbered(was, c.Number) == nil {
			n++
		}
	}
	return n
}

// Matches reports whether the stream describes rows as the shape does.
func Matches(t cdc.Table, r *cdc.Relation) bool {
	return t.OID == r.OID && slices.EqualFunc(t.Columns, r.Columns, describes)
}

// MatchesPartition reports whether the stream's rows of a partition have all columns of the table. They may come in another
// order, and with others.
func MatchesPartition(t cdc.Table, r *cdc.Relation) bool {
	return !slices.ContainsFunc(t.Columns, func(c cdc.Column) bool {
		return !slices.ContainsFunc(r.Columns, func(rc cdc.RelationColumn) bool { return describes(c, rc) })
	})
}

func describes(c cdc.Column, r cdc.RelationColumn) bool {
	return c.Name == r.Name && c.TypeOID == r.TypeOID && c.TypeMod == r.TypeMod
}

// Next returns the description of the rows that the stream describes. The catalogue, which tells what the stream does not, may
// be newer than the stream: then each column is one that was there before or is there now. An error wraps ErrReload.
func Next(was cdc.Table, r *cdc.Relation, now cdc.Table) (cdc.Table, error) {
	if _, err := Compare(was, now); err != nil {
		return was, err
	}
	if r.OID != was.OID {
		return was, reload("it was dropped, and is another table of that name now")
	}
	next := now
	next.Columns, next.Attributes = nil, was.Attributes
	last := int16(0)
	for _, rc := range r.Columns {
		c := described(now, rc)
		if c == nil {
			c = described(was, rc)
		}
		if c == nil || c.Number <= last {
			return was, reload("its column %q was changed, and changed again", rc.Name)
		}
		if was.ReplicaIdentity != cdc.IdentityFull && rc.Key != slices.Contains(keyNumbers(was), c.Number) {
			return was, reload("its key was changed, and changed again")
		}
		last = c.Number
		next.Columns = append(next.Columns, *c)
		next.Attributes = max(next.Attributes, last)
	}
	return settle(was, next)
}

// Latest returns the description of the rows once the stream has come to where the catalogue is.
func Latest(was, now cdc.Table) (cdc.Table, error) {
	if _, err := Compare(was, now); err != nil {
		return was, err
	}
	return settle(was, now)
}

// settle names the key, and says of which columns no row has NULL. What is NOT NULL now may have been NULL in rows that
// are on their way, or that are there.
func settle(was, next cdc.Table) (cdc.Table, error) {
	columns := slices.Clone(next.Columns)
	for i, c := range columns {
		if old := numbered(was, c.Number); old != nil {
			columns[i].NotNull = old.NotNull && c.NotNull
		} else {
			columns[i].NotNull = c.Missing != nil && c.NotNull
		}
	}
	next.Columns, next.Key = columns, nil
	for _, n := range keyNumbers(was) {
		c := numbered(next, n)
		if c == nil {
			return was, reload("its key was changed, and changed again")
		}
		next.Key = append(next.Key, c.Name)
	}
	return next, nil
}

// described returns a column that looks as the stream describes it.
func described(t cdc.Table, r cdc.RelationColumn) *cdc.Column {
	return find(t, func(c cdc.Column) bool { return describes(c, r) })
}

func numbered(t cdc.Table, n int16) *cdc.Column {
	return find(t, func(c cdc.Column) bool { return c.Number == n })
}

func named(t cdc.Table, name string) *cdc.Column {
	return find(t, func(c cdc.Column) bool { return c.Name == name })
}

func find(t cdc.Table, is func(cdc.Column) bool) *cdc.Column {
	if i := slices.IndexFunc(t.Columns, is); i >= 0 {
		c := t.Columns[i]
		return &c
	}
	return nil
}

func sameType(a, b cdc.Column) bool { return a.TypeOID == b.TypeOID && a.TypeMod == b.TypeMod }

// keyNumbers are the numbers of the columns of the key, in its order.
func keyNumbers(t cdc.Table) (out []int16) {
	for _, name := range t.Key {
		if c := named(t, name); c != nil {
			out = append(out, c.Number)
		}
	}
	return out
}
