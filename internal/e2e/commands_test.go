package e2e

import (
	"context"
	"errors"
	"fmt"
	"net"
	"reflect"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/tidemark-db/tidemark/internal/bridge"
	"github.com/tidemark-db/tidemark/internal/rig"
)

// shop is a rig with a table that is split and one that is mirrored.
func shop(t *testing.T) *rig.Rig {
	t.Helper()
	return shopOn(t, servers)
}

// shopOn is one on servers of the test's own.
func shopOn(t *testing.T, servers *rig.Servers) *rig.Rig {
	t.Helper()
	return rig.New(t, servers, salesTable,
		"INSERT INTO sales SELECT g, now() - g * interval '1 h', NULL, NULL, g, 'n' FROM generate_series(0, 9) g",
		"CREATE TABLE stores (id int PRIMARY KEY, name text)", "INSERT INTO stores VALUES (1, 'one')",
		"CREATE TABLE notes (at timestamptz, text text)", "INSERT INTO notes VALUES (NULL, 'undated'), (now() + interval '9 days', 'of the future')",
		"CREATE PUBLICATION tidemark FOR ALL TABLES")
}

const shopTables = `
tables:
  public.sales: {date_column: at, rt_window: 150m}
  public.stores: {}
`

// execute runs statements in PostgreSQL.
func execute(t *testing.T, r *rig.Rig, statements ...string) {
	t.Helper()
	for _, s := range statements {
		if _, err := r.PG.Exec(t.Context(), s); err != nil {
			t.Fatal(err)
		}
	}
}

// TestCheck reports what a start would find, and changes nothing.
func TestCheck(t *testing.T) {
	t.Parallel()
	r := shop(t)
	file := r.ConfigFile(shopTables + "  public.notes: {date_column: at}\n")
	text := command(t, file, "check").works(t).stdout
	for _, want := range []string{
		"ok    ClickHouse: version", "holds no tables of tidemark yet", "ok    public.stores: mirrored, key [id]",
		"warn  public.notes: has no key", "warn  public.notes: 1 rows without a at stay in RT", "warn  public.notes: 1 rows with a at in the future",
		"ok    public.sales: 0 rows with a at in the future",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
	for _, f := range decode[[]bridge.Finding](t, command(t, file, "check", "--json")) {
		if f.State == bridge.Fail || f.Where == "" || f.What == "" || (f.State == bridge.Warn) != (f.Try != "") {
			t.Errorf("finding %+v", f)
		}
	}
	if slots(t, r, r.Name) != "" {
		t.Error("check left a slot")
	}
	other := r.Name + "_other" // of somebody else
	defining := fmt.Sprintf("CREATE VIEW %s.mine SQL SECURITY DEFINER AS SELECT count() AS n FROM %s.stores", other, r.Name)
	r.Run(file, bridge.Options{})
	r.WaitLSN(3)
	t.Cleanup(func() { _ = r.CH.Exec(context.Background(), "DROP DATABASE "+other) })
	for _, statement := range []string{"CREATE DATABASE " + other, defining} {
		if err := r.CH.Exec(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
	}
	if text := command(t, file, "check").works(t).stdout; !strings.Contains(text, other+".mine") || !strings.Contains(text, "newest mark: term 1") || !strings.Contains(text, "a bridge runs") {
		t.Errorf("no view, mark or bridge in\n%s", text)
	}
}

// TestStatus shows the newest mark while a bridge runs, and after.
func TestStatus(t *testing.T) {
	t.Parallel()
	r := shop(t)
	file, _ := served(t, r, shopTables)
	command(t, file, "status").fails(t, 1, []string{r.Name, "never ran", "tidemark run"})
	b := r.Run(file, bridge.Options{})
	r.WaitLSN(2)
	execute(t, r, "UPDATE sales SET note = 'late' WHERE id = 5", "INSERT INTO stores VALUES (2, 'two')")
	lsn := r.WaitLSN(2)
	status := decode[bridge.Status](t, command(t, file, "status", "--json"))
	if !status.Running || status.Term != 1 || status.Epoch < 3 || status.LSN < lsn.String() || status.Slot.Name != r.Name || status.Slot.RetainedBytes < 0 {
		t.Errorf("status %+v", status)
	}
	want := []bridge.TableStatus{
		{Table: "public.sales", Loaded: true, RTRows: 3, HistoricRows: 6, LateRows: 1, Masks: 1, RTChunks: 1, HistoricChunks: status.Tables[0].HistoricChunks, DirtyPartitions: 1},
		{Table: "public.stores", Loaded: true, RTRows: 2, RTChunks: status.Tables[1].RTChunks},
	}
	if split := status.Tables[0].SplitDate; split == nil || time.Since(*split) < 150*time.Minute || time.Since(*split) > 155*time.Minute {
		t.Errorf("split date %v", split)
	}
	status.Tables[0].SplitDate = nil
	if !reflect.DeepEqual(status.Tables, want) {
		t.Errorf("tables %+v, want %+v", status.Tables, want)
	}
	_ = b.Stop()
	text := command(t, file, "status").works(t).stdout
	if !strings.Contains(text, "no bridge is running") || !strings.Contains(text, "public.stores  mirrored") {
		t.Errorf("status of a stopped bridge:\n%s", text)
	}
}

// TestWait returns when a position is there, and gives up when it does not come.
func TestWait(t *testing.T) {
	t.Parallel()
	r := shop(t)
	file := r.ConfigFile(shopTables)
	b := r.Run(file, bridge.Options{})
	r.WaitLSN(2)
	var lsn string
	execute(t, r, "INSERT INTO stores VALUES (3, 'three')")
	if err := r.PG.QueryRow(t.Context(), "SELECT pg_current_wal_lsn()::text").Scan(&lsn); err != nil {
		t.Fatal(err)
	}
	command(t, file, "wait", "--lsn", lsn, "--timeout", "30s").works(t)
	var n uint64
	if err := r.CH.QueryRow(t.Context(), "SELECT count() FROM "+r.Name+".stores").Scan(&n); err != nil || n != 2 {
		t.Errorf("%d stores after the wait, %v", n, err)
	}
	got := decode[struct {
		LSN   string
		Epoch uint64
	}](t, command(t, file, "wait", "--lsn", lsn, "--json"))
	if got.LSN != lsn || got.Epoch < 2 {
		t.Errorf("waited for %+v", got)
	}
	_ = b.Stop()
	command(t, file, "wait", "--lsn", "FFFF/0", "--timeout", "300ms").fails(t, 1, []string{"FFFF/0", "300ms", "tidemark status"})
	command(t, file, "wait", "--lsn", "here").fails(t, 2, []string{`"here"`, "--lsn"})
	command(t, file, "wait").fails(t, 2, []string{"--lsn"})
}

// TestDDL runs by hand what ddl prints, and a bridge on the result.
func TestDDL(t *testing.T) {
	t.Parallel()
	r := shop(t)
	file := r.ConfigFile(shopTables)
	printed := command(t, file, "ddl").works(t).stdout
	statements := decode[[]string](t, command(t, file, "ddl", "--json"))
	if got := strings.Count(printed, ";\n\n"); got != len(statements) {
		t.Errorf("ddl prints %d statements, as JSON %d", got, len(statements))
	}
	for _, s := range statements {
		if !strings.Contains(printed, s+";") {
			t.Errorf("ddl does not print %s", s)
		}
		if err := r.CH.Exec(t.Context(), s); err != nil {
			t.Fatalf("%v in %s", err, s)
		}
	}
	err := r.CH.Exec(t.Context(), "SELECT * FROM "+r.Name+".sales")
	if err == nil || !strings.Contains(err.Error(), "not loaded yet") {
		t.Errorf("a view that is not loaded answers %v", err)
	}
	b := r.Run(file, bridge.Options{})
	r.WaitLSN(2)
	var n uint64
	if err := r.CH.QueryRow(t.Context(), "SELECT count() FROM "+r.Name+".sales").Scan(&n); err != nil || n != 10 {
		t.Errorf("%d sales, %v", n, err)
	}
	_ = b.Stop()
}

// TestRoll asks the running bridge for a roll, or rolls by itself.
func TestRoll(t *testing.T) {
	t.Parallel()
	r := shop(t)
	listen := freeAddress(t)
	file := write(t, strings.Replace(read(t, r.ConfigFile("schedule: {roll: \"\"}\nsplit_step: 100ms"+shopTables)), `listen: ""`, "listen: "+listen, 1))
	p := r.Spawn(file)
	r.WaitLSN(2)
	before := splitDate(t, r)
	execute(t, r, "INSERT INTO sales VALUES (100, now() - interval '150 min' + interval '1 s')") // in RT for a second more
	r.WaitLSN(2)
	r.Eventually(30*time.Second, "a roll of one row", func(context.Context) error {
		execute(t, r, "INSERT INTO stores SELECT max(id) + 1, 'next' FROM stores") // rows settle by the commits that were applied
		r.WaitLSN(2)
		for _, rolled := range decode[[]bridge.Rolled](t, command(t, file, "roll", "--json")) {
			if rolled.Table == "public.sales" && rolled.Rows == 1 {
				return nil
			}
		}
		return errors.New("nothing rolled")
	})
	middle := splitDate(t, r)
	if !middle.After(before) {
		t.Errorf("the split date went from %v to %v", before, middle)
	}
	text := strings.Replace(read(t, file), listen, freeAddress(t), 1)
	command(t, write(t, text), "roll").fails(t, 1, []string{"a bridge runs", "http.listen"})
	if code := p.Terminate(); code != 0 {
		t.Errorf("exit code %d", code)
	}
	if got := command(t, file, "roll").works(t).stdout; got != "" && !strings.Contains(got, "public.sales: 0 rows, split date") {
		t.Errorf("roll without a bridge printed %q", got)
	}
	if last := splitDate(t, r); last.Before(middle) {
		t.Errorf("the split date went back from %v to %v", middle, last)
	}
}

// freeAddress is one on which nobody listens now.
func freeAddress(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	return listener.Addr().String()
}

func splitDate(t *testing.T, r *rig.Rig) (at time.Time) {
	t.Helper()
	err := r.CH.QueryRow(t.Context(), "SELECT assumeNotNull(split_date) FROM "+r.Name+".split_date_current WHERE table = 'sales'").Scan(&at)
	if err != nil {
		t.Fatal(err)
	}
	return at
}

// TestUninstall drops what a bridge has made, one side at a time, and refuses while a bridge works.
func TestUninstall(t *testing.T) {
	t.Parallel()
	r := shop(t)
	file := r.ConfigFile(shopTables)
	b := r.Run(file, bridge.Options{})
	r.WaitLSN(2)
	command(t, file, "uninstall").fails(t, 2, []string{"--slot", "--data"})
	command(t, file, "uninstall", "--slot").fails(t, 2, []string{"--yes", "terminal"})
	command(t, file, "uninstall", "--slot", "--data", "--yes").fails(t, 1, []string{r.Name, "another bridge"})
	_ = b.Stop()
	if err := r.CH.Exec(t.Context(), "CREATE TABLE "+r.Name+".mine (n UInt8) ENGINE = Memory"); err != nil {
		t.Fatal(err)
	}
	for range 2 { // the second time there is nothing left
		command(t, file, "uninstall", "--data", "--yes").works(t)
		if left := relations(t, r); !slices.Equal(left, []string{r.Name + ".mine"}) {
			t.Errorf("left in ClickHouse: %v", left)
		}
	}
	if slots(t, r, r.Name) == "" {
		t.Error("the slot went with the data")
	}
	for range 2 {
		command(t, file, "uninstall", "--slot", "--yes").works(t)
		if slots(t, r, r.Name) != "" {
			t.Error("the slot is still there")
		}
	}
	again := r.Run(file, bridge.Options{})
	r.WaitLSN(2)
	_ = again.Stop()
}

// relations lists what lies in both databases.
func relations(t *testing.T, r *rig.Rig) (names []string) {
	t.Helper()
	err := r.CH.QueryRow(t.Context(), "SELECT arraySort(groupArray(concat(database, '.', name))) FROM system.tables WHERE database IN (?, ?)", r.Name, r.Name+"_tidemark").Scan(&names)
	if err != nil {
		t.Fatal(err)
	}
	return names
}

// TestReload has a running bridge read its configuration again: one with a fault changes nothing, another one brings a
// table more.
func TestReload(t *testing.T) {
	t.Parallel()
	r := shop(t)
	file := r.ConfigFile(shopTables)
	p := r.Spawn(file)
	r.WaitLSN(2)
	r.ConfigFile(strings.Replace(shopTables, "date_column", "date_colum", 1))
	hangup(t, p)
	r.Eventually(30*time.Second, "the refusal", func(context.Context) error {
		if log := r.Log(); !strings.Contains(log, "configuration refused") || !strings.Contains(log, "date_colum") {
			return errors.New(log)
		}
		return nil
	})
	execute(t, r, "INSERT INTO stores VALUES (5, 'five')")
	r.WaitLSN(2)
	r.ConfigFile(shopTables + "  public.notes: {date_column: at}\n")
	hangup(t, p)
	r.WaitLSN(3)
	var n uint64
	if err := r.CH.QueryRow(t.Context(), "SELECT count() FROM "+r.Name+".notes").Scan(&n); err != nil || n != 2 {
		t.Errorf("%d notes, %v", n, err)
	}
	r.ConfigFile(strings.Replace(shopTables, "  public.stores: {}\n", "", 1))
	hangup(t, p)
	r.Eventually(30*time.Second, "the view of a table that is no longer configured to go", func(context.Context) error {
		if names := relations(t, r); slices.Contains(names, r.Name+".stores") {
			return fmt.Errorf("there are %v", names)
		}
		return nil
	})
	if code := p.Terminate(); code != 0 {
		t.Errorf("exit code %d:\n%s", code, r.Log())
	}
}

func hangup(t *testing.T, p *rig.Process) {
	t.Helper()
	if err := syscall.Kill(p.Pid(), syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
}

// TestRunFlags has run check its invariants, at another tick than the file says.
func TestRunFlags(t *testing.T) {
	t.Parallel()
	r := shop(t)
	p := r.Spawn(r.ConfigFile("tick: 1h"+shopTables), "--check-invariants", "--tick", "100ms", "--rt-window", "1h")
	r.WaitLSN(2)
	execute(t, r, "UPDATE sales SET note = 'x'", "DELETE FROM stores")
	r.WaitLSN(2)
	if code := p.Terminate(); code != 0 {
		t.Errorf("exit code %d:\n%s", code, r.Log())
	}
}
