package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/tidemark-db/tidemark/internal/config"
	"github.com/tidemark-db/tidemark/internal/fault"
)

// uninstallOptions say what is dropped.
type uninstallOptions struct {
	Slot bool // the replication slot in PostgreSQL
	Data bool // views and internal tables in ClickHouse
}

func newUninstall(a *app) *cobra.Command {
	var (
		opts uninstallOptions
		yes  bool
	)
	cmd := &cobra.Command{
		Use:   "uninstall",
		Short: "Drop the replication slot, or the views and tables in ClickHouse",
		Long: `Uninstall drops what run has made: with --slot the replication slot in PostgreSQL, with
--data the views and internal tables in ClickHouse. It reads the name of the
database from its input, unless --yes says that it is meant.`,
		Example: example("tidemark uninstall -c tidemark.yaml --slot --data", "tidemark uninstall -c tidemark.yaml --slot --yes"),
	}
	flags := newConfigFlags(cmd)
	cmd.Flags().BoolVar(&opts.Slot, "slot", false, "drop the replication slot in PostgreSQL")
	cmd.Flags().BoolVar(&opts.Data, "data", false, "drop the views and tables in ClickHouse")
	cmd.Flags().BoolVar(&yes, "yes", false, "do not ask")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if !opts.Slot && !opts.Data {
			return usagef("tidemark uninstall -c tidemark.yaml --slot --data", "tidemark uninstall needs --slot or --data, or both")
		}
		cfg, log, err := a.start(cmd, flags)
		if err != nil {
			return err
		}
		if !yes {
			if err := a.confirm(cmd.Context(), cfg, opts); err != nil {
				return err
			}
		}
		return uninstall(cmd.Context(), cfg, log, opts)
	}
	return cmd
}

// confirm has the name of the database typed that is about to lose something.
func (a *app) confirm(ctx context.Context, cfg *config.Config, opts uninstallOptions) error {
	database, what := cfg.Source.Database, "the slot "+cfg.Source.Slot
	if opts.Data {
		database, what = cfg.ClickHouse.Database, "the views and tables in ClickHouse"
	}
	if a.typing {
		fmt.Fprintf(a.stderr, "This drops %s. Type the name of the database, %s, to go on: ", what, database)
	}
	typed, err := readLine(ctx, a.stdin)
	if err != nil {
		return err
	}
	if typed == "" && !a.typing {
		return usagef("add --yes", "tidemark uninstall cannot ask: its input is not a terminal")
	}
	if typed != database {
		return fault.New("type "+database+", or add --yes", "nothing was dropped: %q is not the name of the database", typed)
	}
	return nil
}

// readLine returns early when ctx ends. Its goroutine then stays blocked on the terminal until the process ends, which
// is next: no read of a terminal can be cancelled.
func readLine(ctx context.Context, in io.Reader) (string, error) {
	type answer struct {
		line string
		err  error
	}
	answers := make(chan answer, 1)
	go func() {
		line, err := bufio.NewReader(in).ReadString('\n')
		answers <- answer{line, err}
	}()
	select {
	case <-ctx.Done():
		return "", ctx.Err()
	case a := <-answers:
		if a.err != nil && !errors.Is(a.err, io.EOF) {
			return "", fmt.Errorf("read answer: %w", a.err)
		}
		return strings.TrimSpace(a.line), nil
	}
}
