package e2e

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/tidemark-db/tidemark/internal/bridge"
	"github.com/tidemark-db/tidemark/internal/rig"
)

// The documents, from this package's folder.
var documents = []string{"../../README.md", "../../SECURITY.md", "../../docs/operators.md", "../../docs/bi.md", "../../docs/dba.md"}

// block is a fenced block of a document. Its info string says how it is run: "sh" as a script while a bridge works, "sh
// forever" until it is interrupted, "sh stopped" without a bridge, "sql clickhouse" and "sql postgres" on that server,
// "sql postgres first" before the bridge is started.
type block struct {
	where, kind, text string
}

var fence = regexp.MustCompile("(?ms)^```([a-z ]*)\n(.*?)^```$")

func readBlocks(t *testing.T) (blocks []block) {
	t.Helper()
	for _, document := range documents {
		text := read(t, document)
		for _, found := range fence.FindAllStringSubmatchIndex(text, -1) {
			line := 1 + strings.Count(text[:found[0]], "\n")
			blocks = append(blocks, block{fmt.Sprintf("%s:%d", filepath.Base(document), line), text[found[2]:found[3]], text[found[4]:found[5]]})
		}
	}
	return blocks
}

// docsTables are the shop that the documents talk of.
var docsTables = []string{
	"CREATE TABLE stores (id int PRIMARY KEY, name text NOT NULL)",
	"CREATE TABLE sales (id bigint PRIMARY KEY, created_at timestamptz NOT NULL, store_id int NOT NULL, customer_id int, qty int NOT NULL, price numeric(12, 2) NOT NULL, status text NOT NULL DEFAULT 'paid')",
	"INSERT INTO stores VALUES (1, 'one'), (2, 'two')",
	"INSERT INTO sales SELECT n, now() - n * interval '1 min', 1 + n % 2, n % 7, 1, n FROM generate_series(1, 200) n",
}

// TestDocuments runs every command of the documents, in their order, against a shop as they describe it.
func TestDocuments(t *testing.T) {
	r := rig.New(t, servers, docsTables...)
	d := &docs{Rig: r, t: t, dir: t.TempDir()}
	blocks := readBlocks(t)
	for _, b := range blocks {
		if b.kind == "sql postgres first" {
			d.postgres(b)
		}
	}
	file, url := served(t, r, "tables:\n  public.sales: {date_column: created_at, change_feed: 1d}\n  public.stores: {}\n")
	if err := errors.Join(os.Rename(file, filepath.Join(d.dir, "tidemark.yaml")), os.Symlink(rig.Binary(t), filepath.Join(d.dir, "tidemark"))); err != nil {
		t.Fatal(err)
	}
	d.address = strings.TrimPrefix(url, "http://")
	p := r.Spawn(filepath.Join(d.dir, "tidemark.yaml"))
	r.WaitLSN(2)
	for _, b := range blocks {
		if b.kind != "sh stopped" && b.kind != "sql postgres first" {
			d.run(b)
		}
	}
	if code := p.Terminate(); code != 0 {
		t.Errorf("exit code %d: %s", code, r.Log())
	}
	for _, b := range blocks {
		if b.kind == "sh stopped" {
			d.script(b)
		}
	}
}

// docs runs blocks.
type docs struct {
	*rig.Rig
	t       *testing.T
	dir     string // with tidemark and its configuration
	address string
}

// elsewhere are the commands that other tests run: CI is `make test`, the demo has its own tests, containers need an
// engine that a test machine may lack (TestCompose looks at their files).
var elsewhere = []string{"make ", "docker ", "cp deploy/"}

func (d *docs) run(b block) {
	d.t.Helper()
	switch b.kind {
	case "sh":
		d.script(b)
	case "sh forever":
		d.forever(b)
	case "sql clickhouse":
		d.sql(b, func(statement string) error {
			return d.Reader(nil).Exec(d.t.Context(), strings.NewReplacer("shop_tidemark.", d.Name+"_tidemark.", "shop.", d.Name+".").Replace(statement))
		})
	case "sql postgres":
		d.postgres(b)
	case "jinja":
		d.model(b)
	case "yaml", "": // configurations, which others load, and pictures
	default:
		d.t.Errorf("%s: nobody knows how to run %q", b.where, b.kind)
	}
}

// model runs an incremental model as dbt does: the first time, and again.
func (d *docs) model(b block) {
	d.t.Helper()
	parts := regexp.MustCompile(`(?s)\{% if is_incremental\(\) %\}(.*)\{% else %\}(.*)\{% endif %\}`).FindStringSubmatch(b.text)
	if parts == nil {
		d.t.Fatalf("%s: not an incremental model", b.where)
	}
	names := strings.NewReplacer("shop.", d.Name+".", "{{ this }}", d.Name+".model")
	for _, statement := range []string{
		"CREATE TABLE {{ this }} ENGINE = MergeTree ORDER BY id AS " + parts[2],
		"INSERT INTO {{ this }} " + parts[1],
	} {
		if err := d.CH.Exec(d.t.Context(), names.Replace(statement)); err != nil {
			d.t.Errorf("%s: %s: %v", b.where, statement, err)
		}
	}
}

func (d *docs) postgres(b block) {
	d.sql(b, func(statement string) error {
		_, err := d.PG.Exec(d.t.Context(), statement)
		return err
	})
}

func (d *docs) sql(b block, run func(string) error) {
	for statement := range strings.SplitSeq(b.text, ";\n") {
		if statement = strings.TrimSpace(statement); statement == "" {
			continue
		}
		if err := run(statement); err != nil {
			d.t.Errorf("%s: %s: %v", b.where, statement, err)
		}
	}
}

// local is the script of a block for this machine: the bridge's address, and no commands that run elsewhere.
func (d *docs) local(b block) string {
	var lines []string
	for line := range strings.Lines(b.text) {
		if !slices.ContainsFunc(elsewhere, func(prefix string) bool { return strings.HasPrefix(line, prefix) }) {
			lines = append(lines, strings.NewReplacer("127.0.0.1:8642", d.address, "bin/tidemark", "tidemark").Replace(line))
		}
	}
	return strings.Join(lines, "")
}

func (d *docs) shell(ctx context.Context, script string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, "sh", "-eu", "-c", script)
	cmd.Dir = d.dir
	cmd.Env = append(os.Environ(), "PATH="+d.dir+":"+os.Getenv("PATH"))
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
	return cmd
}

func (d *docs) script(b block) {
	d.t.Helper()
	ctx, cancel := context.WithTimeout(d.t.Context(), commandPatience)
	defer cancel()
	if out, err := d.shell(ctx, d.local(b)).CombinedOutput(); err != nil {
		d.t.Errorf("%s: %v\n%s%s", b.where, err, b.text, out)
	}
}

// forever runs a command until it has said something, interrupts it, and expects it to end in order.
func (d *docs) forever(b block) {
	d.t.Helper()
	cmd := d.shell(d.t.Context(), "exec "+d.local(b))
	said := &watchedBuffer{heard: make(chan struct{})}
	cmd.Stdout, cmd.Stderr = said, said
	if err := cmd.Start(); err != nil {
		d.t.Fatal(err)
	}
	select {
	case <-said.heard:
	case <-time.After(commandPatience):
		d.t.Errorf("%s says nothing", b.where)
	}
	_ = cmd.Process.Signal(syscall.SIGINT)
	if err := cmd.Wait(); err != nil {
		d.t.Errorf("%s: %v\n%s%s", b.where, err, b.text, said.text.String())
	}
}

// watchedBuffer closes heard when something is written.
type watchedBuffer struct {
	text  bytes.Buffer
	heard chan struct{}
}

func (w *watchedBuffer) Write(p []byte) (int, error) {
	if w.text.Len() == 0 && len(p) > 0 {
		close(w.heard)
	}
	return w.text.Write(p)
}

// TestRunbook sees that there is a heading for each alert and for each kind of error, and for nothing else.
func TestRunbook(t *testing.T) {
	t.Parallel()
	text := read(t, "../../docs/operators.md")
	headings := map[string]bool{}
	for _, found := range regexp.MustCompile("(?m)^### `?(\\w+)`?$").FindAllStringSubmatch(text, -1) {
		headings[found[1]] = true
	}
	wanted := map[string]bool{}
	for _, rule := range readAlerts(t).Groups[0].Rules {
		wanted[rule.Alert] = true
	}
	for _, kind := range bridge.ErrorKinds() {
		wanted[kind] = true
	}
	if got, want := slices.Sorted(maps.Keys(headings)), slices.Sorted(maps.Keys(wanted)); !slices.Equal(got, want) {
		t.Errorf("the runbook has the headings %v, want %v", got, want)
	}
}

// TestLinks follows the links of the documents to other files.
func TestLinks(t *testing.T) {
	t.Parallel()
	for _, document := range documents {
		for _, found := range regexp.MustCompile(`\]\(([^)#:]+)(#[^)]*)?\)`).FindAllStringSubmatch(read(t, document), -1) {
			if _, err := os.Stat(filepath.Join(filepath.Dir(document), found[1])); err != nil {
				t.Errorf("%s: %v", document, err)
			}
		}
	}
}
