package demo

import (
	"context"
	"embed"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/tidemark-db/tidemark/splitdate"
)

//go:embed sql
var statements embed.FS

// statement returns the text of an embedded statement.
func statement(name string) string {
	text, err := statements.ReadFile("sql/" + name + ".sql")
	if err != nil {
		panic(err) // the name is a constant of this package
	}
	return string(text)
}

// database is the name of the shop's database on both sides.
const database = "shop"

// shopSize is how much a new shop has.
type shopSize struct{ stores, products, sales int }

var defaultSize = shopSize{stores: 40, products: 250, sales: 200_000}

// shop is the database that works.
type shop struct {
	pool             *pgxpool.Pool
	stores, products int
	lastSale         int64 // newest id at the start
}

// openShop connects to the shop, which it creates where there is none yet. dsn returns the connection string of a
// database.
func openShop(ctx context.Context, dsn func(database string) string, size shopSize) (s *shop, made bool, err error) {
	if err := createDatabase(ctx, dsn("postgres")); err != nil {
		return nil, false, err
	}
	pool, err := connectShop(ctx, dsn(database))
	if err != nil {
		return nil, false, fmt.Errorf("connect to the shop: %w", err)
	}
	s = &shop{pool: pool}
	made, err = s.create(ctx, size)
	if err == nil {
		err = s.count(ctx)
	}
	if err != nil {
		pool.Close()
		return nil, false, err
	}
	return s, made, nil
}

// connectShop pins what the text of values depends on: the environment may name a time zone.
func connectShop(ctx context.Context, dsn string) (*pgxpool.Pool, error) {
	cfg, err := pgxpool.ParseConfig(dsn)
	if err != nil {
		return nil, err
	}
	cfg.MaxConns = workers + 3 // the prober, the meter and one to spare
	cfg.ConnConfig.RuntimeParams["timezone"] = "UTC"
	cfg.ConnConfig.RuntimeParams["datestyle"] = "ISO"
	return pgxpool.NewWithConfig(ctx, cfg)
}

func (s *shop) close() { s.pool.Close() }

func createDatabase(ctx context.Context, dsn string) (err error) {
	conn, err := pgx.Connect(ctx, dsn)
	if err != nil {
		return fmt.Errorf("connect to PostgreSQL: %w", err)
	}
	defer func() { err = errors.Join(err, conn.Close(context.WithoutCancel(ctx))) }()
	var there bool
	err = conn.QueryRow(ctx, statement("find_database"), database).Scan(&there)
	if err == nil && !there {
		_, err = conn.Exec(ctx, "CREATE DATABASE "+pgx.Identifier{database}.Sanitize())
	}
	if err != nil {
		return fmt.Errorf("create the shop's database: %w", err)
	}
	return nil
}

// create makes the tables, the publication and the first rows in one transaction: a shop is whole or absent.
func (s *shop) create(ctx context.Context, size shopSize) (made bool, err error) {
	var there bool
	if err := s.pool.QueryRow(ctx, statement("created")).Scan(&there); err != nil || there {
		return false, err
	}
	err = pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		for _, step := range []struct {
			name string
			args []any
		}{
			{"schema", nil},
			{"seed_stores", []any{size.stores}},
			{"seed_products", []any{size.products}},
			{"seed_sales", []any{size.sales, size.stores, size.products}},
			{"seed_stock", nil},
		} {
			if _, err := tx.Exec(ctx, statement(step.name), step.args...); err != nil {
				return fmt.Errorf("%s: %w", step.name, err)
			}
		}
		return nil
	})
	if err == nil {
		_, err = s.pool.Exec(ctx, "VACUUM ANALYZE")
	}
	if err != nil {
		return false, fmt.Errorf("create the shop: %w", err)
	}
	return true, nil
}

// count reads what the workload draws from.
func (s *shop) count(ctx context.Context) error {
	if err := s.pool.QueryRow(ctx, statement("count")).Scan(&s.stores, &s.products, &s.lastSale); err != nil {
		return fmt.Errorf("count the shop: %w", err)
	}
	return nil
}

// position returns PostgreSQL's position; what was committed before the call lies before it.
func (s *shop) position(ctx context.Context) (splitdate.LSN, error) {
	var lsn int64
	if err := s.pool.QueryRow(ctx, statement("position")).Scan(&lsn); err != nil {
		return 0, fmt.Errorf("read PostgreSQL's position: %w", err)
	}
	return splitdate.LSN(lsn), nil
}
