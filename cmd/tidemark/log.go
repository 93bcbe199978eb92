package main

import (
	"io"
	"time"

	"github.com/rs/zerolog"
)

// logger writes to stderr: lines for people on a terminal, JSON elsewhere, unless --log-format says otherwise.
func (a *app) logger() (zerolog.Logger, error) {
	level, err := zerolog.ParseLevel(a.logLevel)
	if err != nil || level < zerolog.DebugLevel || level > zerolog.ErrorLevel {
		return zerolog.Nop(), usagef("--log-level info", "--log-level %q is not debug, info, warn or error", a.logLevel)
	}
	out, err := a.logWriter()
	if err != nil {
		return zerolog.Nop(), err
	}
	return zerolog.New(newCalm(out)).Level(level).With().Timestamp().Logger(), nil
}

func (a *app) logWriter() (io.Writer, error) {
	switch a.logFormat {
	case "json":
		return a.stderr, nil
	case "console":
		return a.consoleWriter(), nil
	case "auto":
		if a.console {
			return a.consoleWriter(), nil
		}
		return a.stderr, nil
	}
	return nil, usagef("--log-format auto", "--log-format %q is not auto, json or console", a.logFormat)
}

func (a *app) consoleWriter() io.Writer {
	return zerolog.ConsoleWriter{Out: a.stderr, NoColor: !a.console, TimeFormat: time.TimeOnly}
}
