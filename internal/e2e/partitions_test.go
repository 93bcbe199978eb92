package e2e

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"github.com/tidemark-db/tidemark/internal/bridge"
)

// partsRig is a partitioned table that is written to, with readers that allow for what PostgreSQL does not announce: until
// the rows of a partition that comes or goes are read again, a view may show the table without that, and never something
// else. What comes or goes is in audit under a name of its own until the views show it.
type partsRig struct {
	*auditRig
	a audited

	mu            sync.Mutex
	reads         int
	before, after int // reads of the table without and with what came or went last
	faults        []error
}

// partsSettings have the rows of a partition read in seconds, so that queries see the table without them for a while.
const partsSettings = "limits: {copy_rows_per_second: 1000}\ntick: 100ms\nrt_window: 4s\nsplit_step: 1s\nschedule: {roll: \"@every 1s\", resync: \"@every 3s\"}"

func newPartsRig(t *testing.T, viaRoot bool) *partsRig {
	t.Helper()
	r := newAuditRig(t, lateTables("parts")...)
	p := &partsRig{auditRig: r, a: r.tables[0]}
	p.exec(fmt.Sprintf("DROP PUBLICATION tidemark; CREATE PUBLICATION tidemark FOR TABLE parts, audit WITH (publish_via_partition_root = %t)", viaRoot))
	p.exec("INSERT INTO audit VALUES ('parts~', 0, 0, 0)")
	return p
}

func (p *partsRig) exec(sql string) {
	p.t.Helper()
	if _, err := p.PG.Exec(p.t.Context(), sql); err != nil {
		p.t.Fatalf("%.300s: %v", sql, err)
	}
}

// read asks once whether the view is as audit says, with or without what came or went last.
func (p *partsRig) read(ctx context.Context, conn driver.Conn) error {
	var n, h, wantN, wantH, moreN, moreH int64
	err := conn.QueryRow(ctx, fmt.Sprintf(`SELECT (SELECT toInt64(count()) FROM %[1]s.parts), (SELECT sum(%[2]s) FROM %[1]s.parts),
		sumIf(n, name = 'parts'), sumIf(h, name = 'parts'), sumIf(n, name = 'parts~'), sumIf(h, name = 'parts~') FROM %[1]s.audit`,
		p.Name, p.a.clickhouseWeight())).Scan(&n, &h, &wantN, &wantH, &moreN, &moreH)
	if err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.reads++
	switch {
	case moreN == 0 && n == wantN && h == wantH:
		return errBefore
	case n == wantN+moreN && h == wantH+moreH:
		p.after++
	case n == wantN && h == wantH:
		p.before++
		return errBefore
	default:
		err = fmt.Errorf("%w: parts has %d rows of weight %d, audit says %d of %d, and %d of %d on their way", errAudit, n, h, wantN, wantH, moreN, moreH)
		if len(p.faults) < 10 {
			p.faults = append(p.faults, err)
		}
	}
	return err
}

// errBefore says that a read saw the table without what came or went last.
var errBefore = errors.New("not shown yet")

// startReader reads until the test ends.
func (p *partsRig) startReader() {
	ctx, cancel := context.WithCancel(p.t.Context())
	conn := p.Reader(nil)
	done := make(chan struct{})
	go func() { // ends with cancel, and is awaited below
		defer close(done)
		for ctx.Err() == nil {
			if err := p.read(context.WithoutCancel(ctx), conn); err != nil && !errors.Is(err, errBefore) && !errors.Is(err, errAudit) {
				p.mu.Lock()
				p.faults = append(p.faults, err)
				p.mu.Unlock()
				return
			}
			select {
			case <-ctx.Done():
			case <-time.After(pause):
			}
		}
	}()
	p.t.Cleanup(func() {
		cancel()
		<-done
		p.t.Logf("%d reads, %d before and %d after", p.reads, p.before, p.after)
		if len(p.faults) > 0 {
			p.t.Errorf("wrong reads: %v", errors.Join(p.faults...))
		}
	})
}

// unannounced does something to partitions that sends no row, and notes in the same transaction what it brings (sign 1) or
// takes (-1): the rows of a table. It waits until the view shows it.
func (p *partsRig) unannounced(table string, sign int, sql string) {
	p.t.Helper()
	note := fmt.Sprintf("UPDATE audit SET n = %[1]d * (SELECT count(*) FROM %[2]s), h = %[1]d * (SELECT coalesce(sum(%[3]s), 0) FROM %[2]s) WHERE name = 'parts~'",
		sign, table, p.a.postgresWeight())
	if sign < 0 { // before the rows are gone
		sql, note = note, sql
	}
	p.mu.Lock()
	p.before, p.after = 0, 0
	p.mu.Unlock()
	p.exec("BEGIN; LOCK parts IN ACCESS EXCLUSIVE MODE; " + sql + "; " + note + "; COMMIT")
	p.await()
	conn := p.Reader(nil)
	p.Eventually(commandPatience, "what came or went", func(ctx context.Context) error {
		err := p.read(ctx, conn)
		if errors.Is(err, errAudit) {
			p.t.Fatal(err)
		}
		return err
	})
	p.mu.Lock()
	before := p.before
	p.mu.Unlock()
	if sign > 0 && before == 0 { // reading takes seconds
		p.t.Errorf("no read saw the table before %s: the test shows nothing", sql)
	}
	p.exec("UPDATE audit SET n = audit.n + m.n, h = audit.h + m.h FROM audit m WHERE m.name = 'parts~' AND audit.name = 'parts' AND audit.session = (SELECT min(session) FROM audit WHERE name = 'parts'); UPDATE audit SET n = 0, h = 0 WHERE name = 'parts~'")
	p.await()
}

// extra creates a table that can become a partition of older rows.
const extra = `DO $$ BEGIN
	EXECUTE format('CREATE TABLE extra (LIKE parts INCLUDING ALL, CHECK (d >= %1$L AND d < %2$L))', now() - interval '200 h', now() - interval '100 h');
	INSERT INTO extra SELECT 10000 + g, now() - interval '101 h' - g * interval '1 min', g FROM generate_series(1, 3000) g;
END $$`

// attach is done within a transaction, with the bounds of the check.
const attach = `DO $$ BEGIN
	EXECUTE 'ALTER TABLE parts ATTACH PARTITION extra FOR VALUES FROM (' || (SELECT quote_literal(m[1]) || ') TO (' || quote_literal(m[2])
		FROM (SELECT regexp_match(pg_get_constraintdef(oid), '>= ''([^'']*)''.*< ''([^'']*)''') AS m FROM pg_constraint WHERE conname = 'extra_d_check') c) || ')';
END $$`

// TestPartitions attaches, detaches, drops and truncates partitions while the table is written to and read.
func TestPartitions(t *testing.T) {
	for _, viaRoot := range []bool{true, false} {
		t.Run(fmt.Sprintf("via root %t", viaRoot), func(t *testing.T) {
			p := newPartsRig(t, viaRoot)
			w := p.start(seed(t))
			b := p.Run(p.config(partsSettings), bridge.Options{CheckInvariants: true})
			p.await()
			p.startReader()
			p.exec(extra)
			p.unannounced("extra", 1, attach)
			p.exec("UPDATE parts SET v = v + 1 WHERE id BETWEEN 10500 AND 10600; DELETE FROM parts WHERE id BETWEEN 10601 AND 10650; INSERT INTO parts SELECT 20000 + id, d, v FROM parts WHERE id BETWEEN 10001 AND 10010")
			p.unannounced("extra", -1, "ALTER TABLE parts DETACH PARTITION extra")
			p.exec("INSERT INTO extra SELECT 30000 + id, d, v FROM extra WHERE id < 10200")
			p.unannounced("extra", 1, attach)
			p.unannounced("extra", -1, "TRUNCATE extra")
			p.exec("INSERT INTO parts SELECT 10000 + g, now() - interval '101 h' - g * interval '1 min', -g FROM generate_series(1, 50) g")
			p.unannounced("parts_mid_1", -1, "DROP TABLE parts_mid_1; CREATE TABLE parts_mid_1 PARTITION OF parts_mid FOR VALUES WITH (MODULUS 2, REMAINDER 0)")
			p.unannounced("extra", -1, "DROP TABLE extra")
			w.stop()
			p.settled(b)
		})
	}
}

// settled waits until nothing waits to be read again and compares the view with the table.
func (p *partsRig) settled(b interface {
	Verify(context.Context, bridge.Request) ([]bridge.Reread, error)
},
) {
	p.t.Helper()
	p.Eventually(commandPatience, "the view to equal the table", func(ctx context.Context) error {
		p.await()
		return p.compareRows(p.a, "parts")
	})
	found, err := b.Verify(p.t.Context(), bridge.Request{Table: "parts"})
	if err != nil {
		p.t.Fatal(err)
	}
	for _, f := range found {
		if !f.Equal {
			p.t.Errorf("%+v", f)
		}
	}
}
