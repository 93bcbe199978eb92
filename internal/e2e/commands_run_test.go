package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/tidemark-db/tidemark/internal/rig"
)

// outcome is what a command printed, and its exit code.
type outcome struct {
	code           int
	stdout, stderr string
}

// commandPatience bounds a command that is expected to end by itself.
const commandPatience = 60 * time.Second

// command runs tidemark with a configuration file until it ends: arguments, the first of which is the command.
func command(t *testing.T, file string, args ...string) outcome {
	t.Helper()
	return tidemark(t, append([]string{args[0], "-c", file}, args[1:]...)...)
}

// tidemark runs tidemark until it ends.
func tidemark(t *testing.T, args ...string) outcome {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), commandPatience)
	defer cancel()
	cmd := exec.CommandContext(ctx, rig.Binary(t), args...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	if ctx.Err() != nil {
		t.Fatalf("tidemark %v did not end in %v; it said\n%s%s", args, commandPatience, stdout.String(), stderr.String())
	}
	return outcome{cmd.ProcessState.ExitCode(), stdout.String(), stderr.String()}
}

// works fails the test unless the command did its work and said nothing of errors.
func (o outcome) works(t *testing.T) outcome {
	t.Helper()
	if o.code != 0 || strings.Contains(o.stderr, "Error:") {
		t.Fatalf("exit code %d, %s%s", o.code, o.stdout, o.stderr)
	}
	return o
}

// fails fails the test unless the command ended with the exit code and one error and remedy per list of texts, in the
// given order; each error's two lines must hold its texts.
func (o outcome) fails(t *testing.T, code int, want ...[]string) {
	t.Helper()
	var got []string
	for line := range strings.Lines(o.stderr) {
		if strings.HasPrefix(line, "Error: ") || strings.HasPrefix(line, "Try: ") {
			got = append(got, line)
		}
	}
	if o.code != code || len(got) != 2*len(want) {
		t.Fatalf("exit code %d and %d lines, want %d and %d:\n%s%s", o.code, len(got), code, 2*len(want), o.stdout, o.stderr)
	}
	for i, texts := range want {
		first, second := got[2*i], got[2*i+1]
		if !strings.HasPrefix(first, "Error: ") || !strings.HasPrefix(second, "Try: ") || len(strings.TrimSpace(second)) < len("Try: it") {
			t.Errorf("want an error and a remedy, have\n%s%s", first, second)
		}
		for _, text := range texts {
			if !strings.Contains(first+second, text) {
				t.Errorf("no %q in\n%s%s", text, first, second)
			}
		}
	}
}

// decode reads the JSON that a command printed.
func decode[T any](t *testing.T, o outcome) (v T) {
	t.Helper()
	if err := json.Unmarshal([]byte(o.works(t).stdout), &v); err != nil {
		t.Fatalf("%v in %q", err, o.stdout)
	}
	return v
}

// write writes a configuration file.
func write(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "tidemark.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}
