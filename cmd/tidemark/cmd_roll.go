package main

import (
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/tidemark-db/tidemark/internal/bridge"
)

// rolled is what one roll did to one table.
type rolled = bridge.Rolled

func newRoll(a *app) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:     "roll",
		Short:   "Move the rows that have settled to HISTORIC now",
		Long:    `Roll asks the running bridge to move the split dates forward, or does it itself when none is running.`,
		Example: example("tidemark roll -c tidemark.yaml", "tidemark roll -c tidemark.yaml --json"),
	}
	flags := newConfigFlags(cmd)
	jsonFlag(cmd, &asJSON)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		cfg, log, err := a.start(cmd, flags)
		if err != nil {
			return err
		}
		tables, err := rollNow(cmd.Context(), cfg, log)
		if err != nil {
			return err
		}
		if asJSON {
			return a.printJSON(append([]rolled{}, tables...))
		}
		if len(tables) == 0 {
			fmt.Fprintln(a.stderr, "nothing has settled that is not in HISTORIC")
		}
		for _, t := range tables {
			a.printf("%s: %d rows, split date %s -> %s\n", t.Table, t.Rows,
				t.Before.UTC().Format(time.RFC3339Nano), t.After.UTC().Format(time.RFC3339Nano))
		}
		return nil
	}
	return cmd
}
