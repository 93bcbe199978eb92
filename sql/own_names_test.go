package sql

import (
	"regexp"
	"slices"
	"strings"
	"testing"
)

// Every name of ours that a statement sets beside a source's columns must be known as ours, or a source's column of that name
// is taken for it.
func TestOwnNames(t *testing.T) {
	const prefix = "___"
	used := map[string]bool{}
	for name, config := range goldenTables(t) {
		config.Database, config.Name = "shop", name
		config.Columns = append(config.Columns, column(t, "_mark", oidInt8, -1, true), column(t, "__of", oidInt8, -1, true))
		table, err := NewTable(config)
		if err != nil {
			t.Fatal(err)
		}
		if table.prefix != prefix {
			t.Fatalf("prefix %q", table.prefix)
		}
		for _, s := range tableStatements(table) {
			for _, own := range ownIn(s.Text, prefix) {
				used[own] = true
				if !slices.Contains(ownNames, own) && !strings.HasPrefix(own, "source_") {
					t.Errorf("%s of %s: %s%s is not among the names of ours", s.Name, name, prefix, own)
				}
			}
		}
	}
	for _, own := range ownNames {
		if !used[own] {
			t.Errorf("no statement uses %s%s", prefix, own)
		}
	}
}

// ownIn lists the names with a prefix in a statement. An index's name is in no column's way.
func ownIn(text, prefix string) (names []string) {
	text = regexp.MustCompile("INDEX `[^`]*`").ReplaceAllString(text, "")
	for _, found := range regexp.MustCompile("`"+prefix+"([a-z][a-z0-9_]*)`").FindAllStringSubmatch(text, -1) {
		names = append(names, found[1])
	}
	return names
}
