package bridge

import (
	"context"
	"errors"
	"fmt"

	"github.com/tidemark-db/tidemark/internal/fault"
	"github.com/tidemark-db/tidemark/internal/warehouse"
	"github.com/tidemark-db/tidemark/sql"
)

// checkNames refuses to put a view in the place of a table or view that somebody else made: CREATE OR REPLACE would drop it.
func checkNames(ctx context.Context, db *warehouse.Conn, plans []plan) error {
	names := []string{"split_date", "split_date_current"}
	for _, p := range plans {
		names = append(names, p.sql.Name)
		if p.sql.Feed {
			names = append(names, p.sql.FeedName())
		}
		for _, a := range p.aggregates {
			names = append(names, a.Name)
		}
	}
	var faults []error
	params := warehouse.Params{"database": string(db.Database()), "names": warehouse.Texts(names)}
	err := db.Query(ctx, db.Database().ListForeign(), params, func(r warehouse.Rows) error {
		var name, engine string
		if err := r.Scan(&name, &engine); err != nil {
			return err
		}
		quoted := sql.Ident(string(db.Database())) + "." + sql.Ident(name)
		faults = append(faults, fault.New(fmt.Sprintf("RENAME TABLE %s TO another name, or name another database in clickhouse.dsn", quoted),
			"ClickHouse: %s (%s) is in the way, and not tidemark's to replace: %w", quoted, engine, errRefused))
		return nil
	})
	if err != nil {
		return err
	}
	return errors.Join(faults...)
}
