package main

import (
	"context"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/tidemark-db/tidemark/internal/bridge"
)

// status is what the newest mark and PostgreSQL say.
type status = bridge.Status

// tableStatus counts the live rows and chunks of one table. SplitDate is nil for a mirrored table.
type tableStatus = bridge.TableStatus

// watchEvery is the time between two lines of status --watch.
const watchEvery = time.Second

func newStatus(a *app) *cobra.Command {
	var asJSON, watch bool
	cmd := &cobra.Command{
		Use:     "status",
		Short:   "Show lag, split dates, chunks, late rows and masks",
		Long:    `Status reads the newest published state and PostgreSQL's position. It needs no running bridge.`,
		Example: example("tidemark status -c tidemark.yaml --watch", "tidemark status -c tidemark.yaml --json"),
	}
	flags := newConfigFlags(cmd)
	jsonFlag(cmd, &asJSON)
	cmd.Flags().BoolVar(&watch, "watch", false, "show it again every second, until interrupted")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		cfg, _, err := a.start(cmd, flags)
		if err != nil {
			return err
		}
		show := func(ctx context.Context, out io.Writer) error {
			s, err := readStatus(ctx, cfg)
			switch {
			case err != nil:
				return err
			case asJSON:
				return printJSON(out, s)
			}
			return printStatus(out, s, time.Now())
		}
		if !watch {
			return show(cmd.Context(), a.stdout)
		}
		live := newLive(a.stdout, asJSON)
		return stopped(cmd.Context(), every(cmd.Context(), watchEvery, func(ctx context.Context) error {
			return live.show(ctx, show)
		}))
	}
	return cmd
}

// every runs f at once and then at each step until it fails or ctx ends.
func every(ctx context.Context, step time.Duration, f func(context.Context) error) error {
	ticker := time.NewTicker(step)
	defer ticker.Stop()
	for {
		if err := f(ctx); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-ticker.C:
		}
	}
}

func printStatus(out io.Writer, s status, now time.Time) error {
	state := "no bridge is running"
	if s.Running {
		state = "a bridge is running"
	}
	fmt.Fprintf(out, "%s: term %d, epoch %d, %s committed %s (%v ago), %d bytes of WAL behind\n", state, s.Term, s.Epoch, s.LSN,
		s.CommitTime.UTC().Format(time.RFC3339), now.Sub(s.CommitTime).Round(time.Millisecond), s.LagBytes)
	fmt.Fprintf(out, "slot %s: %s, %d bytes of WAL kept for it, and rows of the catalogue since %d transactions\n", s.Slot.Name, s.Slot.WALStatus, s.Slot.RetainedBytes, s.Slot.Transactions)
	if err := printTables(out, s.Tables); err != nil {
		return err
	}
	for _, t := range s.Tables {
		printTroubles(out, t)
	}
	for _, j := range s.Jobs {
		fmt.Fprintf(out, "%s %s\n", j.Kind, progressLine(j))
	}
	return nil
}

// printTroubles says why queries of a table fail, or do not see its newest state, and what to do about it.
func printTroubles(out io.Writer, t tableStatus) {
	if t.Held != nil {
		fmt.Fprintf(out, "%s is held, and queries of it fail: %s\n", t.Table, t.Held.Error)
	}
	if t.Held != nil && t.Held.Try != "" {
		fmt.Fprintf(out, "Try: %s\n", t.Held.Try)
	}
	if len(t.Waiting) > 0 {
		fmt.Fprintf(out, "%s is shown without what was done to its partitions %s, until their rows are read again\n", t.Table, strings.Join(t.Waiting, ", "))
	}
}

// proven says since when all of a table was found equal to PostgreSQL's, as far as a running bridge tells.
func proven(t tableStatus) string {
	switch {
	case t.Differences > 0:
		return fmt.Sprintf("%d rows differ", t.Differences)
	case t.Proven == nil:
		return "-"
	default:
		return t.Proven.UTC().Format(time.RFC3339)
	}
}

func printTables(out io.Writer, tables []tableStatus) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "TABLE\tSPLIT DATE\tRT\tHISTORIC\tLATE\tMASKS\tRT CHUNKS\tHISTORIC CHUNKS\tPROVEN")
	for _, t := range tables {
		split := "mirrored"
		switch {
		case t.Held != nil:
			split = "held"
		case !t.Loaded:
			split = "not loaded"
		case t.SplitDate != nil:
			split = t.SplitDate.UTC().Format(time.RFC3339Nano)
		}
		fmt.Fprintf(w, "%s\t%s\t%d\t%d\t%d\t%d\t%d\t%d\t%s\n", t.Table, split, t.RTRows, t.HistoricRows, t.LateRows, t.Masks, t.RTChunks, t.HistoricChunks, proven(t))
	}
	for _, t := range tables {
		for _, a := range t.Aggregates {
			state := "ready"
			if !a.Ready {
				state = fmt.Sprintf("computing, %d of %d chunks", a.Computed, a.Chunks)
			}
			fmt.Fprintf(w, "%s of %s\t%s\n", a.Name, t.Table, state)
		}
	}
	if err := w.Flush(); err != nil {
		return fmt.Errorf("write table: %w", err)
	}
	return nil
}
