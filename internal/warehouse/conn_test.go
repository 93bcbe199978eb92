package warehouse_test

import (
	"os"
	"testing"

	"github.com/tidemark-db/tidemark/internal/engine"
	"github.com/tidemark-db/tidemark/internal/warehouse"
	"github.com/tidemark-db/tidemark/sql"
)

// TestSettingsArePinned connects with a DSN that asks for what would lose or change rows.
func TestSettingsArePinned(t *testing.T) {
	server, err := engine.StartClickHouse(t.Context(), engine.ClickHouseOptions{Progress: os.Stderr})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = server.Stop(t.Context()) })
	db, err := warehouse.Open(warehouse.Options{DSN: server.DSN("shop") + "?async_insert=1&insert_deduplicate=1&join_use_nulls=1&limit=3"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	for _, name := range []string{"async_insert", "insert_deduplicate", "join_use_nulls", "limit"} {
		var value string
		err := db.Query(t.Context(), sql.Statement{Name: "setting", Text: "SELECT toString(toUInt64(getSetting('" + name + "')))"}, nil,
			func(r warehouse.Rows) error { return r.Scan(&value) })
		if err != nil || value != "0" {
			t.Errorf("%s is %s, %v", name, value, err)
		}
	}
}
