package bridge

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/tidemark-db/tidemark/internal/block"
	"github.com/tidemark-db/tidemark/internal/warehouse"
	"github.com/tidemark-db/tidemark/sql"
)

// agreeOnZones finds out, for the columns of timestamps without zone, from when on ClickHouse's zone database shows the
// wall clocks that ours reads: earlier values are refused rather than shown wrong.
func agreeOnZones(ctx context.Context, db *warehouse.Conn, plans []plan) error {
	known := map[string]time.Time{}
	for _, p := range plans {
		for i, c := range p.sql.Columns {
			typ := c.Type
			if typ.Elem != nil {
				typ = *typ.Elem
			}
			if typ.Kind != sql.KindTimestamp || typ.Zone == time.UTC {
				continue
			}
			zone := typ.Zone.String()
			from, ok := known[zone]
			if !ok {
				var err error
				if from, err = block.AgreesFrom(typ.Zone, showIn(ctx, db, zone)); err != nil {
					return fmt.Errorf("table %s, column %s: compare zone %s: %w", p.sql.Source, c.Name, zone, err)
				}
				known[zone] = from
			}
			p.sql.Columns[i].ExactFrom = from
		}
	}
	return nil
}

func showIn(ctx context.Context, db *warehouse.Conn, zone string) func([]int64) ([]string, error) {
	return func(micros []int64) (texts []string, err error) {
		list := make([]string, len(micros))
		for i, at := range micros {
			list[i] = warehouse.I64(at)
		}
		params := warehouse.Params{"micros": "[" + strings.Join(list, ",") + "]"}
		err = db.Query(ctx, db.Database().ShowInstants(zone), params, func(r warehouse.Rows) error { return r.Scan(&texts) })
		return texts, err
	}
}
