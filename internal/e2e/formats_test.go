package e2e

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tidemark-db/tidemark/cdc"
	"github.com/tidemark-db/tidemark/internal/bridge"
	"github.com/tidemark-db/tidemark/internal/rig"
	"github.com/tidemark-db/tidemark/internal/shape"
	"github.com/tidemark-db/tidemark/splitdate"
)

var rewrite = flag.Bool("rewrite", false, "write the fixture of the present format anew")

// A fixture is everything that a bridge had in ClickHouse when it was stopped, as the statements that make it again:
// testdata/format_N.sql for each format of the mark that a binary has to read, the present one and the one before. A new
// format comes with its fixture, and leaves those before it as they are.
const (
	fixtureName   = "fixture_name" // stands for the databases' name
	fixtureSource = "'fixture_source'"
	fixtureLSN    = "1000000000000000001"
)

// fixtureTables hold what PostgreSQL had when the fixtures were made, all of it settled but for 2024's last day.
var fixtureTables = []string{
	"CREATE TABLE sales (id int PRIMARY KEY, at timestamptz, note text)",
	"INSERT INTO sales SELECT n, timestamptz '2024-01-01 00:00:00+00' + n * interval '1 day', 'n' || n FROM generate_series(0, 9) n",
	"INSERT INTO sales VALUES (100, '2224-01-01', 'to come')",
	"CREATE TABLE stores (id int PRIMARY KEY, name text)", "INSERT INTO stores VALUES (1, 'one'), (2, NULL)",
	"CREATE PUBLICATION tidemark FOR TABLE sales, stores",
}

const fixtureConfig = "schedule: {resync: \"\"}\ntables:\n  public.sales: {date_column: at}\n  public.stores: {}\n"

// TestFormats starts a bridge on what one of each format left, and compares after changes on either side of the split.
func TestFormats(t *testing.T) {
	if *rewrite {
		writeFixture(t)
	}
	files, err := filepath.Glob("testdata/format_*.sql")
	if err != nil || len(files) == 0 {
		t.Fatalf("there are no fixtures, %v", err)
	}
	if newest := fmt.Sprintf("testdata/format_%d.sql", splitdate.Format); files[len(files)-1] != newest {
		t.Errorf("there is no %s: make it with -rewrite", newest)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			r := rig.New(t, servers, fixtureTables...)
			loadFixture(t, r, read(t, file))
			adoptTables(t, r)
			execute(t, r, "UPDATE sales SET note = 'late' WHERE id = 3", "DELETE FROM sales WHERE id IN (4, 5)", "INSERT INTO sales VALUES (6000, now(), 'new')",
				"UPDATE sales SET note = 'later' WHERE id = 100", "DELETE FROM stores WHERE id = 2")
			b := r.Run(r.ConfigFile(fixtureConfig), bridge.Options{CheckInvariants: true})
			r.WaitLSN(2)
			if _, err := b.Resync(t.Context(), bridge.Request{}); err != nil {
				t.Error(err)
			}
			for _, table := range []string{"public.sales", "public.stores"} {
				compareTable(t, b, table)
			}
		})
	}
}

// upgradePoints are the statements that bring format 1 to format 2, or stand between its steps.
var upgradePoints = []string{"add_masked", "create_chunks", "upgrade_chunks", "upgrade_masks", "hold_view", "insert_mark", "drop_table"}

// errUpgrade ends an upgrade in a step.
var errUpgrade = errors.New("ended by the test")

// TestUpgradeEnds ends an upgrade before and after each of its statements. Until then the old views answer, or say why not; the
// next session ends the upgrade.
func TestUpgradeEnds(t *testing.T) {
	t.Parallel()
	fixture := read(t, "testdata/format_1.sql")
	for _, point := range upgradePoints {
		for _, after := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, after: %v", point, after), func(t *testing.T) {
				t.Parallel()
				r := rig.New(t, servers, fixtureTables...)
				loadFixture(t, r, fixture)
				adoptTables(t, r)
				file := r.ConfigFile(fixtureConfig)
				b := r.Run(file, bridge.Options{Hook: func(_ context.Context, statement string, done bool) error {
					if statement == point && done == after {
						return errUpgrade
					}
					return nil
				}})
				if err := <-b.Done(); !errors.Is(err, errUpgrade) {
					t.Fatalf("the upgrade ended with %v", err)
				}
				b = r.Run(file, bridge.Options{CheckInvariants: true})
				execute(t, r, "UPDATE sales SET note = 'late' WHERE id = 3", "DELETE FROM stores WHERE id = 2")
				r.WaitLSN(2)
				for _, table := range []string{"public.sales", "public.stores"} {
					compareTable(t, b, table)
				}
				var left []string
				must(t, r.CH.QueryRow(t.Context(), "SELECT groupArray(name) FROM system.tables WHERE database = ? AND engine = 'MergeTree' AND match(name, '_(rt|late|historic)$')", r.Name+"_tidemark").Scan(&left))
				if len(left) > 0 {
					t.Errorf("the upgrade left %v", left)
				}
			})
		}
	}
}

// compareTable has the bridge compare a table with PostgreSQL.
func compareTable(t *testing.T, b *rig.Bridge, table string) {
	t.Helper()
	parts, err := b.Verify(t.Context(), bridge.Request{Table: table})
	if err != nil || len(parts) == 0 {
		t.Fatalf("compared %d parts, %v", len(parts), err)
	}
	for _, part := range parts {
		if !part.Equal {
			t.Errorf("%+v", part)
		}
	}
}

// loadFixture makes the slot, and then what a bridge that had read up to there would have left.
func loadFixture(t *testing.T, r *rig.Rig, text string) {
	t.Helper()
	source := cdc.Config{DSN: r.SourceDSN(), Publication: "tidemark", Slot: r.Name}
	at, _, err := cdc.EnsureSlot(t.Context(), source)
	if err != nil {
		t.Fatal(err)
	}
	id, _, err := cdc.ReadIdentity(t.Context(), source)
	if err != nil {
		t.Fatal(err)
	}
	text = strings.NewReplacer(
		fixtureName, r.Name, fixtureLSN, fmt.Sprint(uint64(at)),
		fixtureSource, fmt.Sprintf("('%s', %d, '%s', '%s')", id.SystemID, id.Timeline, id.Database, id.Slot),
	).Replace(text)
	for statement := range strings.SplitSeq(text, ";\n\n") {
		if statement = strings.TrimSpace(statement); statement == "" {
			continue
		}
		if err := r.CH.Exec(t.Context(), statement); err != nil {
			t.Fatalf("%v in %s", err, statement)
		}
	}
}

// adoptTables has the fixture's tables be those of this PostgreSQL: their numbers in its catalogue stand in the shapes.
func adoptTables(t *testing.T, r *rig.Rig) {
	t.Helper()
	conn, err := cdc.Connect(t.Context(), cdc.Config{DSN: r.SourceDSN()})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	catalog, err := cdc.ReadCatalog(t.Context(), conn, "tidemark")
	if err != nil {
		t.Fatal(err)
	}
	for _, table := range catalog {
		text, err := json.Marshal(shape.Shape{Table: table})
		if err != nil {
			t.Fatal(err)
		}
		const query = "INSERT INTO %s_tidemark.shapes (shape, table, columns) SELECT tables['%s'].shape, '%s', unhex('%x') FROM %[1]s.split_date ORDER BY term DESC, epoch DESC LIMIT 1"
		if err := r.CH.Exec(t.Context(), fmt.Sprintf(query, r.Name, table.Name, table.FullName(), text)); err != nil {
			t.Fatal(err)
		}
	}
}

// writeFixture writes what this binary leaves of the fixture's tables, with a late change and a mask in it.
func writeFixture(t *testing.T) {
	t.Helper()
	r := rig.New(t, servers, fixtureTables...)
	b := r.Run(r.ConfigFile(fixtureConfig), bridge.Options{})
	r.WaitLSN(2)
	execute(t, r, "UPDATE sales SET note = 'n2' WHERE id = 2") // masked, and LATE
	r.WaitLSN(2)
	_ = b.Stop()
	var text strings.Builder
	for _, st := range []string{"CREATE DATABASE " + fixtureName + " ENGINE = Atomic", "CREATE DATABASE " + fixtureName + "_tidemark ENGINE = Atomic"} {
		text.WriteString(st + ";\n\n")
	}
	rows, err := r.CH.Query(t.Context(), "SELECT database, name, create_table_query, engine FROM system.tables WHERE database IN (?, ?) AND engine != 'View' ORDER BY database, name", r.Name, r.Name+"_tidemark")
	if err != nil {
		t.Fatal(err)
	}
	for rows.Next() {
		var database, name, query, engine string
		if err := rows.Scan(&database, &name, &query, &engine); err != nil {
			t.Fatal(err)
		}
		text.WriteString(query + ";\n\n" + dump(t, r, database, name))
	}
	if err := errors.Join(rows.Err(), rows.Close()); err != nil {
		t.Fatal(err)
	}
	file := fmt.Sprintf("testdata/format_%d.sql", splitdate.Format)
	if err := errors.Join(os.MkdirAll("testdata", 0o755), os.WriteFile(file, []byte(strings.ReplaceAll(text.String(), r.Name, fixtureName)), 0o644)); err != nil {
		t.Fatal(err)
	}
}

// dump is the statement that inserts the rows of a table again; of marks, the newest alone.
func dump(t *testing.T, r *rig.Rig, database, name string) string {
	t.Helper()
	source := database + "." + name
	if name == "split_date" {
		source = "(SELECT * REPLACE(" + fixtureLSN + " AS lsn, tuple('fixture_source', 0::Int32, '', '') AS source) FROM " + source + " ORDER BY term DESC, epoch DESC LIMIT 1)"
	}
	var lines []string
	err := r.CH.QueryRow(t.Context(), "SELECT groupArray(formatRowNoNewline('Values', *)) FROM "+source).Scan(&lines)
	if err != nil {
		t.Fatal(err)
	}
	if len(lines) == 0 || name == "split_date_log" || name == "shapes" || strings.HasSuffix(name, "_changes") {
		return ""
	}
	text := "INSERT INTO " + database + "." + name + " VALUES\n" + strings.Join(lines, ",\n")
	return strings.ReplaceAll(text, "('fixture_source',0,'','')", fixtureSource) + ";\n\n"
}

// TestNewerFormat has a mark of a format to come in the way: neither command nor bridge touch anything.
func TestNewerFormat(t *testing.T) {
	t.Parallel()
	r := shop(t)
	file := r.ConfigFile(shopTables)
	b := r.Run(file, bridge.Options{})
	r.WaitLSN(2)
	_ = b.Stop()
	newer := fmt.Sprintf("INSERT INTO %s.split_date SELECT * REPLACE(%d AS format, epoch + 1 AS epoch) FROM %[1]s.split_date ORDER BY term DESC, epoch DESC LIMIT 1", r.Name, splitdate.Format+1)
	if err := r.CH.Exec(t.Context(), newer); err != nil {
		t.Fatal(err)
	}
	state := func() (text string) {
		const query = "SELECT concat(toString(max((term, epoch))), toString((SELECT groupArray((table, partition_id)) FROM (SELECT table, partition_id FROM system.parts WHERE database = '%s_tidemark' AND active ORDER BY ALL))), toString(count())) FROM %[1]s.split_date"
		if err := r.CH.QueryRow(t.Context(), fmt.Sprintf(query, r.Name)).Scan(&text); err != nil {
			t.Fatal(err)
		}
		return text
	}
	before := state()
	want := []string{fmt.Sprintf("have format %d", splitdate.Format+1), "run the newer tidemark"}
	for _, args := range [][]string{{"run"}, {"check"}, {"status"}, {"roll"}, {"resync"}} {
		command(t, file, args...).fails(t, 1, want)
	}
	if after := state(); after != before {
		t.Errorf("there was %s, now there is %s", before, after)
	}
	r.Eventually(time.Minute, "the view to answer all the same", func(ctx context.Context) error {
		var n uint64
		return r.CH.QueryRow(ctx, "SELECT count() FROM "+r.Name+".sales").Scan(&n)
	})
}
