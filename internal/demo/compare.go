package demo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/tidemark-db/tidemark/internal/fault"
	"github.com/tidemark-db/tidemark/internal/warehouse"
	"github.com/tidemark-db/tidemark/splitdate"
)

// errDiffers says that the comparison was made and found a difference.
var errDiffers = errors.New("a view differs from its table")

// catchUp bounds the wait for the mark to compare at.
const catchUp = time.Minute

// compared are the tables, and an aggregate, with their keys, which are integers.
var compared = []struct {
	name string
	key  []string
}{
	{"stores", []string{"id"}},
	{"products", []string{"id"}},
	{"stock", []string{"store_id", "product_id"}},
	{"sales", []string{"id"}},
	{"revenue_per_customer", []string{"customer_id"}}, // an aggregate: a view on both sides
}

// compare waits for a mark that holds everything and compares every row of every table with its view.
func (d *demo) compare(ctx context.Context) error {
	lsn, err := d.shop.position(ctx)
	if err != nil {
		return err
	}
	d.screen.say("\nThe shop is closed. Waiting for a mark that holds %s …", lsn)
	mark, err := d.awaitPosition(ctx, lsn)
	if err != nil {
		return err
	}
	d.screen.say("Comparing every row with PostgreSQL, at mark %d.", mark.Epoch)
	var results []difference
	for _, t := range compared {
		diff, err := compareTable(ctx, d.shop, d.users, t.name, t.key)
		if err != nil {
			return err
		}
		results = append(results, diff)
	}
	return d.report(results)
}

func (d *demo) awaitPosition(ctx context.Context, lsn splitdate.LSN) (splitdate.Mark, error) {
	bounded, cancel := context.WithTimeout(ctx, catchUp)
	defer cancel()
	mark, err := d.marks.await(bounded, func(m splitdate.Mark) bool { return m.LSN >= lsn })
	if err != nil && bounded.Err() != nil && ctx.Err() == nil {
		return mark, fault.New("run it again with a lower --rate",
			"the bridge did not reach %s within %v; its newest mark is at %s: %w", lsn, catchUp, mark.LSN, errDiffers)
	}
	return mark, err
}

func (d *demo) report(results []difference) error {
	d.screen.print(d.screen.out, func(w io.Writer) error { return printResults(w, results) })
	var bad []string
	for _, r := range results {
		if !r.equal() {
			bad = append(bad, r.table)
		}
	}
	if len(bad) > 0 {
		return fault.New("run it again with --keep DIR, and see tidemark.log in that folder",
			"%s in ClickHouse: %w", strings.Join(bad, ", "), errDiffers)
	}
	d.screen.say("Every view is equal to its table.")
	return nil
}

func printResults(out io.Writer, results []difference) error {
	const layout = "  %-20s  %10s  %10s  %8s  %8s  %9s\n"
	var b strings.Builder
	fmt.Fprintf(&b, "\n"+layout, "table", "PostgreSQL", "ClickHouse", "missing", "extra", "different")
	for _, r := range results {
		fmt.Fprintf(&b, layout, r.table, thousands(r.rows), thousands(r.viewRows),
			thousands(r.missing.count), thousands(r.extra.count), thousands(r.different.count))
	}
	b.WriteByte('\n')
	for _, r := range results {
		b.WriteString(r.missing.lines(r.table, "missing") + r.extra.lines(r.table, "extra") + r.different.lines(r.table, "different"))
	}
	_, err := io.WriteString(out, b.String())
	return err
}

// difference is what a view has otherwise than its table.
type difference struct {
	table          string
	rows, viewRows int
	missing        finding // in the view
	extra          finding
	different      finding
}

func (d difference) equal() bool { return d.missing.count+d.extra.count+d.different.count == 0 }

// finding counts rows and describes the first of them.
type finding struct {
	count int
	first []string
}

const described = 10

func (f *finding) add(r *row, what string) {
	f.count++
	if len(f.first) < described {
		f.first = append(f.first, strings.TrimSuffix(keyText(r.key)+": "+what, ": "))
	}
}

// keyText is 17, or (3, 17) of several columns.
func keyText(key []int64) string {
	text := strings.Trim(strings.ReplaceAll(fmt.Sprint(key), " ", ", "), "[]")
	if len(key) > 1 {
		return "(" + text + ")"
	}
	return text
}

func (f finding) lines(table, kind string) string {
	var b strings.Builder
	for _, text := range f.first {
		fmt.Fprintf(&b, "  %s in %s: %s\n", kind, table, text)
	}
	if more := f.count - len(f.first); more > 0 {
		fmt.Fprintf(&b, "  and %s more\n", thousands(more))
	}
	return b.String()
}

// compareTable walks the table and its view side by side in the order of the key.
func compareTable(ctx context.Context, s *shop, users *warehouse.Conn, table string, key []string) (d difference, err error) {
	d.table = table
	err = pgx.BeginTxFunc(ctx, s.pool, pgx.TxOptions{AccessMode: pgx.ReadOnly}, func(tx pgx.Tx) error {
		source, err := readTable(ctx, tx, table, key)
		if err != nil {
			return err
		}
		defer source.close()
		view, err := readView(ctx, users, table, key)
		if err != nil {
			return err
		}
		defer view.close()
		return d.merge(source.names, source, view)
	})
	if err != nil {
		return d, fmt.Errorf("compare %s: %w", table, err)
	}
	return d, nil
}

// merge reads both sides to their ends. columns are the names of their columns.
func (d *difference) merge(columns []string, source, view cursor) error {
	a, err := source.next()
	if err != nil {
		return err
	}
	b, err := view.next()
	for err == nil && (a != nil || b != nil) {
		order := compareKeys(a, b)
		switch {
		case order < 0:
			d.missing.add(a, "")
		case order > 0:
			d.extra.add(b, "")
		case !slices.EqualFunc(a.columns, b.columns, equal):
			d.different.add(a, describe(columns, a, b))
		}
		if order <= 0 {
			d.rows++
			a, err = source.next()
		}
		if order >= 0 && err == nil {
			d.viewRows++
			b, err = view.next()
		}
	}
	return err
}

// compareKeys puts the end of a side after everything.
func compareKeys(a, b *row) int {
	switch {
	case a == nil:
		return 1
	case b == nil:
		return -1
	}
	return slices.Compare(a.key, b.key)
}
