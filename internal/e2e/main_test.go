// Package e2e holds the tests of the whole bridge on real engines: pgbench or other writers on one side, readers of the
// views on the other, and the two compared. It owns workloads, readers and negative controls; internal/rig owns the
// engines and the databases, internal/bridge what is tested. PostgreSQL is authoritative: a view is right when it equals
// what PostgreSQL had at the mark's LSN.
package e2e

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/tidemark-db/tidemark/internal/rig"
)

// servers are the two engines that all tests of this package share; each test has databases of its own.
var servers *rig.Servers

func TestMain(m *testing.M) {
	rig.Puppets()
	os.Exit(run(m))
}

// run returns the exit code. The engines stop however the tests end; a test's own panic ends the process, and the
// engines with it.
func run(m *testing.M) int {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute) // a first run fetches the engines
	defer cancel()
	defer rig.RemoveBinary()
	var err error
	if servers, err = rig.Start(ctx, rig.Options{
		PostgresVersion: cmp.Or(os.Getenv("TIDEMARK_TEST_POSTGRES_VERSION"), "18"), Roles: true, PostgresSettings: map[string]string{"max_prepared_transactions": "5"},
	}); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer servers.Stop()
	return m.Run()
}
