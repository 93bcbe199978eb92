package e2e

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/tidemark-db/tidemark/internal/bridge"
	"github.com/tidemark-db/tidemark/internal/warehouse"
)

// accessDenied is ClickHouse's ACCESS_DENIED.
const accessDenied = 497

// TestReaderRole sees that a reader can query the views and nothing else.
func TestReaderRole(t *testing.T) {
	t.Parallel()
	r := shop(t)
	r.Run(r.ConfigFile(shopTables), bridge.Options{})
	r.WaitLSN(2)
	reader := r.Reader(nil)
	var rows uint64
	if err := reader.QueryRow(t.Context(), "SELECT count() FROM "+r.Name+".sales JOIN "+r.Name+".split_date_current ON true").Scan(&rows); err != nil || rows != 20 {
		t.Errorf("%d rows, %v", rows, err)
	}
	for _, statement := range []string{
		"INSERT INTO %s.split_date SELECT * FROM %[1]s.split_date",
		"INSERT INTO %s_tidemark.sales_chunks SELECT * FROM %[1]s_tidemark.sales_chunks",
		"ALTER TABLE %s_tidemark.sales_chunks DELETE WHERE 1",
		"ALTER TABLE %s_tidemark.sales_chunks DROP PARTITION ID 'x'",
		"TRUNCATE TABLE %s.split_date",
		"DROP VIEW %s.sales",
		"DROP TABLE %s_tidemark.sales_chunks",
		"DROP DATABASE %s_tidemark",
		"CREATE TABLE %s.mine (n UInt8) ENGINE = Memory",
		"CREATE VIEW %s.mine AS SELECT 1",
		"CREATE OR REPLACE VIEW %s.sales AS SELECT 1",
		"CREATE DATABASE %s_mine",
		"SELECT * FROM system.processes WHERE '%s' != ''",
	} {
		err := reader.Exec(t.Context(), fmt.Sprintf(statement, r.Name))
		var exception *clickhouse.Exception
		if !errors.As(err, &exception) || exception.Code != accessDenied {
			t.Errorf("%s: %v", statement, err)
		}
	}
}

// TestBridgeRole sees that a bridge can read the source and not write to it, and sees the queries of others, on which
// depends what it may drop.
func TestBridgeRole(t *testing.T) {
	t.Parallel()
	r := shop(t)
	conn, err := pgx.Connect(t.Context(), r.SourceDSN())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	var rows int
	if err := conn.QueryRow(t.Context(), "SELECT count(*) FROM sales").Scan(&rows); err != nil || rows != 10 {
		t.Errorf("%d rows, %v", rows, err)
	}
	for _, statement := range []string{
		"INSERT INTO stores VALUES (9, 'nine')", "UPDATE sales SET note = ''", "DELETE FROM sales", "TRUNCATE sales", "DROP TABLE sales",
		"CREATE TABLE mine (n int)", "ALTER TABLE sales ADD n int", "CREATE PUBLICATION mine FOR TABLE sales", "CREATE ROLE mine",
	} {
		_, err := conn.Exec(t.Context(), statement)
		var refused *pgconn.PgError
		if !errors.As(err, &refused) || refused.Code != "42501" {
			t.Errorf("%s: %v", statement, err)
		}
	}
	db, err := warehouse.Open(warehouse.Options{DSN: r.TargetDSN()})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	ctx, cancel := context.WithCancel(t.Context())
	reader, ended := r.Reader(nil), make(chan struct{})
	go func() { // ends with ctx
		defer close(ended)
		if err := reader.Exec(ctx, "SELECT sleepEachRow(1) FROM numbers(600) SETTINGS max_block_size = 1"); ctx.Err() == nil {
			t.Errorf("the slow query ended: %v", err)
		}
	}()
	defer func() { cancel(); <-ended }()
	r.Eventually(30*time.Second, "the bridge to see a query that began 100 ms ago", func(ctx context.Context) error {
		var now, oldest int64
		err := db.Query(ctx, db.Database().OldestQuery(), warehouse.Params{"prefix": "tidemark"}, func(rows warehouse.Rows) error { return rows.Scan(&now, &oldest) })
		if err == nil && now-oldest < 100_000 {
			return errors.New("it sees none")
		}
		return err
	})
}
