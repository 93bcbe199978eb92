package main

import (
	"context"
	"fmt"
	"time"

	"github.com/rs/zerolog"
	"github.com/spf13/cobra"

	"github.com/tidemark-db/tidemark/internal/bridge"
	"github.com/tidemark-db/tidemark/internal/config"
	"github.com/tidemark-db/tidemark/internal/observe"
)

type folded = bridge.Folded

func newResync(a *app) *cobra.Command {
	var asJSON, fromSource bool
	var scope scopeFlags
	cmd := &cobra.Command{
		Use:   "resync",
		Short: "Fold late rows and masks into HISTORIC now, or load rows from PostgreSQL again",
		Long: `Resync rebuilds the HISTORIC chunks whose rows changed after they settled, with those
changes in them, and merges small chunks, while ticks and queries go on. It asks the
running bridge, or does it itself when none is running. Views are exact before, while
and after; a resync keeps queries fast.

With --from-source the rows are read from PostgreSQL again and take the place of what
ClickHouse has, partition by partition: the repair for what verify finds.`,
		Example: example("tidemark resync -c tidemark.yaml", "tidemark resync -c tidemark.yaml --table sales --from 2026-11-01 --to 2026-11-02 --from-source"),
	}
	flags := newConfigFlags(cmd)
	jsonFlag(cmd, &asJSON)
	scope.add(cmd)
	cmd.Flags().BoolVar(&fromSource, "from-source", false, "read the rows from PostgreSQL again")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		cfg, log, err := a.start(cmd, flags)
		if err != nil {
			return err
		}
		request, err := scope.request(cfg)
		if err != nil {
			return err
		}
		if fromSource {
			return a.reload(cmd.Context(), cfg, log, request, asJSON)
		}
		return a.fold(cmd.Context(), cfg, log, request, asJSON)
	}
	return cmd
}

func (a *app) fold(ctx context.Context, cfg *config.Config, log zerolog.Logger, request bridge.Request, asJSON bool) error {
	tables, err := watched(a, func(watch func(observe.JobStatus)) ([]folded, error) {
		return resyncNow(ctx, cfg, log, request, watch)
	})
	if err != nil {
		return err
	}
	if asJSON {
		return a.printJSON(append([]folded{}, tables...))
	}
	if len(tables) == 0 {
		fmt.Fprintln(a.stderr, "nothing to fold")
	}
	for _, t := range tables {
		a.printf("%s: %d chunks became %d, %d late rows and %d masks folded, in %s\n", t.Table, t.Chunks, t.Built, t.Late, t.Masks, t.Took.Round(time.Millisecond))
	}
	return nil
}

func (a *app) reload(ctx context.Context, cfg *config.Config, log zerolog.Logger, request bridge.Request, asJSON bool) error {
	parts, err := watched(a, func(watch func(observe.JobStatus)) ([]reread, error) {
		return reloadNow(ctx, cfg, log, request, watch)
	})
	if err != nil {
		return err
	}
	if asJSON {
		return a.printJSON(append([]reread{}, parts...))
	}
	for _, p := range parts {
		a.printf("%s: %d rows loaded as of %s, in %s\n", describe(p), p.Rows, p.LSN, p.Took.Round(time.Millisecond))
	}
	return nil
}
