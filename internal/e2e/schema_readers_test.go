package e2e

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"github.com/tidemark-db/tidemark/internal/rig"
)

// weighed sets up the table audit, where the transaction that changes a table says how many rows that has and what they weigh.
// The weight is of a column that stays, so that a reader can ask the same before a schema change and after it.
var weighed = []string{
	"CREATE TABLE audit (name text PRIMARY KEY, n bigint NOT NULL, h bigint NOT NULL)",
	"CREATE FUNCTION weight(at timestamptz) RETURNS bigint LANGUAGE sql AS 'SELECT (extract(epoch FROM at) * 1000000)::bigint'",
	`CREATE FUNCTION weigh() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
		IF TG_OP = 'TRUNCATE' THEN UPDATE audit SET n = 0, h = 0 WHERE name = TG_TABLE_NAME; END IF;
		IF TG_OP IN ('UPDATE', 'DELETE') THEN UPDATE audit SET n = n - 1, h = h - weight(OLD.at) WHERE name = TG_TABLE_NAME; END IF;
		IF TG_OP IN ('UPDATE', 'INSERT') THEN UPDATE audit SET n = n + 1, h = h + weight(NEW.at) WHERE name = TG_TABLE_NAME; END IF;
		RETURN NULL;
	END $$`,
}

func weigh(table string) []string {
	return []string{
		fmt.Sprintf("INSERT INTO audit SELECT '%s', count(*), sum(weight(at)) FROM %[1]s", table),
		fmt.Sprintf("CREATE TRIGGER weigh AFTER INSERT OR UPDATE OR DELETE ON %s FOR EACH ROW EXECUTE FUNCTION weigh()", table),
		fmt.Sprintf("CREATE TRIGGER weigh_all AFTER TRUNCATE ON %s FOR EACH STATEMENT EXECUTE FUNCTION weigh()", table),
	}
}

// dashboard is a query that somebody wrote before a schema change, and that is asked again and again in the same words.
type dashboard struct {
	conn driver.Conn
	from string // a view of ours, or somebody's own view of it

	reads, held, replanned atomic.Int64
}

// ask reads a table's rows and what the audit says of them, at one mark.
func (d *dashboard) ask(ctx context.Context, database, table string) error {
	ctx = clickhouse.Context(ctx, clickhouse.WithParameters(clickhouse.Parameters{"table": table}))
	var n uint64
	var wantN, h, wantH int64
	err := d.conn.QueryRow(ctx, fmt.Sprintf(`SELECT seen.1, seen.2, n, h
		FROM (SELECT (SELECT (count(), toInt64(sum(toUnixTimestamp64Micro(at)))) FROM %s.%s) AS seen, n, h FROM %[1]s.audit WHERE name = {table:String})`,
		database, d.from)).Scan(&n, &h, &wantN, &wantH)
	switch {
	case err == nil && (int64(n) != wantN || h != wantH):
		return fmt.Errorf("%s has %d rows of weight %d, audit says %d of %d", d.from, n, h, wantN, wantH)
	case err == nil:
		d.reads.Add(1)
	case strings.Contains(err.Error(), "changed while this query was planned"):
		d.replanned.Add(1)
		return nil
	case strings.Contains(err.Error(), "not loaded"),
		strings.Contains(err.Error(), "UNKNOWN_TABLE"), strings.Contains(err.Error(), "Unknown table"): // planned while its internals were made anew
		d.held.Add(1)
		return nil
	}
	return err
}

// readWhileWritten has dashboards read a table, over both protocols, and at will rows of several ages written to it, until the
// returned function has seen that the table is what PostgreSQL has. Every read must see one state, whatever columns the table
// has; only where it has to be loaded again may reads fail meanwhile.
func readWhileWritten(t *testing.T, r *rig.Rig, c schemaCase, write bool) (settle func()) {
	t.Helper()
	boards := []*dashboard{{conn: r.Reader(nil), from: c.name}, {conn: r.HTTPReader(nil), from: c.name}}
	if strings.HasPrefix(c.name, "add") && !c.loaded { // what it names stays
		if err := r.CH.Exec(t.Context(), fmt.Sprintf("CREATE VIEW %s.board_%s AS SELECT *, 1 AS `one` FROM %[1]s.%[2]s", r.Name, c.name)); err != nil {
			t.Fatal(err)
		}
		boards = append(boards, &dashboard{conn: r.CH, from: "board_" + c.name})
	}
	reading, stopReading := context.WithCancel(t.Context())
	writing, stopWriting := context.WithCancel(reading)
	var readers, writers sync.WaitGroup
	work := func(ctx context.Context, wg *sync.WaitGroup, f func(context.Context) error) {
		wg.Go(func() { // ends with ctx, or with its first error
			for ctx.Err() == nil {
				if err := f(context.WithoutCancel(ctx)); err != nil {
					t.Errorf("%s: %v", c.name, err)
					return
				}
				select {
				case <-ctx.Done():
				case <-time.After(5 * pause): // there is a reader and a writer for each table, and a read of two views is work
				}
			}
		})
	}
	next := 0
	work(reading, &readers, func(ctx context.Context) error {
		next++
		return boards[next%len(boards)].ask(ctx, r.Name, c.name)
	})
	if write {
		work(writing, &writers, func(ctx context.Context) error {
			_, err := r.PG.Exec(ctx, fmt.Sprintf("BEGIN; LOCK TABLE %s IN SHARE ROW EXCLUSIVE MODE; UPDATE %[1]s SET at = now() - random() * interval '12 h' WHERE n BETWEEN 46 AND 60 AND random() < 0.3; COMMIT", c.name))
			return err
		})
	}
	return func() {
		t.Helper()
		stopWriting()
		writers.Wait()
		sameAsSource(t, r, c.name)
		for _, b := range boards {
			before := b.reads.Load()
			r.Eventually(schemaPatience, "a read of "+b.from, func(context.Context) error {
				if t.Failed() || b.reads.Load() > before {
					return nil
				}
				return errors.New("none")
			})
		}
		stopReading()
		readers.Wait()
		for _, b := range boards {
			t.Logf("%s: %d reads, %d while it was held, %d to be planned again", b.from, b.reads.Load(), b.held.Load(), b.replanned.Load())
			if b.held.Load() > 0 && !c.loaded {
				t.Errorf("%s was held, and should not be", c.name)
			}
		}
	}
}
