package bridge

import (
	"testing"
	"time"

	"github.com/tidemark-db/tidemark/splitdate"
)

// TestSettled moves one of the three clocks by an hour: rows never settle by a clock that runs ahead, and by none while
// ours and ClickHouse's disagree.
func TestSettled(t *testing.T) {
	now := splitdate.InstantOf(time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC))
	hour, minute := splitdate.Instant(time.Hour.Microseconds()), splitdate.Instant(time.Minute.Microseconds())
	for _, c := range []struct {
		name                         string
		applied, ours, server, wants splitdate.Instant
	}{
		{"agree", now, now, now, now},
		{"PostgreSQL ahead", now + hour, now, now, now},
		{"PostgreSQL behind, as while catching up", now - hour, now, now, now - hour},
		{"ours ahead", now, now + hour, now, 0},
		{"ours behind", now, now - hour, now, 0},
		{"ClickHouse ahead", now, now, now + hour, 0},
		{"ClickHouse behind", now, now, now - hour, 0},
		{"ours a little behind", now, now - minute, now, now - minute},
		{"ClickHouse a little behind", now, now, now - minute, now - minute},
	} {
		if got, _ := settled(c.applied, c.ours, c.server); got != c.wants {
			t.Errorf("%s: settled by %s instead of %s", c.name, got, c.wants)
		}
	}
}
