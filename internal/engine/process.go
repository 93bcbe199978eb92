package engine

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// command is what a supervisor is to run.
type command struct {
	path    string
	args    []string
	env     []string            // added to our own
	account *syscall.Credential // nil: ours
	log     string              // file that everything the process writes is appended to
	remove  string              // folder that the supervisor deletes if we die
}

// process is a running supervisor with its child.
type process struct {
	pid     int // of the child
	done    chan struct{}
	err     error // how it ended; valid once done is closed
	mu      sync.Mutex
	orders  *os.File // its read end is the supervisor's standard input: closing it, or dying, ends the tree
	answers *bufio.Reader
}

// startProcess starts the command below a supervisor. The tree lives until it ends by itself, kill, or our own end.
func startProcess(ctx context.Context, c command) (*process, error) {
	program, err := Program(ctx)
	if err != nil {
		return nil, err
	}
	log, err := os.OpenFile(c.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, fmt.Errorf("open log: %w", err)
	}
	defer func() { _ = log.Close() }()
	cmd := exec.Command(program, superviseArgs(c)...)
	cmd.Env = append(os.Environ(), c.env...)
	cmd.Dir = "/" // holds no folder of the caller's, and one that every user may stand in
	cmd.Stderr = log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true} // Ctrl-C is for us alone
	return superviseCommand(cmd)
}

func superviseArgs(c command) []string {
	args := []string{"supervise"}
	if c.account != nil {
		args = append(args, "-uid", strconv.Itoa(int(c.account.Uid)), "-gid", strconv.Itoa(int(c.account.Gid)))
	}
	if c.remove != "" {
		args = append(args, "-remove", c.remove)
	}
	args = append(args, "--", c.path)
	return append(args, c.args...)
}

// superviseCommand starts the supervisor between two pipes, reads its child's pid and awaits its end behind the scenes.
func superviseCommand(cmd *exec.Cmd) (*process, error) {
	stdin, orders, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("make pipe: %w", err)
	}
	output, stdout, err := os.Pipe()
	if err != nil {
		return nil, errors.Join(fmt.Errorf("make pipe: %w", err), stdin.Close(), orders.Close())
	}
	cmd.Stdin, cmd.Stdout = stdin, stdout
	err = cmd.Start()
	_, _ = stdin.Close(), stdout.Close() // the supervisor's ends, which it has now
	if err != nil {
		return nil, errors.Join(fmt.Errorf("start supervisor: %w", err), orders.Close(), output.Close())
	}
	p := &process{done: make(chan struct{}), orders: orders, answers: bufio.NewReader(output)}
	err = p.readPid()
	go func() { // ends with the supervisor, which kill and wait await
		p.err = cmd.Wait()
		_, _ = orders.Close(), output.Close()
		close(p.done)
	}()
	if err != nil {
		return nil, errors.Join(err, p.kill())
	}
	return p, nil
}

// readPid fails when the supervisor could not start its child; it has said why in the log.
func (p *process) readPid() error {
	line, err := p.answers.ReadString('\n')
	if err != nil {
		return errors.New("the process did not start")
	}
	p.pid, err = strconv.Atoi(strings.TrimSpace(line))
	if err != nil {
		return fmt.Errorf("read pid: %w", err)
	}
	return nil
}

// signal has the supervisor deliver the signal and returns once it did: SIGSTOP and SIGCONT to the whole tree, others
// to the child.
func (p *process) signal(sig syscall.Signal) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if _, err := p.orders.Write([]byte{byte(sig)}); err != nil {
		return fmt.Errorf("send %v: %w", sig, err)
	}
	if _, err := p.answers.ReadString('\n'); err != nil {
		return fmt.Errorf("send %v: the process is gone", sig)
	}
	return nil
}

// wait awaits the end of the whole tree for at most the given time.
func (p *process) wait(ctx context.Context, patience time.Duration) error {
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case <-p.done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return context.DeadlineExceeded
	}
}

// complete awaits a process that ends by itself, and kills it when ctx ends first.
func (p *process) complete(ctx context.Context) error {
	select {
	case <-p.done:
		return p.err
	case <-ctx.Done():
		return errors.Join(ctx.Err(), p.kill())
	}
}

// ending says how a process ended that was not to end.
func (p *process) ending() error {
	if p.err == nil {
		return errors.New("it ended at once")
	}
	return fmt.Errorf("it ended at once: %w", p.err)
}

func (p *process) ended() bool {
	select {
	case <-p.done:
		return true
	default:
		return false
	}
}

// kill ends the whole tree with SIGKILL and awaits it. It may be called again.
func (p *process) kill() error {
	_ = p.signal(syscall.SIGKILL) // fails where the process is gone already
	<-p.done
	return nil
}
