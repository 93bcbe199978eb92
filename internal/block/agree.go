package block

import (
	"fmt"
	"time"
)

// AgreesFrom compares our zone database with the server's, which can differ in version and in how they treat times
// before 1970. It returns the instant from which the server shows all times of the zone as we read them, the zero time
// when it always does.
//
// shown returns what the server's toString(DateTime64(6, zone)) gives for instants in microseconds since 1970-01-01
// UTC, in their order. There are some 20,000 of them: one every ten days and those around the changes of the offset.
func AgreesFrom(loc *time.Location, shown func(micros []int64) ([]string, error)) (time.Time, error) {
	z := newZone(loc, time.Time{})
	instants := z.samples()
	micros := make([]int64, len(instants))
	for i, at := range instants {
		micros[i] = at * microsPerSecond
	}
	texts, err := shown(micros)
	if err != nil {
		return time.Time{}, fmt.Errorf("show times of zone %s: %w", loc, err)
	}
	if len(texts) != len(instants) {
		return time.Time{}, fmt.Errorf("show times of zone %s: %d answers to %d instants", loc, len(texts), len(instants))
	}
	for i := len(instants) - 1; i >= 0; i-- {
		if texts[i] == wallText(time.Unix(instants[i], 0).In(loc)) {
			continue
		}
		if i == len(instants)-1 {
			return time.Unix((lastDay+1)*secondsPerDay, 0).UTC(), nil
		}
		return time.Unix(instants[i+1], 0).UTC(), nil
	}
	return time.Time{}, nil
}

func wallText(t time.Time) string { return t.Format("2006-01-02 15:04:05.000000") }

// samples lists, in order, instants that a Builder could produce for the zone.
func (z *zone) samples() []int64 {
	const step = 10 * secondsPerDay
	var all []int64
	add := func(at int64) {
		if len(all) > 0 && at <= all[len(all)-1] {
			return
		}
		wall := at + z.periods[z.search(at)].offset
		if inRange(at) == nil && inRange(wall) == nil && z.regular(at) {
			all = append(all, at)
		}
	}
	for _, p := range z.periods {
		for at := p.from; at < p.to; at += step {
			add(at)
		}
		add(p.to - 1)
	}
	return all
}
