package main

import (
	"strings"

	"github.com/spf13/cobra"
)

func newDDL(a *app) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "ddl",
		Short: "Print every DDL statement that run would make",
		Long: `DDL prints the statements that run would make in ClickHouse for the configured tables,
in order. It reads the tables' columns from PostgreSQL and changes nothing.`,
		Example: example("tidemark ddl -c tidemark.yaml", "tidemark ddl -c tidemark.yaml --json"),
	}
	flags := newConfigFlags(cmd)
	jsonFlag(cmd, &asJSON)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		cfg, log, err := a.start(cmd, flags)
		if err != nil {
			return err
		}
		statements, err := ddlStatements(cmd.Context(), cfg, log)
		if err != nil {
			return err
		}
		if asJSON {
			return a.printJSON(append([]string{}, statements...))
		}
		for _, statement := range statements {
			a.printf("%s;\n\n", strings.TrimRight(statement, "; \n"))
		}
		return nil
	}
	return cmd
}
