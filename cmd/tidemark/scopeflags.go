package main

import (
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/tidemark-db/tidemark/internal/bridge"
	"github.com/tidemark-db/tidemark/internal/config"
)

// scopeFlags say which rows a job is about.
type scopeFlags struct{ table, from, to string }

func (f *scopeFlags) add(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.table, "table", "", "`schema.table`, or its bare name where that is unique; default: every table")
	cmd.Flags().StringVar(&f.from, "from", "", "rows with this `date` or a later one, of tables with a date_column: RFC 3339, or YYYY-MM-DD[ HH:MM:SS] in source.time_zone")
	cmd.Flags().StringVar(&f.to, "to", "", "rows before this `date`")
}

func (f *scopeFlags) request(cfg *config.Config) (r bridge.Request, err error) {
	zone := time.UTC
	if cfg.Source.TimeZone.Location != nil {
		zone = cfg.Source.TimeZone.Location
	}
	if f.table != "" {
		t, err := cfg.Table(f.table)
		if err != nil {
			return r, &usageError{fmt.Errorf("--table: %w", err)}
		}
		r.Table = t.Name.String()
		if t.Mirrored() && f.from+f.to != "" {
			return r, usagef("leave out --from and --to", "--table %s has no date_column that --from and --to could be about", f.table)
		}
	}
	if r.From, err = parseDate("--from", f.from, zone); err != nil {
		return r, err
	}
	if r.To, err = parseDate("--to", f.to, zone); err != nil {
		return r, err
	}
	if r.From != nil && r.To != nil && !r.From.Before(*r.To) {
		return r, usagef("give an earlier --from; --to itself is left out", "--from %s is not before --to %s", f.from, f.to)
	}
	return r, nil
}

// dateLayouts are what --from and --to take.
var dateLayouts = []string{time.RFC3339Nano, "2006-01-02 15:04:05.999999", "2006-01-02 15:04", time.DateOnly}

func parseDate(flag, text string, zone *time.Location) (*time.Time, error) {
	if text == "" {
		return nil, nil
	}
	for _, layout := range dateLayouts {
		if at, err := time.ParseInLocation(layout, text, zone); err == nil {
			return &at, nil
		}
	}
	return nil, usagef("write e.g. "+flag+" 2026-11-01, "+flag+" '2026-11-01 12:00:00' or "+flag+" 2026-11-01T12:00:00Z", "%s %q is no date", flag, text)
}
