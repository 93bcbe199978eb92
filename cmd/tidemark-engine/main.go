// Command tidemark-engine is the child process behind tidemark's embedded servers; people do not run it.
//
// It owns two modes: `supervise` keeps a server on a leash (package supervise), `clickhouse` is ClickHouse itself, from
// its shared library. It is a program of its own because loading that library needs purego and a dynamic binary,
// which cmd/tidemark must not be. When a server runs and how it is configured, package engine decides.
package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"syscall"

	"github.com/tidemark-db/tidemark/internal/engine/supervise"
)

func main() {
	status, err := run(os.Args[1:])
	if err != nil {
		fmt.Fprintln(os.Stderr, "tidemark-engine:", err)
		status = max(status, 1)
	}
	os.Exit(status)
}

func run(args []string) (status int, err error) {
	if len(args) == 0 {
		return 2, errors.New("usage: tidemark-engine supervise | clickhouse (started by tidemark)")
	}
	switch args[0] {
	case "supervise":
		return runSupervise(args[1:])
	case "clickhouse":
		return runClickHouse(args[1:])
	default:
		return 2, fmt.Errorf("unknown mode %q", args[0])
	}
}

func runSupervise(args []string) (status int, err error) {
	flags := flag.NewFlagSet("supervise", flag.ContinueOnError)
	uid := flags.Int("uid", -1, "user that the command runs as")
	gid := flags.Int("gid", -1, "its group")
	remove := flags.String("remove", "", "folder to delete when the owner dies")
	if err := flags.Parse(args); err != nil {
		return 2, err
	}
	if flags.NArg() == 0 {
		return 2, errors.New("supervise: no command")
	}
	c := supervise.Command{Path: flags.Arg(0), Args: flags.Args()[1:], Remove: *remove}
	if *uid >= 0 && *gid >= 0 {
		c.Account = &syscall.Credential{Uid: uint32(*uid), Gid: uint32(*gid)}
	}
	return supervise.Run(c)
}
