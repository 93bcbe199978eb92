package config

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

func TestValues(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"500ms": 500 * time.Millisecond, "1d": 24 * time.Hour, "1d12h": 36 * time.Hour, "0s": 0, "1h30m": 90 * time.Minute,
		"3y": 3 * 365 * 24 * time.Hour, "1y2d3h": (367*24 + 3) * time.Hour,
	} {
		if got, err := parseDuration(text); err != nil || got != want {
			t.Errorf("duration %s: %v, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "1", "d", "-1s", "1.5d", "1d-1h", "99999d9999999h", "1h1d", "y", "1d1y", "101y", "1y-1h"} {
		if got, err := parseDuration(text); err == nil {
			t.Errorf("duration %q is taken as %v", text, got)
		}
	}
	for text, want := range map[string]ByteSize{"50GB": 50e9, "512MiB": 512 << 20, "10": 10, "1.5 KB": 1500, "7B": 7} {
		if got, err := parseByteSize(text); err != nil || got != want {
			t.Errorf("size %s: %v, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "GB", "-1MB", "1XB", "NaN", "Inf", "9e30", "1e3TB TB"} {
		if got, err := parseByteSize(text); err == nil {
			t.Errorf("size %q is taken as %v", text, got)
		}
	}
	if s, err := parseSchedule(""); err != nil || !s.Never() {
		t.Errorf(`schedule "": %v, %v`, s, err)
	}
	for _, text := range []string{"@every 1s", "@hourly", "*/5 * * * *", "0 3 * * 1-5"} {
		if s, err := parseSchedule(text); err != nil || s.Never() || s.Next(time.Unix(0, 0)).IsZero() {
			t.Errorf("schedule %s: %v, %v", text, s, err)
		}
	}
}

func TestPostgresDSN(t *testing.T) {
	for text, database := range map[string]string{
		"postgres://u:p@h:5432/shop?sslmode=disable": "shop",
		"postgresql://h/shop":                        "shop",
		"postgres://u%40x:p%2F@h":                    "u@x",
		"host=h user=u password='a b' dbname=shop":   "shop",
		"postgres://u:p@h1:5432,h2:5433/shop":        "shop",
	} {
		if got, err := parsePostgresDSN(text); err != nil || got.database != database || got.dsn.Reveal() != text {
			t.Errorf("%s: %v, %v", text, got.database, err)
		}
	}
	for text, want := range map[string]string{
		"":                                      "is empty",
		"mysql://h/x":                           "is not a PostgreSQL URL: it begins with something else than postgres://",
		"localhost":                             "is not a PostgreSQL connection string: failed to parse as keyword/value (invalid keyword/value)",
		"postgres://h:x":                        "is not a PostgreSQL connection string: invalid port",
		"postgres://u:CANARY@h/x?sslmode=maybe": "is not a PostgreSQL connection string: failed to configure TLS (sslmode is invalid)",
		"postgres://u:p/CANARY@h/x":             "is a URL with an @ after its host, or two of them",
		"postgres://u:p@CANARY@h/x":             "is a URL with an @ after its host, or two of them",
		"postgres://u:p%zzCANARY@h/x":           "is a URL with a bad percent-encoding",
		"password=a CANARY host=h":              "is not a PostgreSQL connection string",
	} {
		if _, err := parsePostgresDSN(text); err == nil || err.Error() != want {
			t.Errorf("%s: got %v, want %s", text, err, want)
		}
	}
}

func TestClickHouseDSN(t *testing.T) {
	for _, text := range []string{
		"clickhouse://u:p@h:9000/shop", "clickhouse://h1:9000/shop?dial_timeout=2s", "tcp://u:p@h:9000/shop",
	} {
		if got, err := parseClickHouseDSN(text); err != nil || got.database != "shop" {
			t.Errorf("%s: %v, %v", text, got.database, err)
		}
	}
	for text, want := range map[string]string{
		"":                                      "is empty",
		"localhost:9000":                        "is not a ClickHouse URL: it does not begin with clickhouse://",
		"http://u:CANARY@h:8123/shop":           "is a URL of ClickHouse's HTTP interface; tidemark needs its native protocol",
		"https://u:CANARY@h:8443/shop":          "is a URL of ClickHouse's HTTP interface; tidemark needs its native protocol",
		"clickhouse://u:p@h:9000":               "names no database",
		"clickhouse://u:p#CANARY@h:9000/shop":   "is a URL with an @ after its host, or two of them",
		"clickhouse://u:CANARY%@h:9000/shop":    "is a URL with a bad percent-encoding",
		"clickhouse://u:CANARY@h:9000x/shop":    "is not a URL",
		"clickhouse://u:p@h/s?dial_timeout=abc": `is not a ClickHouse connection string: clickhouse [dsn parse]: dial timeout: time: invalid duration "abc"`,
	} {
		if _, err := parseClickHouseDSN(text); err == nil || err.Error() != want {
			t.Errorf("%s: got %v, want %s", text, err, want)
		}
	}
}

func TestNoPasswordIsShown(t *testing.T) {
	for _, text := range []string{
		"postgres://u:CANARY@h/x", "postgres://u:a@CANARY@h/x", "postgres://u:a:CANARY@h/x", "postgres://u/v:CANARY@h/x",
		"postgres://u:a CANARY@h/x", "postgres://h/x?password=CANARY&a=b", "postgres://h/x?sslpassword=CANARY",
		"host=h password=CANARY", "host=h PASSWORD = 'a CANARY' dbname=x", `host=h password='a\' CANARY' x=y`, `host=h password=a\ CANARY x=y`,
		"clickhouse://u:CANARY@h:9000/x", "http://h:8123/x?username=u&password=CANARY",
	} {
		dsn := DSN(text)
		encoded, err := dsn.MarshalText()
		if err != nil {
			t.Fatal(err)
		}
		shown := fmt.Sprintf("%s %v %q %+v %#v %#v %s", dsn, dsn, dsn, dsn, dsn, Source{DSN: dsn}, encoded)
		shown += quoteValue(text)
		if strings.Contains(shown, "CANARY") {
			t.Errorf("%s is shown as %s", text, shown)
		}
	}
	if got := RedactText("dial postgres://u:CANARY@h/x: password=CANARY refused"); strings.Contains(got, "CANARY") {
		t.Error(got)
	}
}

func TestTableNames(t *testing.T) {
	for text, want := range map[string]TableName{
		"public.sales": {"public", "sales"}, `"we.ird"."Tab"`: {"we.ird", "Tab"}, `"a""b".c d`: {`a"b`, "c d"},
	} {
		got, err := ParseTableName(text)
		if err != nil || got != want {
			t.Errorf("%s: %v, %v", text, got, err)
		}
		if again, err := ParseTableName(got.String()); err != nil || again != want {
			t.Errorf("%s is written as %s", text, got)
		}
	}
	for _, text := range []string{"", "a", "a.b.c", ".a", "a.", `"a`, `"a"b.c`, `a"b.c`, `"".a`, "a." + strings.Repeat("x", 64)} {
		if got, err := ParseTableName(text); err == nil {
			t.Errorf("%s is taken as %#v", text, got)
		}
	}
}
