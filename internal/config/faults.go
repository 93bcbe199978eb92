package config

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"github.com/tidemark-db/tidemark/internal/fault"
)

// Fault is one thing that is wrong with a configuration.
type Fault struct {
	Path string // of the key; empty for the file as a whole
	At   Origin // where the value was written
	What string // without path and origin
	Try  string
}

// Origin is where a value was written: a line of a file, an environment variable or the command line.
type Origin struct {
	Name string
	Line int // 0 outside a file
}

func (o Origin) String() string {
	if o.Line == 0 {
		return o.Name
	}
	return fmt.Sprintf("%s:%d", o.Name, o.Line)
}

// Error is one line: where, which key, what.
func (f *Fault) Error() string {
	var b strings.Builder
	for _, part := range []string{f.At.String(), f.Path} {
		if part != "" {
			b.WriteString(part + ": ")
		}
	}
	return b.String() + f.What
}

// Unwrap gives the fault with its remedy to those that ask for a *fault.Error.
func (f *Fault) Unwrap() error { return &fault.Error{What: f.Error(), Try: f.Try} }

// Faults is everything that is wrong with a configuration: the lines of the file in order, then the environment and
// the flags.
type Faults []*Fault

// Error is a line for each fault.
func (fs Faults) Error() string {
	lines := make([]string, len(fs))
	for i, f := range fs {
		lines[i] = f.Error()
	}
	return strings.Join(lines, "\n")
}

// Unwrap returns each fault as an error of its own.
func (fs Faults) Unwrap() []error {
	errs := make([]error, len(fs))
	for i, f := range fs {
		errs[i] = f
	}
	return errs
}

func (fs Faults) sorted() Faults {
	slices.SortStableFunc(fs, func(a, b *Fault) int {
		if (a.At.Line == 0) != (b.At.Line == 0) {
			return b.At.Line - a.At.Line
		}
		return a.At.Line - b.At.Line
	})
	return fs
}

func unreadable(path string, err error) *Fault {
	var pathErr *fs.PathError
	if errors.As(err, &pathErr) {
		err = pathErr.Err
	}
	return &Fault{
		At:   Origin{Name: path},
		What: fmt.Sprintf("cannot read the configuration: %v", err),
		Try:  "give -c the path of a readable file; deploy/tidemark.example.yaml shows every key",
	}
}
