package main

import (
	"context"
	"fmt"
	"strings"
	"text/tabwriter"

	"github.com/rs/zerolog"
	"github.com/spf13/cobra"

	"github.com/tidemark-db/tidemark/internal/bridge"
	"github.com/tidemark-db/tidemark/internal/config"
	"github.com/tidemark-db/tidemark/internal/observe"
)

// reread is what reading a part of a table again found.
type reread = bridge.Reread

func newVerify(a *app) *cobra.Command {
	var asJSON bool
	var scope scopeFlags
	cmd := &cobra.Command{
		Use:   "verify",
		Short: "Compare ClickHouse with PostgreSQL at one LSN",
		Long: `Verify reads rows from PostgreSQL under a snapshot and compares them with the state that
queries see at the snapshot's LSN, partition by partition, in number and checksum, and
names the keys that differ. It is exact while the database is written to, and changes
nothing. It asks the running bridge, or does it itself when none is running.

It exits 0 when everything is equal, 1 when something differs, 2 when it could not tell.`,
		Example: example("tidemark verify -c tidemark.yaml", "tidemark verify -c tidemark.yaml --table sales --from 2026-11-01 --to 2026-11-02 --json"),
	}
	flags := newConfigFlags(cmd)
	jsonFlag(cmd, &asJSON)
	scope.add(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		cfg, log, err := a.start(cmd, flags)
		if err != nil {
			return &codedError{exitUsage, err}
		}
		request, err := scope.request(cfg)
		if err != nil {
			return err
		}
		return a.verify(cmd.Context(), cfg, log, request, asJSON)
	}
	return cmd
}

func (a *app) verify(ctx context.Context, cfg *config.Config, log zerolog.Logger, request bridge.Request, asJSON bool) error {
	parts, err := watched(a, func(watch func(observe.JobStatus)) ([]reread, error) {
		return verifyNow(ctx, cfg, log, request, watch)
	})
	if err != nil {
		return &codedError{exitUsage, err}
	}
	if asJSON {
		err = a.printJSON(append([]reread{}, parts...))
	} else {
		err = a.printVerified(parts)
	}
	if err != nil {
		return &codedError{exitUsage, err}
	}
	for _, p := range parts {
		if !p.Equal {
			return &codedError{code: exitFailed}
		}
	}
	return nil
}

func (a *app) printVerified(parts []reread) error {
	w := tabwriter.NewWriter(a.stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "RANGE\tLSN\tPOSTGRESQL\tCLICKHOUSE\tRESULT")
	for _, p := range parts {
		result := "equal"
		if !p.Equal {
			result = "differs"
		}
		fmt.Fprintf(w, "%s\t%s\t%d\t%d\t%s\n", describe(p), p.LSN, p.Rows, p.Live, result)
	}
	if err := w.Flush(); err != nil {
		return fmt.Errorf("write table: %w", err)
	}
	for _, p := range parts {
		for _, d := range p.Differences {
			a.printf("%s (%s): %s\n", p.Table, strings.Join(d.Key, ", "), d.Kind)
		}
	}
	return nil
}

// describe names the part of a table.
func describe(p reread) string {
	const day = "2006-01-02 15:04:05Z07:00"
	switch {
	case p.From == nil && p.To == nil:
		return p.Table
	case p.From == nil:
		return p.Table + " before " + p.To.UTC().Format(day)
	case p.To == nil:
		return p.Table + " from " + p.From.UTC().Format(day)
	default:
		return p.Table + " " + p.From.UTC().Format(day) + " to " + p.To.UTC().Format(day)
	}
}
