package demo

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/tidemark-db/tidemark/sql"
)

// columnsOf are the tables as ClickHouse has them.
var columnsOf = map[string]string{
	"stores": "id Int32, name String, city String, opened_on Date32",
	"products": `id Int32, sku String, name String, category String, price Decimal(12, 2), active Bool, manual Nullable(String),
		updated_at DateTime64(6, 'UTC')`,
	"stock": "store_id Int32, product_id Int32, on_hand Int32, received Int32, updated_at DateTime64(6, 'UTC')",
	"sales": `id Int64, store_id Int32, product_id Int32, customer_id Int32, status LowCardinality(String), qty Int32,
		price Decimal(12, 2), created_at DateTime64(6, 'UTC'), updated_at DateTime64(6, 'UTC'), note Nullable(String)`,
}

// copyTable makes a ClickHouse table that is equal to the one in PostgreSQL.
func copyTable(ctx context.Context, t *testing.T, s *servers, table string) {
	t.Helper()
	for _, text := range []string{
		"CREATE DATABASE IF NOT EXISTS shop",
		"DROP TABLE IF EXISTS shop." + table,
		fmt.Sprintf("CREATE TABLE shop.%s (%s) ENGINE = MergeTree ORDER BY tuple()", table, columnsOf[table]),
		fmt.Sprintf("INSERT INTO shop.%[1]s SELECT * FROM postgresql(%[2]s, 'shop', '%[1]s', 'postgres', '')",
			table, sql.Literal(fmt.Sprintf("127.0.0.1:%d", s.postgres.Port()))),
	} {
		if err := s.users.Driver().Exec(ctx, text); err != nil {
			t.Fatalf("%s: %v", text, err)
		}
	}
}

func TestCompareFindsDamage(t *testing.T) {
	ctx, s := testContext(t), startShared(t)
	all, err := readAll(ctx, s, "sales", []string{"id"})
	if err != nil {
		t.Fatal(err)
	}
	first, last := all[0].key[0], all[len(all)-1].key[0]
	tests := []struct {
		name, table, damage       string
		missing, extra, different int
		report                    string
	}{
		{"equal sales", "sales", "SELECT 1", 0, 0, 0, ""},
		{"equal stock", "stock", "SELECT 1", 0, 0, 0, ""},
		{"equal products", "products", "SELECT 1", 0, 0, 0, ""},
		{"equal stores", "stores", "SELECT 1", 0, 0, 0, ""},
		{"first missing", "sales", fmt.Sprintf("DELETE FROM shop.sales WHERE id = %d", first), 1, 0, 0, fmt.Sprintf("missing in sales: %d\n", first)},
		{"last missing", "sales", fmt.Sprintf("DELETE FROM shop.sales WHERE id = %d", last), 1, 0, 0, fmt.Sprintf("missing in sales: %d\n", last)},
		{"all missing", "stores", "TRUNCATE TABLE shop.stores", 5, 0, 0, "missing in stores: 5\n"},
		{"extra before", "stores", "INSERT INTO shop.stores SELECT -7, name, city, opened_on FROM shop.stores WHERE id = 1", 0, 1, 0, "extra in stores: -7\n"},
		{"extra behind", "stores", "INSERT INTO shop.stores SELECT 70, name, city, opened_on FROM shop.stores WHERE id = 1", 0, 1, 0, "extra in stores: 70\n"},
		{"row twice", "stock", "INSERT INTO shop.stock SELECT * FROM shop.stock WHERE store_id = 2 AND product_id = 10", 0, 1, 0, "extra in stock: (2, 10)\n"},
		{"number", "products", "ALTER TABLE shop.products UPDATE price = price + toDecimal64('0.01', 2) WHERE id = 3", 0, 0, 1, "different in products: 3: price is "},
		{"microsecond", "stock", "ALTER TABLE shop.stock UPDATE updated_at = addMicroseconds(updated_at, 1) WHERE store_id = 1 AND product_id = 1", 0, 0, 1, "different in stock: (1, 1): updated_at is "},
		{"NULL and empty", "products", "ALTER TABLE shop.products UPDATE manual = '' WHERE id = 1", 0, 0, 1, `different in products: 1: manual is "", not NULL`},
		{"boolean", "products", "ALTER TABLE shop.products UPDATE active = NOT active WHERE id = 2", 0, 0, 1, `active is "false", not "true"`},
		{"date", "stores", "ALTER TABLE shop.stores UPDATE opened_on = opened_on + 1 WHERE id = 1", 0, 0, 1, "opened_on is "},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			copyTable(ctx, t, s, test.table)
			if err := s.users.Driver().Exec(ctx, test.damage+" SETTINGS mutations_sync = 1"); err != nil {
				t.Fatal(err)
			}
			got := compareNamed(ctx, t, s, test.table)
			if got.missing.count != test.missing || got.extra.count != test.extra || got.different.count != test.different {
				t.Errorf("got %+v", got)
			}
			var out strings.Builder
			if err := printResults(&out, []difference{got}); err != nil {
				t.Fatal(err)
			}
			if !strings.Contains(out.String(), test.report) {
				t.Errorf("the report does not say %q:\n%s", test.report, out.String())
			}
			if equal := test.report == ""; got.equal() != equal || got.rows == 0 {
				t.Errorf("equal() is %v after %d rows", got.equal(), got.rows)
			}
		})
	}
}

func compareNamed(ctx context.Context, t *testing.T, s *servers, table string) difference {
	t.Helper()
	for _, c := range compared {
		if c.name == table {
			d, err := compareTable(ctx, s.shop, s.users, table, c.key)
			if err != nil {
				t.Fatal(err)
			}
			return d
		}
	}
	t.Fatalf("table %s is not compared", table)
	return difference{}
}

func TestEveryTableIsCompared(t *testing.T) {
	ctx, s := testContext(t), startShared(t)
	rows, err := s.shop.pool.Query(ctx, "SELECT tablename::text FROM pg_publication_tables WHERE pubname = 'tidemark' ORDER BY 1")
	if err != nil {
		t.Fatal(err)
	}
	published, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, c := range compared {
		names = append(names, c.name)
	}
	for _, table := range published {
		if !slices.Contains(names, table) {
			t.Errorf("%s is published, but only %v are compared", table, names)
		}
	}
}

func readAll(ctx context.Context, s *servers, table string, key []string) (all []*row, err error) {
	err = pgx.BeginFunc(ctx, s.shop.pool, func(tx pgx.Tx) error {
		rows, err := readTable(ctx, tx, table, key)
		if err != nil {
			return err
		}
		defer rows.close()
		for r, err := rows.next(); r != nil || err != nil; r, err = rows.next() {
			if err != nil {
				return err
			}
			all = append(all, r)
		}
		return nil
	})
	return all, err
}
