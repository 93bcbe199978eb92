package main

import (
	"context"

	"github.com/jackc/pglogrepl"
	"github.com/rs/zerolog"

	"github.com/tidemark-db/tidemark/internal/bridge"
	"github.com/tidemark-db/tidemark/internal/config"
	"github.com/tidemark-db/tidemark/internal/demo"
	"github.com/tidemark-db/tidemark/internal/observe"
)

// This file is where the commands reach the packages that do the work. Each function blocks until it is done or ctx
// ends; an error is a *fault.Error, or errors.Join of several.

// runBridge returns nil, or ctx's error, after a clean stop.
func runBridge(ctx context.Context, cfg *config.Config, log zerolog.Logger, o runOptions) error {
	return bridge.New(cfg, log, bridge.Options{
		CheckInvariants: o.CheckInvariants, Standby: o.Standby, Reloads: o.Reloads, Debug: log.GetLevel() <= zerolog.DebugLevel, Build: build(),
	}).Run(ctx)
}

// build is what the metrics and the status page say of this binary.
func build() observe.Build {
	info := readVersion()
	return observe.Build{Version: info.Version, Revision: info.Revision, Go: info.Go}
}

// runCheck returns what it found out, and an error where it could not go on.
func runCheck(ctx context.Context, cfg *config.Config, _ zerolog.Logger) ([]finding, error) {
	return bridge.Check(ctx, cfg)
}

func readStatus(ctx context.Context, cfg *config.Config) (status, error) {
	return bridge.ReadStatus(ctx, cfg)
}

// waitForLSN returns the epoch of a mark that holds lsn.
func waitForLSN(ctx context.Context, cfg *config.Config, _ zerolog.Logger, lsn pglogrepl.LSN) (uint64, error) {
	return bridge.Wait(ctx, cfg, lsn)
}

func ddlStatements(ctx context.Context, cfg *config.Config, _ zerolog.Logger) ([]string, error) {
	return bridge.DDL(ctx, cfg)
}

func rollNow(ctx context.Context, cfg *config.Config, log zerolog.Logger) ([]rolled, error) {
	return bridge.RollNow(ctx, cfg, log)
}

// resyncNow, reloadNow and verifyNow tell watch now and then how far they are.
func resyncNow(ctx context.Context, cfg *config.Config, log zerolog.Logger, r bridge.Request, watch func(observe.JobStatus)) ([]folded, error) {
	return bridge.ResyncNow(ctx, cfg, log, r, watch)
}

func reloadNow(ctx context.Context, cfg *config.Config, log zerolog.Logger, r bridge.Request, watch func(observe.JobStatus)) ([]reread, error) {
	return bridge.ReloadNow(ctx, cfg, log, r, watch)
}

func verifyNow(ctx context.Context, cfg *config.Config, log zerolog.Logger, r bridge.Request, watch func(observe.JobStatus)) ([]reread, error) {
	return bridge.VerifyNow(ctx, cfg, log, r, watch)
}

func uninstall(ctx context.Context, cfg *config.Config, _ zerolog.Logger, o uninstallOptions) error {
	return bridge.Uninstall(ctx, cfg, o.Slot, o.Data)
}

// runDemo shows the demo on a's streams; level is that of the bridge's log.
func runDemo(ctx context.Context, a *app, level zerolog.Level, opts demoOptions) error {
	warnings, err := a.logWriter()
	if err != nil {
		return err
	}
	return demo.Run(ctx, demo.Options{
		For: opts.For, RTWindow: opts.RTWindow, Rate: opts.Rate, Keep: opts.Keep,
		Out: a.stdout, Progress: a.stderr, Warnings: warnings, LogLevel: level, Build: build(),
	})
}
