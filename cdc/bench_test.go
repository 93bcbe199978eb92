package cdc

import (
	"context"
	"fmt"
	"syscall"
	"testing"
	"time"

	"github.com/tidemark-db/tidemark/internal/engine"
)

// cpu is the processor time of this process.
func cpu() time.Duration {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkStream reports rows by wall clock, which includes PostgreSQL's decoding, and by our own processor time.
func BenchmarkStream(b *testing.B) {
	const rows = 300000
	cfg := benchSource(b, rows)
	start, err := CreateSlot(b.Context(), cfg)
	if err != nil {
		b.Fatal(err)
	}
	fill(b, cfg, rows)
	var wall, used time.Duration
	for b.Loop() {
		began, before := time.Now(), cpu()
		readAll(b, cfg, start, rows)
		wall += time.Since(began)
		used += cpu() - before
	}
	b.ReportMetric(float64(rows*b.N)/wall.Seconds(), "rows/s")
	b.ReportMetric(float64(rows*b.N)/used.Seconds(), "rows/cpu-s")
}

func readAll(b *testing.B, cfg Config, start LSN, rows int) {
	stream, err := OpenStream(b.Context(), cfg, start, StreamOptions{})
	if err != nil {
		b.Fatal(err)
	}
	ctx, cancel := context.WithCancel(b.Context())
	ended := make(chan error, 1)
	go func() { ended <- stream.Run(ctx) }()
	for rows > 0 {
		batch := <-stream.Batches()
		for i := range batch.Events {
			if batch.Events[i].Kind == Change {
				rows--
			}
		}
		stream.Done(batch)
	}
	cancel()
	if err := <-ended; err != nil {
		b.Fatal(err)
	}
}

func BenchmarkCopy(b *testing.B) {
	const rows = 300000
	cfg := benchSource(b, rows)
	fill(b, cfg, rows)
	conn, err := Connect(b.Context(), cfg)
	if err != nil {
		b.Fatal(err)
	}
	defer closeConn(b.Context(), conn)
	tables, err := ReadCatalog(b.Context(), conn, cfg.Publication)
	if err != nil {
		b.Fatal(err)
	}
	barrier, err := OpenBarrier(b.Context(), cfg)
	if err != nil {
		b.Fatal(err)
	}
	defer barrier.Close()
	var wall, used time.Duration
	for b.Loop() {
		began, before := time.Now(), cpu()
		err := barrier.Copy(b.Context(), CopyOptions{Table: tables[0], Workers: 2}, func(context.Context, int, []Tuple) error { return nil })
		if err != nil {
			b.Fatal(err)
		}
		wall += time.Since(began)
		used += cpu() - before
	}
	b.ReportMetric(float64(rows*b.N)/wall.Seconds(), "rows/s")
	b.ReportMetric(float64(rows*b.N)/used.Seconds(), "rows/cpu-s")
}

func benchSource(b *testing.B, rows int) Config {
	b.Helper()
	pg := servers[versions[0]]
	cfg := Config{Publication: "pub", Slot: fmt.Sprintf("bench_%d", sourceNumber.Add(1))}
	benchExec(b, pg, "postgres", "CREATE DATABASE "+cfg.Slot)
	cfg.DSN = pg.DSN(cfg.Slot)
	benchExec(b, pg, cfg.Slot, `CREATE TABLE public.sales (id bigint PRIMARY KEY, store_id int NOT NULL, customer_id int, product_id int NOT NULL, qty int NOT NULL,
		price numeric(12, 2) NOT NULL, status text NOT NULL, note text, paid boolean, created_at timestamptz NOT NULL, updated_at timestamptz)`)
	benchExec(b, pg, cfg.Slot, "CREATE PUBLICATION pub FOR ALL TABLES")
	b.Cleanup(func() {
		if err := DropSlot(context.Background(), cfg); err != nil {
			b.Error(err)
		}
	})
	return cfg
}

func fill(b *testing.B, cfg Config, rows int) {
	b.Helper()
	benchExec(b, servers[versions[0]], cfg.Slot, fmt.Sprintf(`INSERT INTO public.sales SELECT i, i %% 50, i %% 9999, i %% 500, 1 + i %% 5, i %% 1000 + 0.99, 'paid', NULL, true,
		now() - i * interval '1 s', NULL FROM generate_series(1, %d) i`, rows))
	benchExec(b, servers[versions[0]], cfg.Slot, "VACUUM ANALYZE public.sales")
}

func benchExec(b *testing.B, pg *engine.Postgres, database, sql string) {
	b.Helper()
	conn, err := Connect(b.Context(), Config{DSN: pg.DSN(database)})
	if err != nil {
		b.Fatal(err)
	}
	defer closeConn(b.Context(), conn)
	if _, err := conn.Exec(b.Context(), sql); err != nil {
		b.Fatal(err)
	}
}

// BenchmarkCatalogState measures the look at the catalogue before each mark, of 200 tables with 20 columns and an index each.
func BenchmarkCatalogState(b *testing.B) {
	cfg := benchSource(b, 0)
	conn, err := Connect(b.Context(), cfg)
	if err != nil {
		b.Fatal(err)
	}
	defer closeConn(context.WithoutCancel(b.Context()), conn)
	_, err = conn.Exec(b.Context(), `DO $$ BEGIN FOR n IN 1..200 LOOP
		EXECUTE format('CREATE TABLE public.wide_%s (id int PRIMARY KEY, %s)', n, (SELECT string_agg(format('c%s int', g), ', ') FROM generate_series(1, 19) g));
		END LOOP; END $$`)
	if err != nil {
		b.Fatal(err)
	}
	tables := make([]string, 200)
	for i := range tables {
		tables[i] = fmt.Sprintf("public.wide_%d", i+1)
	}
	least := time.Hour
	for b.Loop() {
		began := time.Now()
		if _, err := ReadCatalogState(b.Context(), conn, cfg.Publication, tables); err != nil {
			b.Fatal(err)
		}
		least = min(least, time.Since(began))
	}
	b.ReportMetric(float64(least.Microseconds()), "least-µs")
}
