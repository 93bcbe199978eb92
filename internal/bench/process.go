package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// bridgeProcess is `tidemark run` in a process of its own, so that its processor time and memory are its alone.
type bridgeProcess struct {
	cmd      *exec.Cmd
	logFile  string
	done     chan struct{} // closed when the process has ended
	profiled chan error    // of the profile under way; nil for none
}

// usage is what a bridge took.
type usage struct {
	cpu  time.Duration
	peak int // MiB resident
}

// program builds cmd/tidemark once, from the module that the working folder is in; removeProgram deletes what it built.
var program = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "tidemark-bench-program-")
	if err != nil {
		return "", fmt.Errorf("make folder: %w", err)
	}
	programDir = dir
	file := filepath.Join(dir, "tidemark")
	cmd := exec.Command("go", "build", "-o", file, "github.com/tidemark-db/tidemark/cmd/tidemark")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if said, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build tidemark: %w\n%s", err, said)
	}
	return file, nil
})

var programDir string

func removeProgram() {
	if programDir != "" {
		_ = os.RemoveAll(programDir)
	}
}

// startBridge configures a bridge and starts it.
func (b *bed) startBridge(ctx context.Context, edits ...string) error {
	file, err := b.configure(ctx, edits...)
	if err != nil {
		return err
	}
	return b.spawn(file)
}

func (b *bed) spawn(file string) error {
	path, err := program()
	if err != nil {
		return err
	}
	p := &bridgeProcess{cmd: exec.Command(path, "run", "-c", file, "--log-level", "warn"), logFile: filepath.Join(b.dir, "run.log"), done: make(chan struct{})}
	log, err := os.OpenFile(p.logFile, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("open log: %w", err)
	}
	defer log.Close()
	p.cmd.Stdout, p.cmd.Stderr = log, log
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := p.cmd.Start(); err != nil {
		return fmt.Errorf("start the bridge: %w", err)
	}
	go func() { // ends with the process
		defer close(p.done)
		_ = p.cmd.Wait()
	}()
	b.bridge = p
	return nil
}

// runBridge starts a bridge and waits until it has loaded every table.
func (b *bed) runBridge(ctx context.Context, edits ...string) error {
	if err := b.startBridge(ctx, edits...); err != nil {
		return err
	}
	_, err := b.caughtUp(ctx)
	return err
}

// reconfigure gives the running bridge another configuration and waits until it has taken it over.
func (b *bed) reconfigure(ctx context.Context, edits ...string) error {
	if _, err := b.configure(ctx, edits...); err != nil {
		return err
	}
	if err := b.bridge.cmd.Process.Signal(syscall.SIGHUP); err != nil {
		return fmt.Errorf("signal the bridge: %w", err)
	}
	_, err := b.caughtUp(ctx)
	return err
}

func (p *bridgeProcess) ended() bool {
	select {
	case <-p.done:
		return true
	default:
		return false
	}
}

func (p *bridgeProcess) log() string {
	said, err := os.ReadFile(p.logFile)
	if err != nil {
		return err.Error()
	}
	return string(said)
}

// stopBridge stops the bridge and returns what it took.
func (b *bed) stopBridge() (usage, error) {
	p := b.bridge
	b.bridge = nil
	u := usage{peak: peakMiB(p.cmd.Process.Pid)}
	b.run.peak = max(b.run.peak, u.peak)
	if p.profiled != nil {
		if err := <-p.profiled; err != nil {
			return u, err
		}
	}
	_ = p.cmd.Process.Signal(syscall.SIGTERM) // fails where it has ended by itself, which the code tells
	<-p.done
	u.cpu = p.cmd.ProcessState.UserTime() + p.cmd.ProcessState.SystemTime()
	if code := p.cmd.ProcessState.ExitCode(); code != 0 && code != 128+int(syscall.SIGTERM) {
		return u, fmt.Errorf("the bridge ended with %d: %s", code, p.log())
	}
	return u, nil
}

// peakMiB is the most resident memory that a process has had, 0 where nobody knows.
func peakMiB(pid int) (mib int) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(status)) {
		if rest, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			_, _ = fmt.Sscan(rest, &mib)
		}
	}
	return mib / 1024
}

// forgetPeak makes peakMiB begin anew. Where the kernel does not let us, the peak is that of the whole life.
func forgetPeak(pid int) {
	const highWaterMark = "5" // proc(5)
	_ = os.WriteFile(fmt.Sprintf("/proc/%d/clear_refs", pid), []byte(highWaterMark), 0)
}

// profile begins a processor profile of the bridge, if profiles are asked for. It ends after the given time, and
// stopBridge waits for it.
func (b *bed) profile(ctx context.Context, name string, length time.Duration) {
	if b.run.profiles == "" {
		return
	}
	p := b.bridge
	p.profiled = make(chan error, 1)
	go func() { // ends with the profile
		p.profiled <- b.fetch(ctx, fmt.Sprintf("/debug/pprof/profile?seconds=%d", max(1, int(length.Seconds()))), func(body io.Reader) error {
			file, err := os.Create(filepath.Join(b.run.profiles, name+".pprof"))
			if err != nil {
				return err
			}
			defer file.Close()
			_, err = io.Copy(file, body)
			return err
		})
	}()
}

// ticks returns how many ticks have published a mark, and how long they took together.
func (b *bed) ticks(ctx context.Context) (count int, took time.Duration, err error) {
	err = b.fetch(ctx, "/metrics", func(body io.Reader) error {
		lines := bufio.NewScanner(body)
		for lines.Scan() {
			name, value, _ := strings.Cut(lines.Text(), " ")
			v, err := strconv.ParseFloat(value, 64)
			switch {
			case err != nil:
			case name == "tidemark_tick_duration_seconds_sum":
				took = time.Duration(v * float64(time.Second))
			case name == "tidemark_tick_duration_seconds_count":
				count = int(v)
			}
		}
		return lines.Err()
	})
	return count, took, err
}

// fetch asks the bridge over HTTP, again while it does not listen yet.
func (b *bed) fetch(ctx context.Context, path string, read func(io.Reader) error) error {
	return b.await(ctx, seldom, func() error {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+b.cfg.HTTP.Listen+path, nil)
		if err != nil {
			return err
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		if resp.StatusCode != http.StatusOK {
			return fmt.Errorf("%s: %s", path, resp.Status)
		}
		return read(resp.Body)
	})
}

// ticking returns how long the tick took that publishes the changes, which are one transaction. Writing them is not part of
// it, nor are marks that say meanwhile how far the WAL was read.
func (b *bed) ticking(ctx context.Context, changes ...string) (time.Duration, error) {
	if err := b.exec(ctx, append([]string{"BEGIN"}, changes...)...); err != nil {
		return 0, err
	}
	before, took, err := b.ticks(ctx)
	if err != nil {
		return 0, err
	}
	if err := b.change(ctx, "COMMIT"); err != nil {
		return 0, err
	}
	// The mark is seen a moment before the bridge notes its tick.
	select {
	case <-ctx.Done():
		return 0, ctx.Err()
	case <-time.After(100 * time.Millisecond):
	}
	count, total, err := b.ticks(ctx)
	if err == nil && count == before {
		err = fmt.Errorf("no tick after %v", changes)
	}
	return total - took, err
}
