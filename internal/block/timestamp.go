package block

import (
	"encoding/binary"

	"github.com/tidemark-db/tidemark/sql"
)

// clock is a date and time as written; year is astronomical (1 BC is 0).
type clock struct {
	year, month, day     int64
	hour, minute, second int64
	micro                int64
}

// scanner reads fields of fixed form from text; once a read has failed, bad stays set.
type scanner struct {
	text []byte
	bad  bool
}

// number reads at least low and at most high digits.
func (s *scanner) number(low, high int) (v int64, digits int) {
	for digits < high && digits < len(s.text) && s.text[digits]-'0' <= 9 {
		v = v*10 + int64(s.text[digits]-'0')
		digits++
	}
	s.text = s.text[digits:]
	s.bad = s.bad || digits < low
	return v, digits
}

func (s *scanner) two() int64 {
	v, _ := s.number(2, 2)
	return v
}

// is takes ch when it comes next.
func (s *scanner) is(ch byte) bool {
	if len(s.text) == 0 || s.text[0] != ch {
		return false
	}
	s.text = s.text[1:]
	return true
}

func (s *scanner) expect(ch byte) { s.bad = !s.is(ch) || s.bad }

func (s *scanner) date(c *clock) {
	c.year, _ = s.number(4, 9) // PostgreSQL's last year is 294276
	s.expect('-')
	c.month = s.two()
	s.expect('-')
	c.day = s.two()
	s.bad = s.bad || c.month < 1 || c.month > 12 || c.day < 1
}

func (s *scanner) time(c *clock) {
	c.hour = s.two()
	s.expect(':')
	c.minute = s.two()
	s.expect(':')
	c.second = s.two()
	if s.is('.') {
		v, digits := s.number(1, 6)
		for ; digits < 6; digits++ {
			v *= 10
		}
		c.micro = v
	}
	s.bad = s.bad || c.hour > 23 || c.minute > 59 || c.second > 59
}

// offset reads +HH[:MM[:SS]], in seconds east of UTC.
func (s *scanner) offset() int64 {
	sign := int64(1)
	if s.is('-') {
		sign = -1
	} else {
		s.expect('+')
	}
	v := s.two() * 3600
	if s.is(':') {
		v += s.two() * 60
	}
	if s.is(':') {
		v += s.two()
	}
	return sign * v
}

// end takes the era and says whether all was read; the day is checked here because leap years depend on the era.
func (s *scanner) end(c *clock) bool {
	if string(s.text) == " BC" {
		s.text, c.year = nil, 1-c.year
	}
	return !s.bad && len(s.text) == 0 && c.day <= daysIn(c.year, c.month)
}

func daysIn(year, month int64) int64 {
	switch month {
	case 4, 6, 9, 11:
		return 30
	case 2:
		if year%4 == 0 && (year%100 != 0 || year%400 == 0) {
			return 29
		}
		return 28
	default:
		return 31
	}
}

// wall returns the seconds from 1970-01-01 to the clock, without any zone.
func (c *clock) wall() int64 {
	return civilDay(c.year, c.month, c.day)*secondsPerDay + c.hour*3600 + c.minute*60 + c.second
}

func isInfinite(text []byte) bool {
	return string(text) == "infinity" || string(text) == "-infinity"
}

// appendTimestamp reads a timestamp without zone in the zone of the column's type.
func appendTimestamp(c *buffer, text []byte) *refusal {
	if isInfinite(text) {
		return refuseInfinity
	}
	var at clock
	s := scanner{text: text}
	s.date(&at)
	s.expect(' ')
	s.time(&at)
	if !s.end(&at) {
		return refuseTime
	}
	seconds, r := c.zone.instantInRange(at.wall())
	if r != nil {
		return r
	}
	c.putMicros(seconds, at.micro)
	return nil
}

// appendTimestampTZ reads a timestamp with the offset it was written with.
func appendTimestampTZ(c *buffer, text []byte) *refusal {
	if isInfinite(text) {
		return refuseInfinity
	}
	var at clock
	s := scanner{text: text}
	s.date(&at)
	s.expect(' ')
	s.time(&at)
	offset := s.offset()
	if !s.end(&at) {
		return refuseTime
	}
	seconds := at.wall() - offset
	if r := inRange(seconds); r != nil {
		return r
	}
	c.putMicros(seconds, at.micro)
	return nil
}

// instantInRange refuses what lies outside of ClickHouse's dates, by the wall clock and by UTC.
func (z *zone) instantInRange(wall int64) (int64, *refusal) {
	if r := inRange(wall); r != nil {
		return 0, r
	}
	seconds, r := z.instant(wall)
	if r != nil {
		return 0, r
	}
	if seconds < z.exact {
		return 0, refuseOffset
	}
	return seconds, inRange(seconds)
}

func inRange(seconds int64) *refusal {
	if seconds < firstDay*secondsPerDay || seconds >= (lastDay+1)*secondsPerDay {
		return refuseRange
	}
	return nil
}

// putMicros cuts digits that the type does not have, towards the past.
func (c *buffer) putMicros(seconds, micro int64) {
	tick := microsPerTick(c.typ)
	c.data = binary.LittleEndian.AppendUint64(c.data, uint64(seconds*(microsPerSecond/tick)+micro/tick))
}

// parseDay reads a date as days from 1970-01-01.
func parseDay(text []byte) (int64, *refusal) {
	if isInfinite(text) {
		return 0, refuseInfinity
	}
	var at clock
	s := scanner{text: text}
	s.date(&at)
	if !s.end(&at) {
		return 0, refuseTime
	}
	return civilDay(at.year, at.month, at.day), nil
}

func appendDay(c *buffer, text []byte) *refusal {
	day, r := parseDay(text)
	if r != nil {
		return r
	}
	return c.putDay(day)
}

// putDay: the last day that ClickHouse's Date holds is 65535, 2149-06-06.
func (c *buffer) putDay(day int64) *refusal {
	const lastDate = 1<<16 - 1
	if c.typ.Kind == sql.KindDate {
		if day < 0 || day > lastDate {
			return refuseDate
		}
		c.data = binary.LittleEndian.AppendUint16(c.data, uint16(day))
		return nil
	}
	if day < firstDay || day > lastDay {
		return refuseRange
	}
	c.data = binary.LittleEndian.AppendUint32(c.data, uint32(int32(day)))
	return nil
}
