package bridge

import (
	"context"
	"errors"

	"github.com/tidemark-db/tidemark/internal/fault"
	"github.com/tidemark-db/tidemark/internal/warehouse"
	"github.com/tidemark-db/tidemark/sql"
)

// checkGrants asks ClickHouse for every privilege that the bridge needs, before it creates anything.
func checkGrants(ctx context.Context, db *warehouse.Conn) error {
	var faults []error
	names := db.Database()
	for _, database := range []string{string(names), names.Internals()} {
		for _, privilege := range sql.Privileges() {
			var granted uint8
			err := db.Query(ctx, names.CheckGrant(privilege, database), nil, func(r warehouse.Rows) error { return r.Scan(&granted) })
			if err != nil {
				return err
			}
			if granted == 0 {
				faults = append(faults, fault.New("GRANT "+privilege+" ON "+sql.Ident(database)+".* TO the user of clickhouse.dsn;",
					"ClickHouse: no privilege %s on database %s", privilege, database))
			}
		}
	}
	return errors.Join(faults...)
}
