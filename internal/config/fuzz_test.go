package config

import (
	"errors"
	"os"
	"strings"
	"testing"
)

// FuzzParse: any text gives either a configuration or faults of one line each, and never a panic.
func FuzzParse(f *testing.F) {
	example, err := os.ReadFile("../../deploy/tidemark.example.yaml")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(string(example), "tick", "1s")
	f.Add(head+someTable, `tables."a.b".c.date_column`, "d")
	f.Add("a: &a [*a]\n<<: {x: !t 1}\n? b\n: |\n  c\n", "", "")
	f.Add("tick: 1s\ntick: 2s\ntables: {a.b: {rt_window: }}", "schedule.roll", "TZ=")
	f.Fuzz(func(t *testing.T, text, key, value string) {
		c, err := Parse("t.yaml", []byte(text), noEnv, map[string]string{key: value})
		var faults Faults
		if (c == nil) != (err != nil) || err != nil && (!errors.As(err, &faults) || len(faults) == 0) {
			t.Fatalf("got %v, %v", c, err)
		}
		for _, fault := range faults {
			if fault.Try == "" || fault.What == "" {
				t.Errorf("incomplete fault %#v", fault)
			}
		}
	})
}

// FuzzDSN: no error of a connection string shows a part of what stands where a password may.
func FuzzDSN(f *testing.F) {
	for _, around := range []string{"", "/", "@", "#", "?", "%", ":", " ", "'", `\`, "&", "=", ","} {
		f.Add(around, "h:1/x")
		f.Add(around, "h:1x/x?sslmode=bad")
	}
	f.Fuzz(func(t *testing.T, around, rest string) {
		const canary = "CANARY"
		if strings.Contains(rest, canary) {
			return
		}
		password := around + canary + around
		for _, dsn := range []string{
			"postgres://u:" + password + "@" + rest, "clickhouse://u:" + password + "@" + rest,
			"postgres://h/x?password=" + password + "&" + rest, "password=" + password + " " + rest, "password='" + password + "' " + rest,
		} {
			for _, parse := range []func(string) (target, error){parsePostgresDSN, parseClickHouseDSN} {
				if _, err := parse(dsn); err != nil && strings.Contains(err.Error(), canary) {
					t.Errorf("%q: %v", dsn, err)
				}
			}
		}
	})
}
