package main

import (
	"time"

	"github.com/spf13/cobra"

	"github.com/tidemark-db/tidemark/internal/bridge"
)

type folded = bridge.Folded

func newResync(a *app) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "resync",
		Short: "Fold late rows and masks into HISTORIC now",
		Long: `Resync rebuilds the HISTORIC chunks whose rows changed after they settled, with those
changes in them, and merges small chunks, while ticks and queries go on. It asks the
running bridge, or does it itself when none is running. Views are exact before, while
and after; a resync keeps queries fast.`,
		Example: example("tidemark resync -c tidemark.yaml", "tidemark resync -c tidemark.yaml --json"),
	}
	flags := newConfigFlags(cmd)
	jsonFlag(cmd, &asJSON)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		cfg, log, err := a.start(cmd, flags)
		if err != nil {
			return err
		}
		tables, err := resyncNow(cmd.Context(), cfg, log)
		if err != nil {
			return err
		}
		if asJSON {
			return a.printJSON(append([]folded{}, tables...))
		}
		for _, t := range tables {
			a.printf("%s: %d chunks became %d, %d late rows and %d masks folded, in %s\n", t.Table, t.Chunks, t.Built, t.Late, t.Masks, t.Took.Round(time.Millisecond))
		}
		return nil
	}
	return cmd
}
