package observe

import (
	"slices"
	"time"
)

const (
	pointEvery = 5 * time.Second
	pointsKept = int(30 * time.Minute / pointEvery)
)

// Point is what happened in pointEvery: times in seconds, null where there was nothing to measure.
type Point struct {
	Serial    int64    `json:"serial"` // of the point: its begin in units of pointEvery
	At        int64    `json:"at"`     // its begin, seconds since the epoch
	Fresh     *float64 `json:"fresh"`  // commit to visible: median
	FreshMost *float64 `json:"fresh_most"`
	Tick      *float64 `json:"tick"` // duration of ticks: median
	TickMost  *float64 `json:"tick_most"`
	Changes   float64  `json:"changes"` // per second
	Lag       int64    `json:"lag"`     // bytes
	Retained  int64    `json:"retained"`
}

// chart collects the points of the last 30 minutes.
type chart struct {
	points []Point // whole ones, the newest last
	open   bucket
}

// bucket is a point in the making.
type bucket struct {
	serial        int64
	fresh, ticks  []float64
	most          float64 // of fresh
	changes       int
	lag, retained int64 // as they were last seen
}

// at returns the bucket of a time, after it has closed the one before.
func (c *chart) at(now time.Time) *bucket {
	serial := now.UnixNano() / int64(pointEvery)
	if c.open.serial == 0 {
		c.open.serial = serial
	}
	for c.open.serial < serial {
		if serial-c.open.serial > int64(pointsKept) { // asleep for longer than the chart is
			c.open.serial = serial - int64(pointsKept)
		}
		c.points = append(c.points, c.open.point())
		c.open = bucket{serial: c.open.serial + 1, lag: c.open.lag, retained: c.open.retained}
	}
	if extra := len(c.points) - pointsKept; extra > 0 {
		c.points = slices.Delete(c.points, 0, extra)
	}
	return &c.open
}

// tick adds a tick. Its transactions come in the order of their commits, so the first one waited longest, and the middle
// one is the median.
func (b *bucket) tick(took time.Duration, now time.Time, commits []time.Time) {
	b.ticks = append(b.ticks, took.Seconds())
	if n := len(commits); n > 0 {
		b.fresh = append(b.fresh, age(now, commits[n/2]))
		b.most = max(b.most, age(now, commits[0]))
	}
}

// point takes a copy of the bucket, for the next one is collected in its place.
func (b bucket) point() Point {
	p := Point{
		Serial: b.serial, At: b.serial * int64(pointEvery/time.Second),
		Changes: float64(b.changes) / pointEvery.Seconds(), Lag: b.lag, Retained: b.retained,
	}
	if len(b.fresh) > 0 {
		p.Fresh, p.FreshMost = median(b.fresh), &b.most
	}
	if len(b.ticks) > 0 {
		most := slices.Max(b.ticks)
		p.Tick, p.TickMost = median(b.ticks), &most
	}
	return p
}

func median(values []float64) *float64 {
	sorted := slices.Sorted(slices.Values(values))
	return &sorted[len(sorted)/2]
}

// since returns the points after a serial.
func (c *chart) since(serial int64) []Point {
	i, _ := slices.BinarySearchFunc(c.points, serial+1, func(p Point, s int64) int { return int(p.Serial - s) })
	return slices.Clone(c.points[i:])
}
