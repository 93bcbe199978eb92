package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/mattn/go-isatty"
	"golang.org/x/sys/unix"
)

// live shows something again and again: on a terminal in the same place and in colours, elsewhere one after the other.
type live struct {
	out      io.Writer
	terminal *os.File // nil where there is none
	lines    int      // that stand on the terminal
	shown    bool
}

// newLive returns a live view on out; plain keeps it from treating a terminal as one.
func newLive(out io.Writer, plain bool) *live {
	l := &live{out: out}
	if file, ok := out.(*os.File); ok && !plain && isatty.IsTerminal(file.Fd()) && os.Getenv("TERM") != "dumb" {
		l.terminal = file
	}
	return l
}

// show shows what render writes. An error of the first time is returned; after that it is shown on a terminal, where
// somebody may be waiting for the servers to come back.
func (l *live) show(ctx context.Context, render func(context.Context, io.Writer) error) error {
	var text bytes.Buffer
	err := render(ctx, &text)
	switch {
	case err != nil && (!l.shown || l.terminal == nil || ctx.Err() != nil):
		return err
	case err != nil:
		text.Reset()
		printError(&text, err)
	}
	l.shown = true
	if l.terminal == nil {
		_, err := l.out.Write(text.Bytes())
		return err
	}
	return l.draw(strings.Split(strings.TrimSuffix(text.String(), "\n"), "\n"))
}

func (l *live) draw(lines []string) error {
	var b strings.Builder
	if l.lines > 0 {
		fmt.Fprintf(&b, "\x1b[%dA\r\x1b[J", l.lines) // up to its first line, and clear from there on
	}
	width := l.width()
	for _, line := range lines {
		if runes := []rune(line); len(runes) > width {
			line = string(runes[:width])
		}
		b.WriteString(coloured(line) + "\n")
	}
	l.lines = len(lines)
	_, err := io.WriteString(l.out, b.String())
	return err
}

func (l *live) width() int {
	size, err := unix.IoctlGetWinsize(int(l.terminal.Fd()), unix.TIOCGWINSZ)
	if err != nil || size.Col == 0 {
		return 80
	}
	return int(size.Col)
}

// coloured gives a line of a status its colour: what is well is green, what is not red, headings are bold.
func coloured(line string) string {
	if os.Getenv("NO_COLOR") != "" {
		return line
	}
	for _, c := range []struct{ prefix, code string }{
		{"a bridge is running", "32"}, {"no bridge is running", "31"}, {"Error: ", "31"}, {"TABLE ", "1"},
	} {
		if strings.HasPrefix(line, c.prefix) {
			return "\x1b[" + c.code + "m" + line + "\x1b[0m"
		}
	}
	return line
}
