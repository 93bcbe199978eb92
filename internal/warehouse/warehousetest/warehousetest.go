// Package warehousetest opens a ClickHouse of a test's own.
package warehousetest

import (
	"os"
	"testing"

	"github.com/tidemark-db/tidemark/internal/engine"
	"github.com/tidemark-db/tidemark/internal/warehouse"
)

// Open starts a ClickHouse that lives as long as the test, and returns a connection to one of its databases.
func Open(t testing.TB, database string) *warehouse.Conn {
	t.Helper()
	server, err := engine.StartClickHouse(t.Context(), engine.ClickHouseOptions{Progress: os.Stderr})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = server.Stop(t.Context()) })
	db, err := warehouse.Open(warehouse.Options{DSN: server.DSN(database)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return db
}
