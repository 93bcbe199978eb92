package config

import (
	"errors"
	"net/url"
	"regexp"
	"strings"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/jackc/pgx/v5"
)

// DSN is a connection string. It prints without its password; Reveal gives all of it to the driver.
type DSN string

// Reveal returns the connection string with its password.
func (d DSN) Reveal() string { return string(d) }

// String returns the connection string with its passwords masked.
func (d DSN) String() string { return Redact(string(d)) }

// GoString is String, so that %#v shows no more.
func (d DSN) GoString() string { return d.String() }

// MarshalText is String, so that no encoder shows more.
func (d DSN) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

const mask = "xxxxx"

var (
	urlUser   = regexp.MustCompile(`(?s)^([^:]*)://(.*)@`)
	textUser  = regexp.MustCompile(`([A-Za-z][A-Za-z0-9+.-]*://[^\s:/@]*):\S*@`)
	secretKey = regexp.MustCompile(`(?is)((?:password|passphrase|token|secret)[a-z_]*\s*=\s*)('(?:\\.|[^'\\])*'?|(?:\\.|[^\s&;\\])*)`)
)

// Redact masks the passwords of a connection string, whether URL or keyword=value and whether valid or not. Where
// the end of a password is in doubt it masks too much.
func Redact(dsn string) string {
	dsn = urlUser.ReplaceAllStringFunc(dsn, func(m string) string {
		scheme, rest, _ := strings.Cut(m, "://")
		if user, _, has := strings.Cut(rest, ":"); has {
			return scheme + "://" + user + ":" + mask + "@"
		}
		return m
	})
	return secretKey.ReplaceAllString(dsn, "${1}"+mask)
}

// RedactText masks the passwords of the connection strings in a line of text.
func RedactText(text string) string {
	return secretKey.ReplaceAllString(textUser.ReplaceAllString(text, "${1}:"+mask+"@"), "${1}"+mask)
}

// target is a connection string and the database that it names.
type target struct {
	dsn      DSN
	database string
}

// hiddenValueError is the error of a value that must not be shown.
type hiddenValueError struct{ err error }

func (e *hiddenValueError) Error() string { return e.err.Error() }
func (e *hiddenValueError) Unwrap() error { return e.err }

func hidden(try, format string, args ...any) error {
	return &hiddenValueError{invalidf(try, format, args...)}
}

const encodeTry = "percent-encode special characters in user and password, e.g. @ as %40, / as %2F"

// unambiguous refuses a URL in which it is not certain where the password ends, for then no part of it may be shown.
func unambiguous(dsn string) error {
	_, rest, _ := strings.Cut(dsn, "://")
	authority := rest
	if end := strings.IndexAny(rest, "/?#"); end >= 0 {
		authority = rest[:end]
	}
	if strings.Count(authority, "@") > 1 || strings.Contains(rest[len(authority):], "@") {
		return hidden(encodeTry, "is a URL with an @ after its host, or two of them")
	}
	user := authority[:strings.LastIndex(authority, "@")+1]
	if _, err := url.PathUnescape(user); err != nil {
		return hidden(encodeTry, "is a URL with a bad percent-encoding")
	}
	_, query, _ := strings.Cut(rest, "?")
	if _, err := url.ParseQuery(query); err != nil {
		return hidden(encodeTry, "is a URL with a bad percent-encoding")
	}
	return nil
}

const postgresTry = "write e.g. postgres://user@host:5432/database; the password may also come from PGPASSWORD or PGPASSFILE"

func parsePostgresDSN(text string) (target, error) {
	isURL := strings.HasPrefix(text, "postgres://") || strings.HasPrefix(text, "postgresql://")
	switch {
	case strings.TrimSpace(text) == "":
		return target{}, hidden(postgresTry, "is empty")
	case !isURL && strings.Contains(text, "://"):
		return target{}, hidden(postgresTry, "is not a PostgreSQL URL: it begins with something else than postgres://")
	case isURL:
		if err := unambiguous(text); err != nil {
			return target{}, err
		}
	}
	options, err := pgx.ParseConfig(text)
	if err != nil {
		_, words, _ := strings.Cut(err.Error(), "`: ") // before it is the whole string
		return target{}, hidden(postgresTry, "is not a PostgreSQL connection string%s", reason(text, words))
	}
	database := options.Database
	if database == "" {
		database = options.User // as PostgreSQL itself does
	}
	return target{dsn: DSN(text), database: database}, nil
}

// reason returns the driver's words where they cannot hold a part of the password: a password among keywords or
// parameters may have been taken apart in the middle of it.
func reason(dsn, words string) string {
	parameters := dsn
	if _, rest, isURL := strings.Cut(dsn, "://"); isURL {
		_, parameters, _ = strings.Cut(rest, "?")
	}
	if words == "" || strings.Contains(strings.ToLower(parameters), "pass") {
		return ""
	}
	return ": " + RedactText(words)
}

const clickHouseTry = "write e.g. clickhouse://user@host:9000/database"

func parseClickHouseDSN(text string) (target, error) {
	scheme, _, isURL := strings.Cut(text, "://")
	switch {
	case strings.TrimSpace(text) == "":
		return target{}, hidden(clickHouseTry, "is empty")
	case scheme == "http" || scheme == "https": // which does not say what a statement read
		return target{}, hidden(clickHouseTry+", with secure=true for TLS", "is a URL of ClickHouse's HTTP interface; tidemark needs its native protocol")
	case !isURL || scheme != "clickhouse" && scheme != "tcp":
		return target{}, hidden(clickHouseTry, "is not a ClickHouse URL: it does not begin with clickhouse://")
	}
	if err := unambiguous(text); err != nil {
		return target{}, err
	}
	options, err := clickhouse.ParseDSN(text)
	var urlErr *url.Error
	switch {
	case errors.As(err, &urlErr):
		return target{}, hidden(clickHouseTry, "is not a URL")
	case err != nil:
		return target{}, hidden(clickHouseTry, "is not a ClickHouse connection string%s", reason(text, err.Error()))
	case len(options.Addr) > 1:
		return target{}, hidden("name the one server that tidemark writes to and readers query", "names %d servers: marks written to several would differ", len(options.Addr))
	case options.Auth.Database == "":
		return target{}, hidden("end it with the database for the views, e.g. clickhouse://user@host:9000/shop", "names no database")
	}
	return target{dsn: DSN(text), database: options.Auth.Database}, nil
}
