package main

import (
	"time"

	"github.com/spf13/cobra"
)

// demoOptions say what the demo does.
type demoOptions struct {
	For      time.Duration // 0 is until interrupted
	RTWindow time.Duration
	Rate     int    // changes per second
	Keep     string // folder for the engines' data; empty is a temporary one
}

func newDemo(a *app) *cobra.Command {
	var opts demoOptions
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Start PostgreSQL, ClickHouse, a busy shop and the bridge, to look at",
		Long: `Demo starts an embedded PostgreSQL and ClickHouse, a shop that sells, changes and cancels,
and the bridge between them. It prints what to paste to query the views, and shows every
second where the rows are, the split date, the changes and the time from a commit to its
being visible. With --for it ends by comparing every row of every table with its view,
and exits 1 when one differs. The servers are fetched with npm when they are first
needed. The bridge logs to a file; warnings come here too.`,
		Example: example("tidemark demo", "tidemark demo --for 60s --rate 500 --rt-window 20s", "tidemark demo --keep ./demo-data"),
	}
	cmd.Flags().DurationVar(&opts.For, "for", 0, "end after this time and compare; 0 is until interrupted")
	cmd.Flags().DurationVar(&opts.RTWindow, "rt-window", time.Minute, "age at which a row settles")
	cmd.Flags().IntVar(&opts.Rate, "rate", 500, "row changes per second")
	cmd.Flags().StringVar(&opts.Keep, "keep", "", "keep the engines' data in this `folder`, to go on with it next time")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if err := opts.check(); err != nil {
			return err
		}
		log, err := a.logger()
		if err != nil {
			return err
		}
		return stopped(cmd.Context(), runDemo(cmd.Context(), a, log.GetLevel(), opts))
	}
	return cmd
}

func (o demoOptions) check() error {
	switch {
	case o.For < 0:
		return usagef("--for 60s", "--for %v is less than 0", o.For)
	case o.RTWindow < time.Second:
		return usagef("--rt-window 30s", "--rt-window %v is less than 1s", o.RTWindow)
	case o.Rate < 1:
		return usagef("--rate 300", "--rate %d is less than 1", o.Rate)
	}
	return nil
}
