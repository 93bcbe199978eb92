package rtwindow

import (
	"fmt"
	"testing"

	"github.com/tidemark-db/tidemark/cdc"
	"github.com/tidemark-db/tidemark/sql"
)

// BenchmarkChanges collects an insert and an update of each of a thousand keys.
func BenchmarkChanges(b *testing.B) {
	table := &sql.Table{TableConfig: sql.TableConfig{Source: "public.sales", Key: []string{"c0"}}}
	relation := &cdc.Relation{OID: 1, Schema: "public", Name: "sales"}
	for i := range 9 {
		name := fmt.Sprintf("c%d", i)
		table.Columns = append(table.Columns, sql.Column{Name: name})
		relation.Columns = append(relation.Columns, cdc.RelationColumn{Name: name, Key: i == 0})
	}
	const keys = 1000
	var events []cdc.Event
	for _, op := range []cdc.Op{cdc.Insert, cdc.Update} {
		for k := range keys {
			row := make(cdc.Tuple, 9)
			for i := range row {
				row[i] = cdc.NewValue(cdc.Text, fmt.Appendf(nil, "%d", k))
			}
			events = append(events, cdc.Event{Kind: cdc.Change, Op: op, Relation: relation, New: row})
		}
	}
	c := NewChanges(table)
	b.ReportAllocs()
	for b.Loop() {
		for i := range events {
			if err := c.Add(&events[i]); err != nil {
				b.Fatal(err)
			}
		}
		c.Reset()
	}
}
