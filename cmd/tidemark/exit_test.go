package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"github.com/tidemark-db/tidemark/internal/config"
	"github.com/tidemark-db/tidemark/internal/fault"
)

func TestExitCodes(t *testing.T) {
	alive := t.Context()
	terminated, cancel := context.WithCancelCause(alive)
	cancel(&signalError{syscall.SIGTERM})
	for _, test := range []struct {
		ctx  context.Context
		err  error
		code int
		text string
	}{
		{alive, fault.New("b", "a"), 1, "Error: a\nTry: b\n"},
		{alive, errors.New("a\nb"), 1, "Error: a; b\nTry: run it again with --log-level debug, which says more\n"},
		{alive, errors.Join(fault.New("b", "a"), fault.New("d", "c")), 1, "Error: a\nTry: b\nError: c\nTry: d\n"},
		{alive, fmt.Errorf("outer: %w", fault.New("b", "a")), 1, "Error: outer: a\nTry: b\n"},
		{alive, usagef("b", "a"), 2, "Error: a\nTry: b\n"},
		{alive, config.Faults{{Path: "p", What: "w", Try: "t"}, {Path: "q", What: "v", Try: "s"}}, 2, "Error: p: w\nTry: t\nError: q: v\nTry: s\n"},
		{terminated, fmt.Errorf("read rows: %w", context.Canceled), 143, "Error: interrupted by terminated\nTry: run it again: nothing is left half done\n"},
		{terminated, fault.New("b", "a"), 1, "Error: a\nTry: b\n"},
	} {
		var out bytes.Buffer
		printError(&out, interrupted(test.ctx, test.err))
		if code := exitCode(test.ctx, test.err); code != test.code || out.String() != test.text {
			t.Errorf("%v: got %d\n%s", test.err, code, out.String())
		}
	}
	if err := stopped(terminated, context.Canceled); err != nil {
		t.Errorf("a clean stop is %v", err)
	}
	if err := stopped(alive, context.Canceled); err == nil {
		t.Error("a cancellation from elsewhere is a clean stop")
	}
}

// stubborn says that it was asked to stop, and goes on.
func stubborn() {
	ctx, stop := interruptible(context.Background(), os.Stderr)
	defer stop()
	fmt.Fprintln(os.Stdout, "ready")
	<-ctx.Done()
	fmt.Fprintln(os.Stdout, "asked")
	select {}
}

func TestSecondSignalAborts(t *testing.T) {
	for _, test := range []struct {
		first, second syscall.Signal
		code          int
	}{{syscall.SIGINT, syscall.SIGINT, 130}, {syscall.SIGTERM, syscall.SIGTERM, 143}, {syscall.SIGTERM, syscall.SIGINT, 130}} {
		cmd := exec.CommandContext(t.Context(), os.Args[0])
		cmd.Env = append(os.Environ(), childVariable+"=1")
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewScanner(out)
		for _, signal := range []syscall.Signal{test.first, test.second} {
			if !lines.Scan() {
				t.Fatalf("ended after the first signal: %v", cmd.Wait())
			}
			if err := cmd.Process.Signal(signal); err != nil {
				t.Fatal(err)
			}
		}
		if err := cmd.Wait(); cmd.ProcessState.ExitCode() != test.code {
			t.Errorf("%v, %v: %v", test.first, test.second, err)
		}
	}
}

func TestConfirm(t *testing.T) {
	cfg := &config.Config{
		Source: config.Source{Slot: "tm", Database: "shop"}, ClickHouse: config.ClickHouse{Database: "views"},
	}
	for _, test := range []struct {
		typed string
		opts  uninstallOptions
		want  string
	}{
		{"views\n", uninstallOptions{Data: true, Slot: true}, ""},
		{"shop\n", uninstallOptions{Slot: true}, ""},
		{"shop\n", uninstallOptions{Data: true}, `nothing was dropped: "shop" is not the name of the database`},
		{"", uninstallOptions{Data: true}, `nothing was dropped: "" is not the name of the database`},
	} {
		for _, terminal := range []bool{true, false} {
			var asked bytes.Buffer
			a := &app{stdin: strings.NewReader(test.typed), stderr: &asked, typing: terminal}
			err, want := a.confirm(t.Context(), cfg, test.opts), test.want
			if test.typed == "" && !terminal {
				want = "tidemark uninstall cannot ask: its input is not a terminal"
			}
			if got := fmt.Sprint(err); got != want && (err != nil || want != "") {
				t.Errorf("%q: %v", test.typed, err)
			}
			if strings.HasPrefix(asked.String(), "This drops ") != terminal {
				t.Errorf("asked %q", asked.String())
			}
		}
	}
}
