package main

import (
	"errors"
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"syscall"

	"github.com/ebitengine/purego"
)

// runClickHouse calls the library's clickhouse-local with the given command line and returns when it ends.
//
//	tidemark-engine clickhouse LIBRARY [-relay PUBLIC=INTERNAL]... ARGUMENT...
//
// clickhouse-local runs the texts of its --queries-file arguments one after the other and ends. The last one that it
// is given here is a pipe that nobody writes to: it keeps the process up without a query that everlasting readers of
// system.processes would see. SIGTERM closes the pipe, and clickhouse-local shuts its storage down in order.
func runClickHouse(args []string) (status int, err error) {
	if len(args) == 0 {
		return 2, errors.New("clickhouse: no library")
	}
	library, err := purego.Dlopen(args[0], purego.RTLD_NOW|purego.RTLD_GLOBAL)
	if err != nil {
		return 1, fmt.Errorf("load ClickHouse: %w", err)
	}
	relays, rest := takeRelays(args[1:])
	if err := startRelays(relays); err != nil {
		return 1, err
	}
	wait, release, err := os.Pipe()
	if err != nil {
		return 1, fmt.Errorf("make pipe: %w", err)
	}
	defer func() { _ = wait.Close() }()
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM)
	go func() { // ends with the process
		<-stop
		_ = release.Close()
	}()
	last := fmt.Sprintf("/proc/self/fd/%d", wait.Fd())
	return 0, queryCmdline(library, append(rest, "--queries-file", last))
}

// takeRelays parts the leading relays from the arguments of clickhouse-local.
func takeRelays(args []string) (relays, rest []string) {
	for len(args) > 1 && args[0] == "-relay" {
		relays, args = append(relays, args[1]), args[2:]
	}
	return relays, args
}

// queryCmdline runs clickhouse-local with the given arguments in this process.
func queryCmdline(library uintptr, args []string) error {
	var query func(argc int32, argv **byte) uintptr
	var failure func(result uintptr) string
	purego.RegisterLibFunc(&query, library, "chdb_query_cmdline")
	purego.RegisterLibFunc(&failure, library, "chdb_result_error")

	argv := cStrings(append([]string{"clickhouse"}, args...))
	result := query(int32(len(argv)-1), &argv[0])
	runtime.KeepAlive(argv)
	if result == 0 {
		return errors.New("ClickHouse ended without a result")
	}
	if text := failure(result); text != "" {
		return errors.New(text)
	}
	return nil
}

// cStrings returns the strings as a C program's argv, with its closing NULL.
func cStrings(args []string) []*byte {
	argv := make([]*byte, 0, len(args)+1)
	for _, arg := range args {
		text := append([]byte(arg), 0)
		argv = append(argv, &text[0])
	}
	return append(argv, nil)
}
