// Command bench measures tidemark on real engines that it starts itself, side by side with a peer or a limit, and prints
// one table. It asserts nothing: a figure of one machine says nothing of another; what counts is the ratio of two that
// were measured in one run.
//
//	go run ./internal/bench                          every part at full scale, which takes hours
//	go run ./internal/bench catch-up query           these parts
//	go run ./internal/bench catch-up -scale 0.01     a smoke run
//
// The statements that it times are the files in sql.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
	"time"
)

// part is one subject of measurement.
type part struct {
	name, about string
	measure     func(context.Context, *run) error
}

var parts = []part{
	{"catch-up", "changes that wait in the WAL, from START_REPLICATION to the mark that holds them all", catchUp},
	{"freshness", "commit to visible under load", freshness},
	{"rebuild", "a tick that rewrites chunks of RT, by size and share of changed rows", rebuild},
	{"query", "twelve queries over HISTORIC and RT, with and without late rows", query},
	{"growth", "tick, roll and fold by size of HISTORIC; ticks by number of tables", growth},
	{"snapshot", "the first load", snapshot},
	{"footprint", "processor time, memory and disk", footprint},
	{"mixed", "queries at a steady rate while changes stream", mixed},
	{"aggregates", "aggregates' views against states kept by hand", aggregates},
	{"resync", "late rows: fold, comparison, masses of changes", resync},
}

// options hold for every part.
type options struct {
	scale    float64 // of the numbers of rows, and of how long to wait
	runs     int     // of what is timed; the median counts
	json     string  // file
	profiles string  // folder for processor profiles of the bridge; "" for none
}

// rows scales a number of rows; it stays a multiple of 100.
func (o options) rows(full int) int { return max(int(float64(full)*o.scale)/100, 10) * 100 }

// samples scales a number of samples.
func (o options) samples(full int) int { return max(int(float64(full)*min(o.scale, 1)), 20) }

// wait scales a time.
func (o options) wait(full time.Duration) time.Duration {
	return time.Duration(float64(full) * min(o.scale, 1))
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	err := bench(ctx, os.Args[1:], os.Stdout)
	removeProgram()
	switch {
	case errors.Is(err, flag.ErrHelp):
	case errors.Is(err, errUsage):
		fmt.Fprintln(os.Stderr, "Error:", err)
		os.Exit(2)
	case err != nil:
		fmt.Fprintln(os.Stderr, "Error:", err)
		os.Exit(1)
	}
}

var errUsage = errors.New("wrong usage")

// bench measures the parts that are named, all when none is. What was measured is printed even when a later part fails.
func bench(ctx context.Context, args []string, out io.Writer) error {
	o, chosen, err := parse(args)
	if err != nil {
		return err
	}
	var measured report
	for _, p := range chosen {
		fmt.Fprintf(os.Stderr, "%s: %s\n", p.name, p.about)
		r := &run{options: o, part: p.name, report: &measured}
		err = p.measure(ctx, r)
		r.addPeak()
		if err != nil {
			err = fmt.Errorf("%s: %w", p.name, err)
			break
		}
	}
	return errors.Join(err, measured.print(out), measured.save(o))
}

func parse(args []string) (o options, chosen []part, err error) {
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	flags.Float64Var(&o.scale, "scale", 1, "of the numbers of rows; 0.01 is a smoke run")
	flags.IntVar(&o.runs, "runs", 3, "runs of what is timed; the median counts")
	flags.StringVar(&o.json, "json", "bench.json", "file for the rows; empty for none")
	flags.StringVar(&o.profiles, "profiles", "", "folder for processor profiles of the bridge")
	flags.Usage = func() {
		fmt.Fprintln(flags.Output(), "usage: bench [part …] [flags]")
		for _, p := range parts {
			fmt.Fprintf(flags.Output(), "  %-12s %s\n", p.name, p.about)
		}
		flags.PrintDefaults()
	}
	first := slices.IndexFunc(args, func(a string) bool { return strings.HasPrefix(a, "-") })
	if first < 0 {
		first = len(args)
	}
	if err := flags.Parse(args[first:]); err != nil {
		return o, nil, errors.Join(err, errUsage)
	}
	if o.scale <= 0 || o.runs < 1 {
		return o, nil, fmt.Errorf("scale and runs are more than 0: %w", errUsage)
	}
	for _, name := range append(args[:first:first], flags.Args()...) {
		i := slices.IndexFunc(parts, func(p part) bool { return p.name == name })
		if i < 0 {
			return o, nil, fmt.Errorf("no part is called %s: %w", name, errUsage)
		}
		chosen = append(chosen, parts[i])
	}
	if len(chosen) == 0 {
		chosen = parts
	}
	return o, chosen, nil
}
