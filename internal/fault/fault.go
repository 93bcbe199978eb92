// Package fault gives errors the two lines that a user reads: what happened and where, and what to try.
//
// Every package of tidemark may return a *fault.Error; cmd/tidemark alone prints it.
package fault

import (
	"errors"
	"fmt"
)

// Error is an error with a remedy. Error() is one line that says what happened and where; Try is one line that says
// what to do about it.
type Error struct {
	What string
	Try  string
	Err  error
}

// New returns an *Error with the given remedy; the message is formatted as by fmt.Errorf, so %w wraps, each of several.
func New(try, format string, args ...any) *Error {
	err := fmt.Errorf(format, args...)
	return &Error{What: err.Error(), Try: try, Err: err}
}

func (e *Error) Error() string { return e.What }

// Unwrap returns what is below the message, if anything: New wraps errors as fmt.Errorf does.
func (e *Error) Unwrap() error { return e.Err }

// Try returns the remedy of the first *Error in err's chain, or "".
func Try(err error) string {
	var e *Error
	if errors.As(err, &e) {
		return e.Try
	}
	return ""
}
