package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"strings"
	"testing"

	"github.com/tidemark-db/tidemark/internal/fault"
)

func writes(text string) func(context.Context, io.Writer) error {
	return func(_ context.Context, out io.Writer) error {
		_, err := io.WriteString(out, text)
		return err
	}
}

func fails(context.Context, io.Writer) error { return fault.New("start it", "a server is gone") }

// TestLive shows the same thing on a terminal, in its place and in colours, and elsewhere, without.
func TestLive(t *testing.T) {
	terminal, _, err := os.Pipe() // anything with a descriptor will do; it has no width
	if err != nil {
		t.Fatal(err)
	}
	defer terminal.Close()
	const first, second = "a bridge is running: 1\nTABLE  RT\nsales  1\n", "no bridge is running: 2\n"
	var plain, shown bytes.Buffer
	for _, l := range []*live{{out: &plain}, {out: &shown, terminal: terminal}} {
		for _, text := range []string{first, second} {
			if err := l.show(t.Context(), writes(text)); err != nil {
				t.Fatal(err)
			}
		}
	}
	if plain.String() != first+second {
		t.Errorf("shows %q", plain.String())
	}
	want := "\x1b[32ma bridge is running: 1\x1b[0m\n\x1b[1mTABLE  RT\x1b[0m\nsales  1\n\x1b[3A\r\x1b[J\x1b[31mno bridge is running: 2\x1b[0m\n"
	if shown.String() != want {
		t.Errorf("shows %q, want %q", shown.String(), want)
	}
}

// TestLiveError sees that an error ends what was never shown, or what nobody watches, and is shown to who does.
func TestLiveError(t *testing.T) {
	terminal, _, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer terminal.Close()
	t.Setenv("NO_COLOR", "1")
	var shown bytes.Buffer
	l := &live{out: &shown, terminal: terminal}
	if err := l.show(t.Context(), fails); err == nil || shown.Len() > 0 {
		t.Errorf("%v, shows %q", err, shown.String())
	}
	if err := errors.Join(l.show(t.Context(), writes("one\n")), l.show(t.Context(), fails)); err != nil {
		t.Error(err)
	}
	if want := "one\n\x1b[1A\r\x1b[JError: a server is gone\nTry: start it\n"; shown.String() != want {
		t.Errorf("shows %q, want %q", shown.String(), want)
	}
	l = &live{out: io.Discard, shown: true}
	if err := l.show(t.Context(), fails); err == nil || !strings.Contains(err.Error(), "gone") {
		t.Errorf("%v", err)
	}
}
