package load

import (
	"time"

	"github.com/tidemark-db/tidemark/splitdate"
	"github.com/tidemark-db/tidemark/sql"
)

// Period returns the function that numbers the partition of HISTORIC which an instant belongs to; a chunk spans one, so
// that a fold rewrites no more than that.
func Period(t *sql.Table) func(splitdate.Instant) int64 {
	if t.Mirrored() {
		return func(splitdate.Instant) int64 { return 0 }
	}
	zone := zoneOf(t)
	return func(at splitdate.Instant) int64 {
		then := at.Time().In(zone)
		y, m, d := then.Date()
		switch t.PartitionBy {
		case "month":
			return int64(y)*100 + int64(m)
		case "hour":
			return ((int64(y)*100+int64(m))*100+int64(d))*100 + int64(then.Hour())
		default:
			return (int64(y)*100+int64(m))*100 + int64(d)
		}
	}
}

// PeriodStart returns the function that finds the first instant of an instant's period.
func PeriodStart(t *sql.Table) func(splitdate.Instant) splitdate.Instant {
	zone := zoneOf(t)
	return func(at splitdate.Instant) splitdate.Instant {
		then := at.Time().In(zone)
		y, m, d := then.Date()
		hour := 0
		switch t.PartitionBy {
		case "month":
			d = 1
		case "hour": // by the clock, so that the hour which a clock change repeats stays one period
			hour = then.Hour()
		}
		return splitdate.InstantOf(time.Date(y, m, d, hour, 0, 0, 0, zone))
	}
}

func zoneOf(t *sql.Table) *time.Location {
	if zone := t.DateType().Zone; zone != nil {
		return zone
	}
	return time.UTC
}
