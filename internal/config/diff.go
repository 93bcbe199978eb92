package config

import (
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/tidemark-db/tidemark/internal/fault"
)

// Diff returns the paths of the keys whose value differs between c and old, sorted. It shows no values.
func (c *Config) Diff(old *Config) []string {
	var paths []string
	for path, value := range c.values {
		if before, had := old.values[path]; !had || !reflect.DeepEqual(before, value) {
			paths = append(paths, path)
		}
	}
	for path := range old.values {
		if _, has := c.values[path]; !has {
			paths = append(paths, path)
		}
	}
	slices.Sort(paths)
	return paths
}

// Table finds a configured table by schema.table, or by its bare name where that is unique.
func (c *Config) Table(name string) (*Table, error) {
	parts, err := splitName(name)
	if err != nil || len(parts) > 2 {
		return nil, fault.New(c.tablesHint(), "table name %q is not schema.table", name)
	}
	var found []*Table
	for i := range c.Tables {
		t := &c.Tables[i]
		if t.Name.Name == parts[len(parts)-1] && (len(parts) == 1 || t.Name.Schema == parts[0]) {
			found = append(found, t)
		}
	}
	switch len(found) {
	case 1:
		return found[0], nil
	case 0:
		return nil, fault.New(c.tablesHint(), "table %s is not in the configuration", name)
	default:
		return nil, fault.New(fmt.Sprintf("name it with its schema, e.g. %s", found[0].Name),
			"table name %s is in more than one schema", name)
	}
}

func (c *Config) tablesHint() string {
	names := make([]string, len(c.Tables))
	for i := range c.Tables {
		names[i] = c.Tables[i].Name.String()
	}
	return "name one of " + strings.Join(names, ", ")
}
