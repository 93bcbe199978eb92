package config

import (
	"errors"
	"fmt"
	"math"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/robfig/cron/v3"

	"github.com/tidemark-db/tidemark/internal/fault"
)

// invalidf is a parser's error: what is wrong about the value, to be read after the value itself, and what to write.
func invalidf(try, format string, args ...any) error { return fault.New(try, format, args...) }

// invalid reports a value that its parser refused.
func (r *reader) invalid(path, text string, err error) {
	what := err.Error()
	var hidden *hiddenValueError
	if !errors.As(err, &hidden) {
		what = quoteValue(text) + " " + what
	}
	r.faultAt(path, fault.Try(err), "%s", what)
}

// quoteValue shows a value in an error. A connection string in the wrong place keeps its password to itself.
func quoteValue(text string) string {
	text = DSN(text).String()
	if r := []rune(text); len(r) > 60 {
		text = string(r[:60]) + "…"
	}
	return strconv.Quote(text)
}

// ByteSize is a number of bytes.
type ByteSize int64

var byteUnits = []struct {
	suffix string
	bytes  float64
}{
	{"KiB", 1 << 10},
	{"MiB", 1 << 20},
	{"GiB", 1 << 30},
	{"TiB", 1 << 40},
	{"KB", 1e3},
	{"MB", 1e6},
	{"GB", 1e9},
	{"TB", 1e12},
	{"B", 1},
}

func parseByteSize(text string) (ByteSize, error) {
	number, unit := strings.TrimSpace(text), 1.0
	for _, u := range byteUnits {
		if rest, ok := strings.CutSuffix(number, u.suffix); ok {
			number, unit = strings.TrimSpace(rest), u.bytes
			break
		}
	}
	n, err := strconv.ParseFloat(number, 64)
	if size := n * unit; err == nil && size >= 0 && size < math.MaxInt64 {
		return ByteSize(size), nil
	}
	return 0, invalidf("write e.g. 512MiB, 50GB", "is not a size in bytes")
}

// parseDuration takes Go's durations, and in front years of 365 days, then days: 3y, 1y6d, 1d12h.
func parseDuration(text string) (time.Duration, error) {
	const day = 24 * time.Hour
	var total time.Duration
	rest := text
	for _, unit := range []struct {
		letter string
		length time.Duration
		most   uint64
	}{{"y", 365 * day, 100}, {"d", day, 65535}} {
		number, after, ok := strings.Cut(rest, unit.letter)
		if !ok {
			continue
		}
		n, err := strconv.ParseUint(number, 10, 16)
		if err != nil || n > unit.most {
			return 0, notDuration()
		}
		total, rest = total+time.Duration(n)*unit.length, after
	}
	if rest == "" && rest != text {
		return total, nil
	}
	d, err := time.ParseDuration(rest)
	if err != nil || d < 0 || total+d < 0 {
		return 0, notDuration()
	}
	return total + d, nil
}

func notDuration() error {
	return invalidf("write a number with its unit, e.g. 500ms, 1s, 30m, 24h, 7d, 3y", "is not a duration")
}

func parseBool(text string) (bool, error) {
	switch text {
	case "true":
		return true, nil
	case "false":
		return false, nil
	}
	return false, invalidf("write true or false", "is not true or false")
}

func parseCount[T int | int64](text string) (T, error) {
	n, err := strconv.ParseInt(strings.ReplaceAll(text, "_", ""), 10, 64)
	if err != nil || n < 0 || int64(T(n)) != n {
		return 0, invalidf("write e.g. 1000000", "is not a whole number from 0 up")
	}
	return T(n), nil
}

func parseString(text string) (string, error) { return text, nil }

func parseIdentifier(text string) (string, error) {
	if err := checkIdentifier(text); err != nil {
		return "", invalidf("write the name as PostgreSQL stores it", "%w", err)
	}
	return text, nil
}

// parseSlot follows PostgreSQL's rule for the names of replication slots.
func parseSlot(text string) (string, error) {
	const letters = "abcdefghijklmnopqrstuvwxyz0123456789_"
	if text == "" || len(text) > maxIdentifier || strings.Trim(text, letters) != "" {
		return "", invalidf("write e.g. tidemark_shop",
			"is not a slot name: up to 63 lower-case letters, digits and underscores")
	}
	return text, nil
}

func parseListen(text string) (string, error) {
	if text == "" {
		return "", nil
	}
	_, port, err := net.SplitHostPort(text)
	if err == nil {
		_, err = strconv.ParseUint(port, 10, 16)
	}
	if err != nil {
		return "", invalidf(`write e.g. 127.0.0.1:8642, or "" for none`, "is not host:port")
	}
	return text, nil
}

// TimeZone is a zone of the IANA database. The zero TimeZone is none.
type TimeZone struct {
	Name     string
	Location *time.Location
}

func parseTimeZone(text string) (TimeZone, error) {
	if text == "" {
		return TimeZone{}, nil
	}
	// "Local" is this machine's, which the next machine does not share.
	location, err := time.LoadLocation(text)
	if err != nil || text == "Local" {
		return TimeZone{}, invalidf("write e.g. UTC, Europe/Berlin, America/New_York", "is not a time zone of the IANA database")
	}
	return TimeZone{Name: text, Location: location}, nil
}

// Schedule is when something starts by itself, in cron's five fields or as @every 1m, @hourly, @daily. The zero
// Schedule is never.
type Schedule struct {
	Spec string
	cron.Schedule
}

// Never says that the schedule has no time at all.
func (s Schedule) Never() bool { return s.Schedule == nil }

func (s Schedule) String() string { return s.Spec }

func parseSchedule(text string) (Schedule, error) {
	if text == "" {
		return Schedule{}, nil
	}
	schedule, err := parseCron(text)
	if err != nil {
		return Schedule{}, invalidf(`write e.g. "@every 1m", "@hourly", "0 3 * * *", or "" for never`,
			"is not a cron schedule: %w", err)
	}
	return Schedule{Spec: text, Schedule: schedule}, nil
}

func parseCron(text string) (cron.Schedule, error) {
	// The parser cuts at the first space after a zone without asking whether there is one.
	if strings.Contains(text, "TZ=") {
		return nil, errors.New("it has a time zone of its own")
	}
	// It rounds what is shorter up to one second without a word.
	if every, ok := strings.CutPrefix(text, "@every "); ok {
		if d, err := time.ParseDuration(every); err == nil && (d < time.Second || d%time.Second != 0) {
			return nil, errors.New("@every takes whole seconds, from 1s")
		}
	}
	schedule, err := cron.ParseStandard(text)
	if err != nil {
		return nil, fmt.Errorf("parse fields: %w", err)
	}
	return schedule, nil
}

func mustSchedule(text string) Schedule {
	s, err := parseSchedule(text)
	if err != nil {
		panic(err) // a default of this package
	}
	return s
}
