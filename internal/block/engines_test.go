package block

import (
	"context"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"github.com/jackc/pgx/v5"
	"go.uber.org/goleak"

	"github.com/tidemark-db/tidemark/internal/engine"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func testContext(tb testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(tb.Context(), 3*time.Minute)
	tb.Cleanup(cancel)
	return ctx
}

func startClickHouse(ctx context.Context, tb testing.TB) driver.Conn {
	tb.Helper()
	server, err := engine.StartClickHouse(ctx, engine.ClickHouseOptions{Progress: os.Stderr})
	must(tb, err)
	tb.Cleanup(func() {
		if err := server.Stop(context.Background()); err != nil {
			tb.Error(err)
		}
	})
	options, err := clickhouse.ParseDSN(server.DSN("default"))
	must(tb, err)
	conn, err := clickhouse.Open(options)
	must(tb, err)
	tb.Cleanup(func() { _ = conn.Close() })
	return conn
}

// startPostgres connects with the settings that cdc pins.
func startPostgres(ctx context.Context, tb testing.TB) *pgx.Conn {
	tb.Helper()
	server, err := engine.StartPostgres(ctx, engine.PostgresOptions{Progress: os.Stderr})
	must(tb, err)
	tb.Cleanup(func() {
		if err := server.Stop(context.Background()); err != nil {
			tb.Error(err)
		}
	})
	config, err := pgx.ParseConfig(server.DSN("postgres"))
	must(tb, err)
	for name, value := range map[string]string{
		"DateStyle": "ISO", "IntervalStyle": "postgres", "TimeZone": "UTC", "extra_float_digits": "3",
		"bytea_output": "hex", "client_encoding": "UTF8",
	} {
		config.RuntimeParams[name] = value
	}
	config.DefaultQueryExecMode = pgx.QueryExecModeSimpleProtocol
	conn, err := pgx.ConnectConfig(ctx, config)
	must(tb, err)
	tb.Cleanup(func() { _ = conn.Close(context.Background()) })
	return conn
}

func must(tb testing.TB, err error) {
	tb.Helper()
	if err != nil {
		tb.Fatal(err)
	}
}

// send inserts the builder's rows into a table of its columns between two columns of the caller's, and an ordinal.
func send(ctx context.Context, tb testing.TB, conn driver.Conn, table string, b *Builder, start int) {
	tb.Helper()
	batch, err := conn.PrepareBatch(clickhouse.Context(ctx, clickhouse.WithSettings(clickhouse.Settings{"async_insert": 0})),
		"INSERT INTO "+table)
	must(tb, err)
	defer func() { _ = batch.Close() }()
	ordinals, chunks := make([]uint64, b.Rows()), make([]uint8, b.Rows())
	for i := range ordinals {
		ordinals[i], chunks[i] = uint64(start+i), 7
	}
	must(tb, batch.Column(0).Append(ordinals))
	must(tb, b.AppendTo(batch, 1))
	must(tb, batch.Column(1+len(b.cols)).Append(chunks))
	must(tb, batch.Send())
}

func createTable(ctx context.Context, tb testing.TB, conn driver.Conn, table string, b *Builder) {
	tb.Helper()
	columns := ""
	for _, c := range b.cols {
		columns += fmt.Sprintf("`%s` %s, ", c.name, c.typ.Name)
	}
	must(tb, conn.Exec(ctx, "CREATE TABLE "+table+" (_i UInt64, "+columns+"_chunk UInt8) ENGINE = MergeTree ORDER BY _i"))
}
