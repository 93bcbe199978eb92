package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"
)

// app is what all commands share: the standard streams, what is known of them, and the global flags.
type app struct {
	stdin   io.Reader
	stdout  io.Writer
	stderr  io.Writer
	typing  bool // stdin is a terminal
	console bool // stderr is a terminal

	logFormat string
	logLevel  string
}

const rootHelp = `tidemark streams a PostgreSQL publication into ClickHouse. Every published table is
a view there that can be queried as if it were the PostgreSQL table: each query sees,
over all tables, exactly the state that PostgreSQL had at one commit.

A key of the configuration is taken from --set, then from the environment
(TIDEMARK_SOURCE_DSN, TIDEMARK_LIMITS_LATE_ROWS, ...), then from the file.

Exit codes:
  0        done
  1        failed: a server, the network, or a check that did not pass; verify: something differs
  2        wrong usage: the command line or the configuration; verify: it could not tell
  130, 143 interrupted (SIGINT, SIGTERM) before it was done; run, demo and
           status --watch are done when they are interrupted: 0

The first SIGINT or SIGTERM stops in good order, within 20 seconds; the second at once.`

func newRoot(a *app) *cobra.Command {
	root := &cobra.Command{
		Use:           "tidemark",
		Short:         "PostgreSQL tables in ClickHouse, exact at every commit",
		Long:          rootHelp,
		Example:       "  tidemark demo\n  tidemark check -c tidemark.yaml\n  tidemark run -c tidemark.yaml",
		Args:          cobra.ArbitraryArgs,
		SilenceErrors: true,
		SilenceUsage:  true,
		RunE:          unknownCommand,
	}
	root.SetOut(a.stdout)
	root.SetErr(a.stderr)
	root.SetFlagErrorFunc(flagError)
	root.PersistentFlags().StringVar(&a.logFormat, "log-format", "auto", "auto (console on a terminal, else json), json or console")
	root.PersistentFlags().StringVar(&a.logLevel, "log-level", "info", "debug, info, warn or error")
	root.AddCommand(newInit(a), newRun(a), newCheck(a), newStatus(a), newWait(a), newDDL(a), newRoll(a), newResync(a), newVerify(a), newUninstall(a), newDemo(a), newVersion(a))
	root.SetHelpCommand(newHelp())
	for _, command := range root.Commands() {
		command.Args = noArgs
	}
	return root
}

func unknownCommand(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return cmd.Help()
	}
	return usagef(nearestCommand(cmd, args[0]), "unknown command %q", args[0])
}

func nearestCommand(root *cobra.Command, typed string) string {
	for root.SuggestionsMinimumDistance = 1; root.SuggestionsMinimumDistance <= 2; root.SuggestionsMinimumDistance++ {
		if near := root.SuggestionsFor(typed); len(near) > 0 {
			return "tidemark " + near[0]
		}
	}
	return "tidemark --help lists the commands"
}

// newHelp is cobra's help command with an exit code for a topic that there is not.
func newHelp() *cobra.Command {
	return &cobra.Command{
		Use:   "help [command]",
		Short: "Show the help of a command",
		RunE: func(cmd *cobra.Command, args []string) error {
			topic, rest, err := cmd.Root().Find(args)
			if err != nil || len(rest) > 0 {
				return unknownCommand(cmd.Root(), args)
			}
			topic.InitDefaultHelpFlag() // which cobra adds only to a command that runs
			return topic.Help()
		},
	}
}

func noArgs(cmd *cobra.Command, args []string) error {
	if len(args) > 0 {
		return usagef(cmd.CommandPath()+" --help", "%s takes no argument %q", cmd.CommandPath(), args[0])
	}
	return nil
}

func flagError(cmd *cobra.Command, err error) error {
	return usagef(cmd.CommandPath()+" --help", "%s: %w", cmd.CommandPath(), err)
}

// example indents the lines that --help shows.
func example(lines ...string) string { return "  " + strings.Join(lines, "\n  ") }

func (a *app) printf(format string, args ...any) { fmt.Fprintf(a.stdout, format, args...) }

func (a *app) printJSON(v any) error { return printJSON(a.stdout, v) }

func printJSON(out io.Writer, v any) error {
	encoder := json.NewEncoder(out)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(v); err != nil {
		return fmt.Errorf("write JSON: %w", err)
	}
	return nil
}

func jsonFlag(cmd *cobra.Command, asJSON *bool) {
	cmd.Flags().BoolVar(asJSON, "json", false, "print JSON")
}
