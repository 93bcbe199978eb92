package main

import (
	"errors"

	"github.com/spf13/cobra"

	"github.com/tidemark-db/tidemark/internal/bridge"
	"github.com/tidemark-db/tidemark/internal/fault"
)

// finding is the result of one preflight check.
type finding = bridge.Finding

const (
	stateOK   = "ok"
	stateWarn = "warn"
	stateFail = "fail"
)

func newCheck(a *app) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "check",
		Short: "Check both servers and the configuration, change nothing",
		Long: `Check says of PostgreSQL, ClickHouse and every configured table whether run can work
with it. It changes nothing on either side. It exits 1 when a check fails.`,
		Example: example("tidemark check -c tidemark.yaml", "tidemark check -c tidemark.yaml --json"),
	}
	flags := newConfigFlags(cmd)
	jsonFlag(cmd, &asJSON)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		cfg, log, err := a.start(cmd, flags)
		if err != nil {
			return err
		}
		findings, err := runCheck(cmd.Context(), cfg, log)
		if printErr := a.printFindings(findings, asJSON); printErr != nil {
			return printErr
		}
		return errors.Join(err, failed(findings))
	}
	return cmd
}

func (a *app) printFindings(findings []finding, asJSON bool) error {
	if asJSON {
		return a.printJSON(append([]finding{}, findings...))
	}
	for _, f := range findings {
		if f.State != stateFail { // those are printed as errors
			a.printf("%-4s  %s: %s\n", f.State, f.Where, f.What)
		}
		if f.State == stateWarn && f.Try != "" {
			a.printf("      %s\n", f.Try)
		}
	}
	return nil
}

func failed(findings []finding) error {
	var errs []error
	for _, f := range findings {
		if f.State == stateFail {
			errs = append(errs, fault.New(f.Try, "%s: %s", f.Where, f.What))
		}
	}
	return errors.Join(errs...)
}
