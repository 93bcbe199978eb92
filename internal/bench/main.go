// Command bench measures tidemark on real engines that it starts itself, and prints what it measured. It asserts
// nothing: a figure of one machine says nothing of another; compare the rows of one run.
//
//	go run ./internal/bench freshness
//	go run ./internal/bench aggregates
//	go run ./internal/bench resync
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	parts := map[string]func(context.Context, []string) error{"freshness": freshness, "aggregates": aggregates, "resync": resync}
	if len(os.Args) < 2 || parts[os.Args[1]] == nil {
		fmt.Fprintln(os.Stderr, "usage: bench freshness|aggregates|resync [flags]")
		os.Exit(2)
	}
	if err := parts[os.Args[1]](ctx, os.Args[2:]); err != nil {
		fmt.Fprintln(os.Stderr, "Error:", err)
		os.Exit(1)
	}
}
