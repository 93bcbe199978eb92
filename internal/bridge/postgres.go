package bridge

import (
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/tidemark-db/tidemark/cdc"
	"github.com/tidemark-db/tidemark/internal/config"
	"github.com/tidemark-db/tidemark/splitdate"
)

// minDateWindow is the least rt_window of a table whose date column has no time of day.
const minDateWindow = 24 * time.Hour

func quotePostgres(name string) string { return pgx.Identifier{name}.Sanitize() }

// SourceConfig is what cdc needs of the configuration.
func SourceConfig(cfg *config.Config) cdc.Config {
	return cdc.Config{DSN: cfg.Source.DSN.Reveal(), Publication: cfg.Source.Publication, Slot: cfg.Source.Slot}
}

func tableNames(cfg *config.Config) []string {
	names := make([]string, len(cfg.Tables))
	for i, t := range cfg.Tables {
		names[i] = t.Name.String()
	}
	return names
}

func sourceOf(id cdc.Identity) splitdate.Source {
	return splitdate.Source{SystemID: id.SystemID, Timeline: id.Timeline, Database: id.Database, Slot: id.Slot}
}
