package block

import (
	"sort"
	"time"
)

// ClickHouse keeps dates and times from 1900-01-01 to 2299-12-31.
var (
	firstDay = civilDay(1900, 1, 1)
	lastDay  = civilDay(2299, 12, 31)
)

// zone turns wall-clock times into instants, where ClickHouse would show the same wall clock again.
//
// ClickHouse's table of a zone has one entry per day, which can hold one change of the offset, at a multiple of 15
// minutes. Where a zone did something else (local mean time, changes at 00:01, or from 23:30 to 00:30) ClickHouse shows
// another time than the zone's; such times are refused, and so is any time within two days of such a change. Seen on
// all of ClickHouse's zones, with every change from 1900 to 2299: what differs then is only where the two zone databases
// do, which AgreesFrom finds.
type zone struct {
	periods []period
	last    int // of the period that the previous value was in; rows come in order of time, nearly
	exact   int64
}

// period is a time of one offset, in seconds: from and to are instants, [low, high) the wall clocks that only this
// period has and that are far from its ends.
type period struct {
	from, to  int64
	offset    int64
	low, high int64
}

const (
	lutStep   = int64(15 * time.Minute / time.Second)
	lutMargin = 2 * secondsPerDay
)

// newZone takes the instant from which the server's zone database is known to be ours, zero for always.
func newZone(loc *time.Location, exactFrom time.Time) *zone {
	exact := firstDay * secondsPerDay
	if !exactFrom.IsZero() {
		exact = max(exact, exactFrom.Unix())
	}
	periods := periodsOf(loc)
	for i := range periods {
		p := &periods[i]
		if p.offset%lutStep != 0 {
			continue // low = high: no fast path, and regular refuses
		}
		p.low, p.high = p.from+p.offset+lutMargin, p.to+p.offset-lutMargin
	}
	return &zone{periods: periods, exact: exact}
}

// periodsOf lists the offsets of a zone for the dates that ClickHouse can hold and a few days around them.
func periodsOf(loc *time.Location) []period {
	const around = 7
	t, end := (firstDay-around)*secondsPerDay, (lastDay+around)*secondsPerDay
	var periods []period
	for t < end {
		at := time.Unix(t, 0).In(loc)
		_, offset := at.Zone()
		next := end
		if _, bound := at.ZoneBounds(); !bound.IsZero() {
			next = min(end, bound.Unix())
		}
		if next <= t {
			next = t + lutStep // ZoneBounds goes back at the end of leap years; a transition is a multiple of this then
		}
		if n := len(periods); n > 0 && periods[n-1].offset == int64(offset) {
			periods[n-1].to = next
		} else {
			periods = append(periods, period{from: t, to: next, offset: int64(offset)})
		}
		t = next
	}
	return periods
}

// instant returns the first instant, in seconds since the epoch, at which the zone's clocks showed wall, which is given
// as the instant at which UTC's did.
func (z *zone) instant(wall int64) (int64, *refusal) {
	if p := &z.periods[z.last]; wall >= p.low && wall < p.high {
		return wall - p.offset, nil
	}
	i := z.search(wall - lutMargin)
	for ; i < len(z.periods) && z.periods[i].from <= wall+lutMargin; i++ {
		p := &z.periods[i]
		at := wall - p.offset
		if at < p.from || at >= p.to {
			continue
		}
		z.last = i
		if (wall < p.low || wall >= p.high) && !z.regular(at) {
			return 0, refuseOffset
		}
		return at, nil
	}
	return 0, refuseGap
}

// dayStart returns the first instant of a day, which is not its midnight where the clocks skip that.
func (z *zone) dayStart(day int64) int64 {
	wall := day * secondsPerDay
	for i := z.search(wall - lutMargin); i < len(z.periods); i++ {
		p := &z.periods[i]
		if at := max(wall-p.offset, p.from); at < p.to {
			return at
		}
	}
	return wall
}

// search returns the period of an instant, the first or last one for instants outside of all.
func (z *zone) search(at int64) int {
	i := sort.Search(len(z.periods), func(i int) bool { return z.periods[i].to > at })
	return min(i, len(z.periods)-1)
}

// regular says whether ClickHouse's table of days is right at an instant: whole quarters, one change in four days.
func (z *zone) regular(at int64) bool {
	changes := 0
	for i := z.search(at - lutMargin); i < len(z.periods) && z.periods[i].from <= at+lutMargin; i++ {
		p := &z.periods[i]
		if p.offset%lutStep != 0 {
			return false
		}
		if i > 0 && p.from > at-lutMargin {
			changes++
			if p.from%lutStep != 0 || cutsMidnight(p.from+z.periods[i-1].offset, p.from+p.offset) {
				return false
			}
		}
	}
	return changes <= 1
}

// cutsMidnight says whether a midnight lies within the wall clocks that a change skips or repeats, not at their ends.
func cutsMidnight(before, after int64) bool {
	low, high := min(before, after), max(before, after)
	next := low - ((low%secondsPerDay)+secondsPerDay)%secondsPerDay + secondsPerDay
	return next < high
}

// civilDay returns the days from 1970-01-01 to a date of the proleptic Gregorian calendar, which is PostgreSQL's.
func civilDay(year, month, day int64) int64 {
	if month <= 2 { // years from March, so that the leap day is the last
		year--
		month += 12
	}
	era := year / 400
	if year < 0 {
		era = (year - 399) / 400
	}
	inEra := year - era*400
	inYear := (153*(month-3)+2)/5 + day - 1
	return era*146097 + inEra*365 + inEra/4 - inEra/100 + inYear - 719468
}
