// Package supervise keeps a server process on a leash: it starts one child, passes signals on to it, and leaves
// nothing behind when the child or the owner of the leash is gone.
//
// It owns the life of one process tree. It does not know what the child is, nor when it is ready; package engine does.
//
// The supervisor is a process of its own because nothing else survives a kill -9 of the owner: its standard input is
// a pipe whose only write end the owner holds, so end of file means that the owner is gone, however it went. A parent
// death signal alone would not do: the kernel ties it to the thread that forked, and Go ends threads at will. The
// supervisor uses one all the same for its own child, forked from a locked main thread, so that a kill -9 of the
// supervisor takes the child with it.
//
// The children of PostgreSQL's postmaster are in sessions of their own, so a process group does not hold them. The
// supervisor is therefore the subreaper of its descendants: orphans become its children, and it can find, signal and
// await all of them.
//
// The protocol: the supervisor writes the child's pid and a newline to standard output, or ends with an error on
// standard error. After that each byte on standard input is the number of a signal, answered by a newline once it is
// delivered. SIGSTOP and SIGCONT go to the whole tree, the others to the child.
package supervise

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime"
	"syscall"

	"golang.org/x/sys/unix"
)

// Command is what to run and what to do when the owner dies.
type Command struct {
	Path string
	Args []string // without argv[0]
	// Account, when set, is the user that the child runs as.
	Account *syscall.Credential
	// Remove, when set, is a folder that is deleted when the owner dies: the child's temporary data.
	Remove string
}

// Run starts the command and blocks until its whole process tree is gone. It returns the child's exit status: 128 and
// the signal's number where a signal ended it.
func Run(c Command) (status int, err error) {
	runtime.LockOSThread() // the child's parent death signal follows the thread that forks it
	defer runtime.UnlockOSThread()
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		return 0, fmt.Errorf("become subreaper: %w", err)
	}
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP)
	// An answer to an owner that died must fail, not end us before the child is gone. (Ignoring the signal would make
	// the child ignore it too.)
	signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE)
	child, err := fork(c)
	if err != nil {
		return 0, fmt.Errorf("start %s: %w", c.Path, err)
	}
	orphaned := serve(child, stop)
	status, err = sweep(child)
	if orphaned && c.Remove != "" {
		err = errors.Join(err, os.RemoveAll(c.Remove))
	}
	return status, err
}

func fork(c Command) (int, error) {
	null, err := os.Open(os.DevNull)
	if err != nil {
		return 0, err
	}
	defer func() { _ = null.Close() }()
	return syscall.ForkExec(c.Path, append([]string{c.Path}, c.Args...), &syscall.ProcAttr{
		Env: os.Environ(),
		// Standard output is the supervisor's own protocol; the child writes all to the log.
		Files: []uintptr{null.Fd(), os.Stderr.Fd(), os.Stderr.Fd()},
		Sys:   &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL, Credential: c.Account},
	})
}

// serve passes the owner's signals on until the child ends, the owner is gone (true) or the supervisor is told to end.
func serve(child int, stop <-chan os.Signal) (orphaned bool) {
	exited := make(chan struct{})
	go func() { // ends with the child; the process ends right after
		awaitExit(child)
		close(exited)
	}()
	orders := make(chan syscall.Signal)
	go readOrders(os.Stdin, orders) // ends with the process
	say("%d\n", child)
	for {
		select {
		case <-exited:
			return false
		case <-stop:
			return false
		case sig, open := <-orders:
			if !open {
				return true
			}
			deliver(child, sig)
			say("\n")
		}
	}
}

// say answers the owner. An owner that no longer reads is about to be noticed on standard input.
func say(format string, args ...any) { _, _ = fmt.Fprintf(os.Stdout, format, args...) }

// awaitExit waits for the child's end without reaping it, so that its pid stays its own while signals are sent to it.
func awaitExit(child int) {
	for {
		err := unix.Waitid(unix.P_PID, child, nil, unix.WEXITED|unix.WNOWAIT, nil)
		if !errors.Is(err, unix.EINTR) {
			return
		}
	}
}

func readOrders(r io.Reader, orders chan<- syscall.Signal) {
	defer close(orders)
	order := make([]byte, 1)
	for {
		if _, err := io.ReadFull(r, order); err != nil {
			return
		}
		orders <- syscall.Signal(order[0])
	}
}

// deliver sends the signal. An error means that the target is gone already, which serve hears of by itself.
func deliver(child int, sig syscall.Signal) {
	switch sig {
	case syscall.SIGSTOP, syscall.SIGCONT:
		signalTree(child, sig)
	default:
		_ = syscall.Kill(child, sig)
	}
}

// signalTree repeats until it finds no process that it has not signalled: the tree may fork while it is walked.
func signalTree(child int, sig syscall.Signal) {
	_ = syscall.Kill(child, sig) // first, so that a postmaster that stops forks no more
	sent := map[int]bool{child: true}
	for again := true; again; {
		again = false
		for _, pid := range Descendants(os.Getpid()) {
			if !sent[pid] {
				_ = syscall.Kill(pid, sig)
				sent[pid], again = true, true
			}
		}
	}
}

// sweep kills what is left of the tree and reaps all of it. Each death of a child may hand grandchildren to us, so it
// looks again after each, until the kernel says that there is no child any more.
func sweep(child int) (status int, err error) {
	for {
		for _, pid := range Descendants(os.Getpid()) {
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
		var ws syscall.WaitStatus
		pid, err := syscall.Wait4(-1, &ws, 0, nil)
		switch {
		case errors.Is(err, syscall.ECHILD):
			return status, nil
		case errors.Is(err, syscall.EINTR):
		case err != nil:
			return status, fmt.Errorf("await children: %w", err)
		case pid == child && ws.Signaled():
			status = 128 + int(ws.Signal())
		case pid == child:
			status = ws.ExitStatus()
		}
	}
}
