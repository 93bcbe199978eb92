package rig

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pglogrepl"
	"github.com/rs/zerolog"

	"github.com/tidemark-db/tidemark/internal/bridge"
	"github.com/tidemark-db/tidemark/internal/config"
)

// Bridge is a bridge that runs within the test.
type Bridge struct {
	*bridge.Bridge
	Config *config.Config
	cancel context.CancelFunc
	done   chan error
	t      testing.TB
}

// Run starts a bridge with the configuration file. The test fails if it ends by itself with an error; Cleanup stops it.
func (r *Rig) Run(file string, o bridge.Options) *Bridge {
	r.t.Helper()
	cfg, err := config.Load(file, func(string) (string, bool) { return "", false }, nil)
	r.must(err)
	ctx, cancel := context.WithCancel(context.Background())
	b := &Bridge{
		Bridge: bridge.New(cfg, zerolog.New(zerolog.NewTestWriter(r.t)).Level(zerolog.InfoLevel), o),
		Config: cfg, cancel: cancel, done: make(chan error, 1), t: r.t,
	}
	r.ended.Store(nil)
	go func() { // ends with Stop, which awaits it
		err := b.Bridge.Run(ctx)
		if err != nil {
			r.ended.Store(&err)
		}
		b.done <- err
		close(b.done)
	}()
	r.t.Cleanup(func() { _ = b.Stop() })
	return b
}

// Stop stops the bridge and returns its error.
func (b *Bridge) Stop() error {
	b.cancel()
	err := <-b.done // nil when it was taken from Done before
	if err != nil {
		b.t.Errorf("bridge ended: %v", err)
	}
	return err
}

// Done returns the bridge's error once it has ended by itself.
func (b *Bridge) Done() <-chan error { return b.done }

// waitPatience is generous: a slow machine is no fault.
const waitPatience = 3 * time.Minute

// WaitLSN waits until the newest mark holds everything that PostgreSQL has committed so far, with every configured table,
// and returns that position.
func (r *Rig) WaitLSN(tables int) pglogrepl.LSN {
	r.t.Helper()
	return r.WaitLSNWithin(waitPatience, tables)
}

// WaitLSNWithin is WaitLSN for what takes long.
func (r *Rig) WaitLSNWithin(patience time.Duration, tables int) pglogrepl.LSN {
	r.t.Helper()
	var text string
	r.must(r.PG.QueryRow(r.t.Context(), "SELECT pg_current_wal_lsn()::text").Scan(&text))
	lsn, err := pglogrepl.ParseLSN(text)
	r.must(err)
	query := fmt.Sprintf("SELECT lsn, length(tables) FROM %s.split_date ORDER BY term DESC, epoch DESC LIMIT 1", r.Name)
	r.Eventually(patience, "a mark at "+text, func(ctx context.Context) error {
		if err := r.ended.Load(); err != nil { // no mark will come any more
			r.t.Fatalf("wait for a mark at %s: the bridge ended: %v", text, *err)
		}
		var at, n uint64
		if err := r.CH.QueryRow(ctx, query).Scan(&at, &n); err != nil {
			return err
		}
		if pglogrepl.LSN(at) < lsn || n < uint64(tables) {
			return fmt.Errorf("at %s with %d tables", pglogrepl.LSN(at), n)
		}
		return nil
	})
	return lsn
}

// The pause between two looks at a condition: asking costs a server as much as what is waited for, and many tests wait at once.
const (
	firstPause = 20 * time.Millisecond
	lastPause  = 200 * time.Millisecond
)

// Eventually waits until the condition returns nil.
func (r *Rig) Eventually(patience time.Duration, what string, condition func(context.Context) error) {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(r.t.Context(), patience)
	defer cancel()
	for pause := firstPause; ; pause = min(pause*5/4, lastPause) {
		err := condition(ctx)
		if err == nil {
			return
		}
		select {
		case <-ctx.Done():
			r.t.Fatalf("waited %s for %s: %v", patience, what, err)
		case <-time.After(pause):
		}
	}
}

var (
	buildOnce sync.Once
	binary    string
	errBuild  error
)

// Binary builds cmd/tidemark once per test binary.
func Binary(t testing.TB) string {
	t.Helper()
	buildOnce.Do(func() {
		dir, err := os.MkdirTemp("", "tidemark-bin-")
		if err != nil {
			errBuild = err
			return
		}
		binary = filepath.Join(dir, "tidemark")
		cmd := exec.Command("go", "build", "-o", binary, "github.com/tidemark-db/tidemark/cmd/tidemark")
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := cmd.CombinedOutput(); err != nil {
			errBuild = fmt.Errorf("build tidemark: %w\n%s", err, out)
		}
	})
	if errBuild != nil {
		t.Fatal(errBuild)
	}
	return binary
}

// RemoveBinary deletes what Binary built; TestMain calls it.
func RemoveBinary() {
	if binary != "" {
		_ = os.RemoveAll(filepath.Dir(binary))
	}
}

// Process is a bridge in a process of its own, which can be killed.
type Process struct {
	cmd *exec.Cmd
	log *os.File
	t   testing.TB
}

// Spawn starts `tidemark run` in a process that dies with the test.
func (r *Rig) Spawn(file string, args ...string) *Process {
	r.t.Helper()
	log, err := os.OpenFile(filepath.Join(r.Dir, "run.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	r.must(err)
	cmd := exec.Command(Binary(r.t), append([]string{"run", "-c", file}, args...)...)
	cmd.Stderr, cmd.Stdout = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	r.must(cmd.Start())
	p := &Process{cmd: cmd, log: log, t: r.t}
	r.t.Cleanup(func() {
		if p.cmd.ProcessState == nil {
			p.Kill()
		}
	})
	return p
}

// Kill ends the process as a crash would.
func (p *Process) Kill() {
	_ = p.cmd.Process.Kill()
	_ = p.cmd.Wait()
	_ = p.log.Close()
}

// Terminate asks the process to stop and returns its exit code.
func (p *Process) Terminate() int {
	p.t.Helper()
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	err := p.cmd.Wait()
	_ = p.log.Close()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return exit.ExitCode()
	}
	return 0
}

// Pid of the process.
func (p *Process) Pid() int { return p.cmd.Process.Pid }

// Log is all that the rig's processes logged.
func (r *Rig) Log() string {
	raw, err := os.ReadFile(filepath.Join(r.Dir, "run.log"))
	if err != nil {
		return err.Error()
	}
	return strings.TrimSpace(string(raw)) + "\n(" + strconv.Itoa(len(raw)) + " bytes)"
}
