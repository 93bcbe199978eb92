package engine

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"github.com/tidemark-db/tidemark/internal/fault"
)

// How long a server may take. They are generous: a slow machine is no fault, and a caller's context can cut them short.
const (
	startPatience = 90 * time.Second
	stopPatience  = 15 * time.Second // for each signal of a stop
	probeInterval = 20 * time.Millisecond
	probePatience = 5 * time.Second
)

var errNotRunning = errors.New("the server is not running")

// server is what PostgreSQL and ClickHouse have in common: one process tree that lives in a folder.
type server struct {
	title string
	dir   string
	temp  bool   // dir goes away at Stop
	log   string // file with what the server said
	// command describes the next start; probe returns nil once this very server answers.
	command func(ctx context.Context) (command, error)
	probe   func(ctx context.Context) error
	quit    []syscall.Signal // in the order in which a stop tries them

	reserved []reservation // until Stop

	mu   sync.Mutex
	proc *process // nil before the first start
}

// Dir returns the folder of the server's data and log.
func (s *server) Dir() string { return s.dir }

// Pid returns the pid of the server's first process, 0 when it is not running.
func (s *server) Pid() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.running() {
		return 0
	}
	return s.proc.pid
}

// Done is closed when the server has ended, however it did. It belongs to the present start.
func (s *server) Done() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.proc == nil {
		closed := make(chan struct{})
		close(closed)
		return closed
	}
	return s.proc.done
}

// Start starts the server again after Halt or Kill, on the same data and ports, and returns when it answers.
func (s *server) Start(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.start(ctx)
}

// Halt shuts the server down in order and keeps its data. When ctx ends before the server has, it is killed.
func (s *server) Halt(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.halt(ctx)
}

// Restart is Halt and Start.
func (s *server) Restart(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.halt(ctx); err != nil {
		return err
	}
	return s.start(ctx)
}

// Stop is Halt for good: a temporary folder is deleted. It may be called again, and after Kill.
func (s *server) Stop(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return errors.Join(s.halt(ctx), s.discard())
}

// Kill ends the server as a crash would, with SIGKILL, and returns when its last process is gone. Its data stay.
func (s *server) Kill() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.running() {
		return errNotRunning
	}
	return s.proc.kill()
}

// Pause stops every process of the server (SIGSTOP) and returns when all are told; its connections stay open.
func (s *server) Pause() error { return s.signal(syscall.SIGSTOP) }

// Resume lets a paused server go on.
func (s *server) Resume() error { return s.signal(syscall.SIGCONT) }

func (s *server) signal(sig syscall.Signal) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.running() {
		return errNotRunning
	}
	return s.proc.signal(sig)
}

func (s *server) running() bool { return s.proc != nil && !s.proc.ended() }

func (s *server) start(ctx context.Context) error {
	if s.running() {
		return fmt.Errorf("start %s: it is running", s.title)
	}
	c, err := s.command(ctx)
	if err != nil {
		return fmt.Errorf("start %s: %w", s.title, err)
	}
	said := fileSize(c.log)
	if s.proc, err = startProcess(ctx, c); err == nil {
		err = s.awaitReady(ctx)
	}
	if err != nil {
		return fault.New(s.logTry(), "start %s: %w%s", s.title, err, logTail(c.log, said))
	}
	return nil
}

// awaitReady probes until the server answers. A server that does not is killed.
func (s *server) awaitReady(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startPatience)
	defer cancel()
	tick := time.NewTicker(probeInterval)
	defer tick.Stop()
	for {
		err := s.probeOnce(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-s.proc.done:
			return s.proc.ending()
		case <-ctx.Done():
			return errors.Join(fmt.Errorf("it does not answer: %w", err), s.proc.kill())
		case <-tick.C:
		}
	}
}

// probeOnce gives up when the server ends: what listens on its port then may never answer.
func (s *server) probeOnce(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, probePatience)
	defer cancel()
	result := make(chan error, 1)
	go func() { result <- s.probe(ctx) }() // ends with ctx at the latest, and is awaited here
	select {
	case err := <-result:
		return err
	case <-s.proc.done:
		cancel()
		return <-result
	}
}

func (s *server) halt(ctx context.Context) error {
	if !s.running() {
		return nil
	}
	_ = s.proc.signal(syscall.SIGCONT) // a paused server could not hear the rest
	for _, sig := range s.quit {
		_ = s.proc.signal(sig) // fails where the process is gone, which wait sees
		if s.proc.wait(ctx, stopPatience) == nil {
			return nil
		}
	}
	if err := s.proc.kill(); err != nil {
		return fmt.Errorf("stop %s: %w", s.title, err)
	}
	return nil
}

// place makes dir the server's folder: created where it is missing, or a new temporary one where it is "".
func (s *server) place(dir, prefix string) (err error) {
	if dir == "" {
		s.temp = true
		s.dir, err = os.MkdirTemp("", prefix)
	} else if s.dir, err = filepath.Abs(dir); err == nil {
		err = os.MkdirAll(s.dir, 0o700)
	}
	if err != nil {
		return fault.New("name a folder that you may write to", "create folder of %s: %w", s.title, err)
	}
	return nil
}

// logTry is the remedy of a failed start. The log of a temporary folder is gone with it.
func (s *server) logTry() string {
	if s.temp {
		return "see the lines of its log in this message"
	}
	return "see its log, " + s.log
}

// choose gives each port that is 0 a number, which is the server's until it is discarded.
func (s *server) choose(ports ...*int) error {
	for _, port := range ports {
		if *port != 0 {
			continue
		}
		r, err := reserve()
		if err != nil {
			return fmt.Errorf("start %s: %w", s.title, err)
		}
		s.reserved = append(s.reserved, r)
		*port = r.port
	}
	return nil
}

// discard frees the ports of a server and deletes its folder, if they were made for it.
func (s *server) discard() error {
	var errs []error
	for _, r := range s.reserved {
		errs = append(errs, r.Close())
	}
	s.reserved = nil
	if s.temp {
		errs = append(errs, os.RemoveAll(s.dir))
	}
	return errors.Join(errs...)
}

// removeTemp is what the supervisor deletes should we die.
func (s *server) removeTemp() string {
	if s.temp {
		return s.dir
	}
	return ""
}

func fileSize(path string) int64 {
	info, err := os.Stat(path)
	if err != nil {
		return 0
	}
	return info.Size()
}

// logTail returns the end of what was logged since the offset, for an error: "\n" and the last lines, or "".
func logTail(path string, since int64) string {
	const most = 2000
	file, err := os.Open(path)
	if err != nil {
		return ""
	}
	defer func() { _ = file.Close() }()
	from := max(since, fileSize(path)-most)
	text := make([]byte, most)
	n, err := file.ReadAt(text, from)
	text = bytes.TrimSpace(text[:n])
	if err != nil && !errors.Is(err, io.EOF) || len(text) == 0 {
		return ""
	}
	return "\n" + string(text)
}
