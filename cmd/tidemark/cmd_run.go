package main

import (
	"context"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/rs/zerolog"
	"github.com/spf13/cobra"

	"github.com/tidemark-db/tidemark/internal/config"
	"github.com/tidemark-db/tidemark/internal/fault"
)

// runOptions are what run was asked for beside the configuration.
type runOptions struct {
	// CheckInvariants evaluates the invariants of a mark in ClickHouse after each one.
	CheckInvariants bool
	// Standby waits while another bridge holds the slot, instead of ending with an error.
	Standby bool
	// Reloads brings each configuration that SIGHUP has loaded without a fault.
	Reloads <-chan *config.Config
}

func newRun(a *app) *cobra.Command {
	var opts runOptions
	cmd := &cobra.Command{
		Use:   "run",
		Short: "Run the bridge until it is interrupted",
		Long: `Run streams the publication into ClickHouse until SIGINT or SIGTERM. It goes on where
the last run ended. On SIGHUP it reads the configuration again; one with a fault is
refused whole, and the old one stays.

Of two bridges on one slot, one works. The second is refused, or with --standby it waits
and takes over within seconds of the first one's end.`,
		Example: example("tidemark run -c tidemark.yaml", "TIDEMARK_SOURCE_DSN=postgres://... tidemark run -c tidemark.yaml --tick 500ms"),
	}
	flags := newConfigFlags(cmd)
	flags.stands(cmd, "tick", "tick", "time between two published states")
	flags.stands(cmd, "rt-window", "rt_window", "age at which a row settles")
	flags.stands(cmd, "listen", "http.listen", "address of the HTTP endpoint")
	cmd.Flags().BoolVar(&opts.Standby, "standby", false, "wait while another bridge holds the slot, and take over when it is gone")
	cmd.Flags().BoolVar(&opts.CheckInvariants, "check-invariants", false, "evaluate the invariants at every published state (for debugging; slow)")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		cfg, log, err := a.start(cmd, flags)
		if err != nil {
			return err
		}
		ctx, cancel := context.WithCancel(cmd.Context())
		reloads, done := reloadOnHangup(ctx, log, cfg, func() (*config.Config, error) { return flags.load(cmd) })
		opts.Reloads = reloads
		defer func() { cancel(); <-done }()
		return stopped(ctx, runBridge(ctx, cfg, log, opts))
	}
	return cmd
}

// start is the beginning of every command with a configuration.
func (a *app) start(cmd *cobra.Command, flags *configFlags) (*config.Config, zerolog.Logger, error) {
	log, err := a.logger()
	if err != nil {
		return nil, log, err
	}
	cfg, err := flags.load(cmd)
	return cfg, log, err
}

// reloadOnHangup loads the configuration at each SIGHUP. Its goroutine ends with ctx, which closes done.
func reloadOnHangup(ctx context.Context, log zerolog.Logger, cfg *config.Config, load func() (*config.Config, error)) (<-chan *config.Config, <-chan struct{}) {
	hangups := make(chan os.Signal, 1)
	signal.Notify(hangups, syscall.SIGHUP)
	loaded, done := make(chan *config.Config), make(chan struct{})
	go func() {
		defer close(done)
		defer signal.Stop(hangups)
		for {
			select {
			case <-ctx.Done():
				return
			case <-hangups:
			}
			next, err := load()
			if err != nil {
				logRefused(log, err)
				continue
			}
			log.Info().Str("changed", strings.Join(next.Diff(cfg), " ")).Msg("configuration read again")
			cfg = next
			select {
			case loaded <- next:
			case <-ctx.Done():
			}
		}
	}()
	return loaded, done
}

func logRefused(log zerolog.Logger, err error) {
	list, ok := each(err)
	if !ok {
		list = []error{err}
	}
	for _, err := range list {
		log.Error().Err(err).Str("try", fault.Try(err)).Msg("configuration refused, the old one stays")
	}
}
