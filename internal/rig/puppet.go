package rig

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"golang.org/x/sys/unix"

	"github.com/tidemark-db/tidemark/internal/bridge"
	"github.com/tidemark-db/tidemark/internal/config"
)

// Point is a place in the bridge's work: before or after a statement that changes state.
type Point struct {
	Statement string
	After     bool
}

func (p Point) String() string {
	if p.After {
		return "after " + p.Statement
	}
	return "before " + p.Statement
}

// Puppet is a bridge in a process of its own that can be held at a failpoint: the goroutine that reaches the point waits
// there while the test kills or pauses a server, or the puppet itself.
type Puppet struct {
	*Process
	orders, answers *os.File
}

// PuppetOptions of a puppet beyond its configuration; see bridge.Options.
type PuppetOptions struct {
	Standby bool
	Slices  uint64
}

// The environment of a puppet: its configuration file, and its options.
const (
	puppetConfig  = "TIDEMARK_PUPPET_CONFIG"
	puppetStandby = "TIDEMARK_PUPPET_STANDBY"
	puppetSlices  = "TIDEMARK_PUPPET_SLICES"
)

// Puppets makes the test binary a puppet when it was started as one; TestMain calls it first. It does not return then.
func Puppets() {
	if file := os.Getenv(puppetConfig); file != "" {
		os.Exit(bePuppet(file))
	}
}

// SpawnPuppet starts a bridge that is held when it reaches the point for the first time. Process.Log has what it logs.
func (r *Rig) SpawnPuppet(file string, at Point, o PuppetOptions) *Puppet {
	r.t.Helper()
	program, err := os.Executable()
	r.must(err)
	log, err := os.OpenFile(filepath.Join(r.Dir, "run.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	r.must(err)
	hear, orders, err := os.Pipe()
	r.must(err)
	answers, tell, err := os.Pipe()
	r.must(err)
	cmd := exec.Command(program)
	cmd.Env = append(os.Environ(), puppetConfig+"="+file, fmt.Sprintf("%s=%t", puppetStandby, o.Standby), fmt.Sprintf("%s=%d", puppetSlices, o.Slices))
	cmd.Stderr, cmd.Stdout = log, log
	cmd.ExtraFiles = []*os.File{hear, tell}
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	r.must(cmd.Start())
	_, _ = hear.Close(), tell.Close()
	p := &Puppet{Process: &Process{cmd: cmd, log: log, t: r.t}, orders: orders, answers: answers}
	r.t.Cleanup(func() {
		if p.cmd.ProcessState == nil {
			p.Kill()
		}
		_, _ = orders.Close(), answers.Close()
	})
	r.must(p.Arm(at))
	return p
}

// Arm names the point at which the puppet is held next.
func (p *Puppet) Arm(at Point) error {
	_, err := fmt.Fprintf(p.orders, "%s\n", at)
	return err
}

// Await returns when the puppet is held, or with an error when it has ended or the time is over.
func (p *Puppet) Await(patience time.Duration) error {
	if err := p.answers.SetReadDeadline(time.Now().Add(patience)); err != nil {
		return err
	}
	answer := make([]byte, len(isHeld))
	if _, err := io.ReadFull(p.answers, answer); err != nil {
		return fmt.Errorf("wait until it is held: %w", err)
	}
	return nil
}

// Go lets the puppet go on.
func (p *Puppet) Go() error {
	_, err := fmt.Fprintln(p.orders, goOn)
	return err
}

// Resync makes the puppet fold, or read the rows of the last days from PostgreSQL again, if it is at work.
func (p *Puppet) Resync(fromSource bool) error {
	order := resync
	if fromSource {
		order = reload
	}
	_, err := fmt.Fprintln(p.orders, order)
	return err
}

// Pause stops the whole process (SIGSTOP), Resume lets it go on (SIGCONT).
func (p *Process) Pause() error { return p.cmd.Process.Signal(syscall.SIGSTOP) }

// Resume lets a paused process go on.
func (p *Process) Resume() error { return p.cmd.Process.Signal(syscall.SIGCONT) }

// Ended reports whether the process has ended by itself.
func (p *Process) Ended() bool {
	var info unix.Siginfo
	err := unix.Waitid(unix.P_PID, p.Pid(), &info, unix.WEXITED|unix.WNOWAIT|unix.WNOHANG, nil)
	return err != nil || info.Signo != 0
}

const (
	goOn   = "go on"
	resync = "resync"
	reload = "reload"
	isHeld = "held\n"
)

// held is the puppet's side: the point at which it is to be held, and who is held there.
type held struct {
	tell   io.Writer
	bridge *bridge.Bridge

	mu    sync.Mutex
	armed string
	until chan struct{} // closed when whoever is held may go on
}

// hook holds whoever reaches the armed point, the first time.
func (h *held) hook(_ context.Context, statement string, after bool) error {
	h.mu.Lock()
	if h.armed != (Point{statement, after}).String() {
		h.mu.Unlock()
		return nil
	}
	h.armed = ""
	until := make(chan struct{})
	h.until = until
	h.mu.Unlock()
	if _, err := io.WriteString(h.tell, isHeld); err != nil {
		return err
	}
	<-until
	return nil
}

func (h *held) order(line string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case line == resync:
		go func() { // ends with the resync, or with the process
			_, _ = h.bridge.Resync(context.Background(), bridge.Request{})
		}()
	case line == reload:
		since := time.Now().Add(-48 * time.Hour)
		go func() { // likewise
			_, _ = h.bridge.Reload(context.Background(), bridge.Request{Table: "public.history", From: &since})
		}()
	case line != goOn:
		h.armed = line
	case h.until != nil:
		close(h.until)
		h.until = nil
	}
}

// bePuppet runs a bridge until SIGTERM and returns the exit code. Its first order comes before the bridge starts.
func bePuppet(file string) int {
	log := zerolog.New(os.Stderr).With().Timestamp().Logger().Level(zerolog.InfoLevel)
	cfg, err := config.Load(file, func(string) (string, bool) { return "", false }, nil)
	if err != nil {
		log.Error().Err(err).Msg("load configuration")
		return 2
	}
	h := &held{tell: os.NewFile(4, "answers")}
	orders := bufio.NewScanner(os.NewFile(3, "orders"))
	if orders.Scan() {
		h.order(orders.Text())
	}
	slices, err := strconv.ParseUint(os.Getenv(puppetSlices), 10, 64)
	if err != nil {
		log.Error().Err(err).Msg("read " + puppetSlices)
		return 2
	}
	h.bridge = bridge.New(cfg, log, bridge.Options{Hook: h.hook, Standby: os.Getenv(puppetStandby) == "true", Slices: slices})
	go func() { // ends with the process
		for orders.Scan() {
			h.order(strings.TrimSpace(orders.Text()))
		}
	}()
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	if err := h.bridge.Run(ctx); err != nil {
		log.Error().Err(err).Msg("ended")
		return 1
	}
	return 0
}

// reading matches the beginning of a statement that changes nothing, after what the template does first.
var reading = regexp.MustCompile(`^\s*(\{\{[^}]*\}\}\s*)*(UNION ALL\s*(\{\{[^}]*\}\}\s*)*)?(SELECT|CHECK|DESCRIBE)`)

// Failpoints lists the names of all statements that change state and are rendered of the files of package sql, whose
// folder is given.
func Failpoints(t testing.TB, sqlDir string) (out []string) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(sqlDir, "*.sql"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no statements in %s: %v", sqlDir, err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if !reading.Match(text) {
			out = append(out, strings.TrimSuffix(filepath.Base(file), ".sql"))
		}
	}
	return out
}
