package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/tidemark-db/tidemark/internal/bridge"
	"github.com/tidemark-db/tidemark/internal/config"
	"github.com/tidemark-db/tidemark/internal/fault"
)

// initOptions say what init writes, and where.
type initOptions struct {
	bridge.ProposeOptions
	Output string
	Force  bool
}

// toStdout is the --output that is no file.
const toStdout = "-"

func newInit(a *app) *cobra.Command {
	var o initOptions
	cmd := &cobra.Command{
		Use:   "init",
		Short: "Write a configuration for the tables of a publication",
		Long: `Init reads the catalogue, the statistics and some rows of the tables that a publication
sends, and writes a configuration for them: the date column, the order, the partitions,
types and codecs, each with its reason as a comment. Read it before you use it. It asks
nothing and changes nothing in either database; run ANALYZE first for better proposals.

The source's connection string may also come from TIDEMARK_SOURCE_DSN, ClickHouse's from
TIDEMARK_CLICKHOUSE_DSN; such a string is not written to the file.`,
		Example: example("tidemark init --source postgres://tidemark@db:5432/shop", "tidemark init --source postgres://tidemark@db/shop --clickhouse clickhouse://tidemark@ch:9000/shop -o shop.yaml",
			"tidemark init --output -"),
	}
	cmd.Flags().StringVar(&o.Source, "source", "", "connection string of PostgreSQL, as source.dsn")
	cmd.Flags().StringVar(&o.ClickHouse, "clickhouse", "", "connection string of ClickHouse, as clickhouse.dsn (default: clickhouse://tidemark@localhost:9000/ and the name of the source's database)")
	cmd.Flags().StringVar(&o.Publication, "publication", "tidemark", "publication whose tables are meant")
	cmd.Flags().StringVar(&o.Slot, "slot", "tidemark", "name of the slot to be")
	cmd.Flags().StringVar(&o.TimeZone, "time-zone", "UTC", "zone of timestamps without time zone")
	cmd.Flags().StringVarP(&o.Output, "output", "o", "tidemark.yaml", "`file` to write; - is the standard output")
	cmd.Flags().BoolVar(&o.Force, "force", false, "overwrite the file")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if err := o.check(); err != nil {
			return err
		}
		text, err := bridge.Propose(cmd.Context(), o.ProposeOptions)
		if err != nil {
			return err
		}
		return a.writeProposal(text, o)
	}
	return cmd
}

// check takes what was not given from the environment, and refuses to read anything for a file that it may not write.
func (o *initOptions) check() error {
	o.Env = os.LookupEnv
	if o.Source == "" {
		if _, ok := os.LookupEnv(config.EnvName("source.dsn")); !ok {
			return usagef("tidemark init --source postgres://user@host:5432/database", "tidemark init needs the source's connection string")
		}
	}
	if o.Output == toStdout || o.Force {
		return nil
	}
	if _, err := os.Lstat(o.Output); !errors.Is(err, fs.ErrNotExist) {
		return fault.New("name another file with --output, or overwrite it with --force", "file %s exists already", o.Output)
	}
	return nil
}

// writeProposal keeps the file to its owner: there may be a password in it.
func (a *app) writeProposal(text string, o initOptions) error {
	if o.Output == toStdout {
		a.printf("%s", text)
		return nil
	}
	mode := os.O_WRONLY | os.O_CREATE | os.O_EXCL
	if o.Force {
		mode = os.O_WRONLY | os.O_CREATE | os.O_TRUNC
	}
	file, err := os.OpenFile(o.Output, mode, 0o600)
	if err != nil {
		return fault.New("name another file with --output", "write the configuration: %w", err)
	}
	_, err = file.WriteString(text)
	if err := errors.Join(err, file.Close()); err != nil {
		return fault.New("see that the disk is not full", "write %s: %w", o.Output, err)
	}
	a.printf("wrote %s, with %s; read it, then: tidemark check -c %s\n", o.Output, tablesIn(text), o.Output)
	return nil
}

// tablesIn counts the tables of a proposal that are in it.
func tablesIn(text string) string {
	n := 0
	_, tables, _ := strings.Cut(text, "\ntables:\n")
	for line := range strings.Lines(tables) {
		if strings.HasPrefix(line, "  ") && !strings.HasPrefix(line, "   ") && !strings.HasPrefix(line, "  #") {
			n++
		}
	}
	if n == 1 {
		return "1 table"
	}
	return fmt.Sprintf("%d tables", n)
}
