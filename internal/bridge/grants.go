package bridge

import (
	"context"
	"errors"
	"fmt"

	"github.com/tidemark-db/tidemark/internal/fault"
	"github.com/tidemark-db/tidemark/internal/warehouse"
	"github.com/tidemark-db/tidemark/sql"
)

// checkTarget asks ClickHouse for every privilege that the bridge needs, and looks at its databases, before it creates
// anything.
func checkTarget(ctx context.Context, db *warehouse.Conn) error {
	var faults []error
	names := db.Database()
	for _, database := range []string{string(names), names.Internals()} {
		for _, privilege := range sql.Privileges() {
			granted, err := isGranted(ctx, db, names.CheckGrant(privilege, database))
			if err != nil {
				return err
			}
			if !granted {
				faults = append(faults, fault.New("GRANT "+privilege+" ON "+sql.Ident(database)+".* TO the user of clickhouse.dsn;",
					"ClickHouse: no privilege %s on database %s", privilege, database))
			}
		}
	}
	granted, err := isGranted(ctx, db, names.CheckReplace())
	if err != nil {
		return err
	}
	if !granted {
		faults = append(faults, fault.New(fmt.Sprintf("GRANT DROP TABLE ON %s.%s* TO the user of clickhouse.dsn;", sql.Ident(string(names)), sql.ReplacedViews),
			"ClickHouse: no privilege to replace views in database %s", names))
	}
	return errors.Join(append(faults, checkEngines(ctx, db))...)
}

// checkEngines refuses databases that would not keep what the protocol rests on: in a Replicated one other servers would have
// the tables too, but neither their rows nor their marks.
func checkEngines(ctx context.Context, db *warehouse.Conn) error {
	var faults []error
	names := db.Database()
	for _, name := range []string{string(names), names.Internals()} {
		err := db.Query(ctx, names.FindDatabase(), warehouse.Params{"name": name}, func(r warehouse.Rows) error {
			var engine string
			err := r.Scan(&engine)
			if engine != "Atomic" {
				faults = append(faults, fault.New("name a database that does not exist yet, or an Atomic one, in clickhouse.dsn",
					"ClickHouse: database %s has the engine %s; tidemark writes to one server and needs Atomic: %w", name, engine, errRefused))
			}
			return err
		})
		if err != nil {
			return err
		}
	}
	return errors.Join(faults...)
}

func isGranted(ctx context.Context, db *warehouse.Conn, check sql.Statement) (bool, error) {
	var granted uint8
	err := db.Query(ctx, check, nil, func(r warehouse.Rows) error { return r.Scan(&granted) })
	return granted == 1, err
}
