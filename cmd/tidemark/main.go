// Command tidemark streams a PostgreSQL publication into ClickHouse.
//
// The package owns the command line: flags, signals, what is printed, exit codes. It does not own any protocol;
// wiring.go is where its commands reach the packages that do.
//
// Exit codes: 0 done; 1 failed; 2 wrong usage, faults of the configuration included; 130 and 143 interrupted by SIGINT
// and SIGTERM before it was done.
package main

import (
	"context"
	"os"
	"runtime/debug"
	_ "time/tzdata" // the machine may have no time zones of its own

	"github.com/mattn/go-isatty"
)

func main() {
	if os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(memoryLimit)
	}
	os.Exit(run())
}

// memoryLimit, in bytes, is when the garbage collector begins to hurry: rather that than twice what is needed. GOMEMLIMIT
// sets another one.
const memoryLimit = 256 << 20

// run is the one place where errors are printed and exit codes are chosen.
func run() int {
	a := &app{
		stdin: os.Stdin, stdout: os.Stdout, stderr: os.Stderr,
		typing:  isatty.IsTerminal(os.Stdin.Fd()),
		console: isatty.IsTerminal(os.Stderr.Fd()),
	}
	ctx, stop := interruptible(context.Background(), a.stderr)
	defer stop()
	err := newRoot(a).ExecuteContext(ctx)
	if err == nil {
		return exitDone
	}
	printError(a.stderr, interrupted(ctx, err))
	return exitCode(ctx, err)
}
