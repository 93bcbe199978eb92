package main

import (
	"context"
	"errors"
	"regexp"
	"time"

	"github.com/jackc/pglogrepl"
	"github.com/spf13/cobra"

	"github.com/tidemark-db/tidemark/internal/fault"
)

// waited is the first mark that was seen to hold the position.
type waited struct {
	LSN   string `json:"lsn"`
	Epoch uint64 `json:"epoch"`
}

func newWait(a *app) *cobra.Command {
	var (
		asJSON  bool
		text    string
		timeout time.Duration
	)
	cmd := &cobra.Command{
		Use:   "wait",
		Short: "Wait until the views show everything up to a WAL position",
		Long: `Wait returns when the views hold every commit up to the position, e.g. the one that
SELECT pg_current_wal_lsn() gives after a COMMIT: what was written can then be read.
It exits 1 when the time is over.`,
		Example: example(`tidemark wait -c tidemark.yaml --lsn "$(psql -Atc 'SELECT pg_current_wal_lsn()')" --timeout 5s`),
	}
	flags := newConfigFlags(cmd)
	jsonFlag(cmd, &asJSON)
	cmd.Flags().StringVar(&text, "lsn", "", "WAL `position`, e.g. 16/B374D848 (required)")
	cmd.Flags().DurationVar(&timeout, "timeout", 0, "give up after this time; 0 is never")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		lsn, err := parsePosition(text)
		if err != nil {
			return err
		}
		if timeout < 0 {
			return usagef("--timeout 5s", "--timeout %v is less than 0", timeout)
		}
		cfg, log, err := a.start(cmd, flags)
		if err != nil {
			return err
		}
		ctx, cancel := limited(cmd.Context(), timeout)
		defer cancel()
		epoch, err := waitForLSN(ctx, cfg, log, lsn)
		if err != nil {
			return notInTime(err, lsn, timeout)
		}
		if asJSON {
			return a.printJSON(waited{LSN: lsn.String(), Epoch: epoch})
		}
		return nil
	}
	return cmd
}

// position is stricter than ParseLSN, which takes anything behind a position.
var position = regexp.MustCompile(`^[0-9A-Fa-f]{1,8}/[0-9A-Fa-f]{1,8}$`)

func parsePosition(text string) (pglogrepl.LSN, error) {
	const try = `give a position as PostgreSQL prints it, e.g. --lsn 16/B374D848`
	if text == "" {
		return 0, usagef(try, "tidemark wait needs --lsn")
	}
	lsn, err := pglogrepl.ParseLSN(text)
	if err != nil || !position.MatchString(text) {
		return 0, usagef(try, "--lsn %q is not a WAL position", text)
	}
	return lsn, nil
}

func limited(ctx context.Context, timeout time.Duration) (context.Context, context.CancelFunc) {
	if timeout == 0 {
		return context.WithCancel(ctx)
	}
	return context.WithTimeout(ctx, timeout)
}

func notInTime(err error, lsn pglogrepl.LSN, timeout time.Duration) error {
	if !errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	return fault.New("see with tidemark status whether a bridge is running and how far it is", "the views do not show %s after %v", lsn, timeout)
}
