package shape

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/tidemark-db/tidemark/cdc"
)

const (
	int4 = 23
	int8 = 20
	text = 25
)

// was is a table with a key, two columns and one that was dropped.
func was() cdc.Table {
	return cdc.Table{
		OID: 1, Schema: "public", Name: "t", Key: []string{"id"}, ReplicaIdentity: cdc.IdentityDefault, Attributes: 4, Entries: map[uint32]string{1: "5.6"}, Files: "100", Toast: 50,
		Columns: []cdc.Column{
			{Name: "id", Number: 1, TypeOID: int4, TypeMod: -1, NotNull: true, Version: "9"},
			{Name: "a", Number: 2, TypeOID: int4, TypeMod: -1, NotNull: true, Version: "9"},
			{Name: "b", Number: 4, TypeOID: text, TypeMod: -1, Version: "9"},
		},
	}
}

func column(name string, number int16, oid uint32) cdc.Column {
	return cdc.Column{Name: name, Number: number, TypeOID: oid, TypeMod: -1, Version: "10"}
}

// with returns the table after changes.
func with(changes ...func(*cdc.Table)) cdc.Table {
	t := was()
	for _, change := range changes {
		change(&t)
	}
	return t
}

func add(c cdc.Column) func(*cdc.Table) {
	return func(t *cdc.Table) { t.Columns, t.Attributes = append(t.Columns, c), max(t.Attributes, c.Number) }
}

func drop(name string) func(*cdc.Table) {
	return func(t *cdc.Table) {
		t.Columns = slices.DeleteFunc(t.Columns, func(c cdc.Column) bool { return c.Name == name })
	}
}

func alter(name string, how func(*cdc.Column)) func(*cdc.Table) {
	return func(t *cdc.Table) {
		for i := range t.Columns {
			if t.Columns[i].Name == name {
				how(&t.Columns[i])
				t.Columns[i].Version = "10"
			}
		}
	}
}

func rename(from, to string) func(*cdc.Table) {
	return alter(from, func(c *cdc.Column) { c.Name = to })
}

func rewritten(t *cdc.Table) { t.Files = "101" }

// by ALTER TABLE
func toasted(t *cdc.Table) { t.Toast = 51 }

func TestCompare(t *testing.T) {
	nullable := alter("a", func(c *cdc.Column) { c.NotNull = false })
	wider := alter("a", func(c *cdc.Column) { c.TypeOID = int8 })
	for _, c := range []struct {
		name string
		now  cdc.Table
		want Change
		why  string // of a reload
	}{
		{"nothing", was(), None, ""},
		{"vacuum full, truncate", with(rewritten), None, ""},
		{"set unlogged, set logged", with(rewritten, toasted), 0, "unlogged"},
		{"set unlogged, set logged, and a new column that needs no rewriting", with(rewritten, toasted, drop("b")), 0, "unlogged"},
		{"another TOAST table for the same files", with(toasted), None, ""},
		{"a column that came and went", with(add(column("c", 5, int4)), drop("c")), None, ""},
		{"set not null", with(alter("b", func(c *cdc.Column) { c.NotNull = true })), None, ""},
		{"drop not null", with(nullable), Relax, ""},
		{"add", with(add(column("c", 5, int4))), Follow, ""},
		{"drop", with(drop("b")), Follow, ""},
		{"drop and add", with(drop("b"), add(column("c", 5, int4))), Follow, ""},
		{"rename", with(rename("a", "z")), Follow, ""},
		{"rename the key", with(rename("id", "z"), func(t *cdc.Table) { t.Key = []string{"z"} }), Follow, ""},
		{"a type whose values are the same", with(wider), Follow, ""},
		{"a type for which rows were rewritten", with(wider, rewritten), 0, `"a" was changed`},
		{"the same type, USING", with(alter("a", func(*cdc.Column) {}), rewritten), 0, `"a" was changed`},
		{"add, volatile default", with(add(column("c", 5, int4)), rewritten), 0, `"c" is new`},
		{"a column of old that is published now", with(add(column("c", 3, int4))), 0, `"c" is published now`},
		{"a name that another column had", with(drop("b"), add(column("b", 5, text))), 0, `"b" is another one`},
		{"two names that changed places", with(rename("a", "x"), rename("b", "a"), rename("x", "b")), 0, "is another one"},
		{"another table", with(func(t *cdc.Table) { t.OID = 2 }), 0, "another table"},
		{"out of the publication and back", with(func(t *cdc.Table) { t.Entries = map[uint32]string{1: "5.7"} }), 0, "left the publication"},
		{"another filter", with(func(t *cdc.Table) { t.RowFilter = "id > 1" }), 0, "row filter"},
		{"another key", with(func(t *cdc.Table) { t.Key = []string{"id", "a"} }), 0, "key"},
		{"a default that partitions know alone", with(func(t *cdc.Table) { t.Partitioned = true }, add(cdc.Column{Name: "c", Number: 5, HasDefault: true})), 0, "partitions"},
	} {
		got, err := Compare(was(), c.now)
		if c.why != "" {
			if !errors.Is(err, ErrReload) || !strings.Contains(err.Error(), c.why) {
				t.Errorf("%s: %v, %v; want a reload because of %s", c.name, got, err, c.why)
			}
		} else if got != c.want || err != nil {
			t.Errorf("%s: %v, %v; want %v", c.name, got, err, c.want)
		}
	}
}

// relation is how the stream describes a table.
func relation(t cdc.Table) *cdc.Relation {
	r := &cdc.Relation{OID: t.OID, Schema: t.Schema, Name: t.Name, ReplicaIdentity: t.ReplicaIdentity}
	for _, c := range t.Columns {
		r.Columns = append(r.Columns, cdc.RelationColumn{Name: c.Name, TypeOID: c.TypeOID, TypeMod: c.TypeMod, Key: slices.Contains(t.Key, c.Name)})
	}
	return r
}

func numbers(t cdc.Table) (out string) {
	for _, c := range t.Columns {
		out += fmt.Sprintf("%d:%s ", c.Number, c.Name)
	}
	return strings.TrimSpace(out)
}

// TestNext has the stream at a point before the catalogue's.
func TestNext(t *testing.T) {
	c, d := column("c", 5, int4), column("d", 6, text)
	for _, test := range []struct {
		name    string
		at, now cdc.Table
		want    string // "": a reload
	}{
		{"the same", with(add(c)), with(add(c)), "1:id 2:a 4:b 5:c"},
		{"the first of two", with(add(c)), with(add(c), add(d)), "1:id 2:a 4:b 5:c"},
		{"before a drop", with(add(c)), with(add(c), drop("a")), "1:id 2:a 4:b 5:c"},
		{"before a rename", with(add(c)), with(add(c), rename("a", "z")), "1:id 2:a 4:b 5:c"},
		{"after a rename", with(rename("a", "z")), with(rename("a", "z"), add(c)), "1:id 2:z 4:b"},
		{"a column that is gone again", with(add(c)), was(), ""},
		{"a name that is another one again", with(rename("a", "y")), with(rename("a", "z")), ""},
		{"a type in between", with(alter("a", func(c *cdc.Column) { c.TypeOID = text })), with(alter("a", func(c *cdc.Column) { c.TypeOID = int8 })), ""},
		{"rewritten later", with(add(c)), with(add(c), alter("a", func(*cdc.Column) {}), rewritten), ""},
		{"another table", with(func(t *cdc.Table) { t.OID = 2 }), was(), ""},
	} {
		got, err := Next(was(), relation(test.at), test.now)
		switch {
		case test.want == "" && !errors.Is(err, ErrReload):
			t.Errorf("%s: %s, %v; want a reload", test.name, numbers(got), err)
		case test.want != "" && (err != nil || numbers(got) != test.want):
			t.Errorf("%s: %s, %v; want %s", test.name, numbers(got), err, test.want)
		case test.want != "" && !Matches(got, relation(test.at)):
			t.Errorf("%s: the result does not describe the rows", test.name)
		}
	}
}

// TestNotNull takes a column for NOT NULL only where no row, old or on its way, can have NULL.
func TestNotNull(t *testing.T) {
	seven := "7"
	declared := func(missing *string) cdc.Column {
		c := column("c", 5, int4)
		c.NotNull, c.Missing = true, missing
		return c
	}
	for name, c := range map[string]struct {
		now  cdc.Table
		of   string
		want bool
	}{
		"before and after":   {was(), "a", true},
		"since now":          {with(alter("b", func(c *cdc.Column) { c.NotNull = true })), "b", false},
		"no longer":          {with(alter("a", func(c *cdc.Column) { c.NotNull = false })), "a", false},
		"new with a default": {with(add(declared(&seven))), "c", true},
		"new without":        {with(add(declared(nil))), "c", false},
	} {
		got, err := Latest(was(), c.now)
		if found := named(got, c.of); err != nil || found == nil || found.NotNull != c.want {
			t.Errorf("%s: %+v, %v; want NOT NULL: %t", name, found, err, c.want)
		}
	}
}
