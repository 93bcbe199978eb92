package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/tidemark-db/tidemark/internal/config"
	"github.com/tidemark-db/tidemark/internal/fault"
)

const (
	exitDone   = 0
	exitFailed = 1
	exitUsage  = 2
	exitSignal = 128 // plus the number of the signal, as shells do
)

// stopLimit bounds the time from the first signal to the end of the process. It is less than the 30 s that container
// runtimes wait before they kill.
const stopLimit = 20 * time.Second

// usageError is a command line that cannot be run.
type usageError struct{ err error }

func (e *usageError) Error() string { return e.err.Error() }
func (e *usageError) Unwrap() error { return e.err }

// codedError ends a command with a code of its own; without an error, what the command printed says it all.
type codedError struct {
	code int
	err  error
}

func (e *codedError) Error() string {
	if e.err == nil {
		return fmt.Sprintf("exit code %d", e.code)
	}
	return e.err.Error()
}

func (e *codedError) Unwrap() error { return e.err }

func usagef(try, format string, args ...any) error {
	return &usageError{fault.New(try, format, args...)}
}

// signalError is the cause of a context that a signal has ended.
type signalError struct{ signal syscall.Signal }

func (e *signalError) Error() string { return "interrupted by " + e.signal.String() }

// interruptible returns a context that the first SIGINT or SIGTERM ends. The second one, or the passing of stopLimit,
// ends the process at once: what is published stays whole whatever is cut off. The goroutine ends with stop.
func interruptible(parent context.Context, stderr io.Writer) (context.Context, func()) {
	ctx, cancel := context.WithCancelCause(parent)
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM)
	done := make(chan struct{})
	go func() {
		select {
		case s := <-signals:
			cancel(&signalError{asSyscall(s)})
		case <-done:
			return
		}
		late := time.NewTimer(stopLimit)
		defer late.Stop()
		select {
		case s := <-signals:
			os.Exit(exitSignal + int(asSyscall(s)))
		case <-late.C:
			printError(stderr, fault.New("start it again: it goes on from the last published state",
				"did not stop within %v, so it was cut off", stopLimit))
			os.Exit(exitFailed)
		case <-done:
		}
	}()
	return ctx, func() {
		signal.Stop(signals)
		close(done)
		cancel(nil)
	}
}

func asSyscall(s os.Signal) syscall.Signal {
	number, ok := s.(syscall.Signal)
	if !ok {
		return syscall.SIGINT
	}
	return number
}

// stopped turns the end of work that goes on until a signal into success.
func stopped(ctx context.Context, err error) error {
	if errors.Is(err, context.Canceled) && ctx.Err() != nil {
		return nil
	}
	return err
}

// interrupted says which signal ended the work, in place of "context canceled".
func interrupted(ctx context.Context, err error) error {
	var bySignal *signalError
	if errors.Is(err, context.Canceled) && errors.As(context.Cause(ctx), &bySignal) {
		return fault.New("run it again: nothing is left half done", "%w", bySignal)
	}
	return err
}

func exitCode(ctx context.Context, err error) int {
	var (
		usage    *usageError
		faults   config.Faults
		bySignal *signalError
		coded    *codedError
	)
	switch {
	case errors.As(err, &usage), errors.As(err, &faults):
		return exitUsage
	case errors.As(interrupted(ctx, err), &bySignal):
		return exitSignal + int(bySignal.signal)
	case errors.As(err, &coded):
		return coded.code
	default:
		return exitFailed
	}
}

// printError prints each error of a list with its remedy.
func printError(w io.Writer, err error) {
	var coded *codedError
	if errors.As(err, &coded) {
		if err = coded.err; err == nil {
			return
		}
	}
	if list, ok := each(err); ok {
		for _, err := range list {
			printError(w, err)
		}
		return
	}
	fmt.Fprintf(w, "Error: %s\n", config.RedactText(oneLine(err.Error())))
	try := fault.Try(err)
	if try == "" {
		try = "run it again with --log-level debug, which says more"
	}
	fmt.Fprintf(w, "Try: %s\n", oneLine(try))
}

// each returns the errors that err is a plain list of, as from errors.Join.
func each(err error) ([]error, bool) {
	list, ok := err.(interface{ Unwrap() []error })
	if !ok {
		return nil, false
	}
	var lines []string
	for _, err := range list.Unwrap() {
		lines = append(lines, err.Error())
	}
	return list.Unwrap(), strings.Join(lines, "\n") == err.Error()
}

func oneLine(text string) string { return strings.Join(strings.FieldsFunc(text, isBreak), "; ") }

func isBreak(c rune) bool { return c == '\n' || c == '\r' }
