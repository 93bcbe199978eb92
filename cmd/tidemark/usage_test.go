package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const goodConfig = `source: {dsn: "postgres://u:CANARY@h/shop"}
clickhouse: {dsn: "clickhouse://u:CANARY@h:9000/views"}
tables: {public.stores: {}}
`

const badConfig = `source: {dsn: "postgres://u:CANARY@h@h/shop"}
clickhouse: {dsn: "clickhouse://u:CANARY@h:9000/shop"}
rt_windw: 5m
tables:
  public.sales: {date_column: at, partition_by: week}
`

const configFaults = `Error: bad.yaml:1: source.dsn: is a URL with an @ after its host, or two of them
Try: percent-encode special characters in user and password, e.g. @ as %40, / as %2F
Error: bad.yaml:3: rt_windw: unknown key
Try: write rt_window, or remove the key
Error: bad.yaml:5: tables.public.sales.partition_by: "week" is not hour, day or month
Try: write one of them
`

func said(what, try string) string { return "Error: " + what + "\nTry: " + try + "\n" }

func configFolder(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range map[string]string{"good.yaml": goodConfig, "bad.yaml": badConfig} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestUsageErrors(t *testing.T) {
	dir := configFolder(t)
	tests := map[string]string{
		"rnu":               said(`unknown command "rnu"`, "tidemark run"),
		"resnc":             said(`unknown command "resnc"`, "tidemark resync"),
		"veryfi":            said(`unknown command "veryfi"`, "tidemark verify"),
		"compare":           said(`unknown command "compare"`, "tidemark --help lists the commands"),
		"help rol":          said(`unknown command "rol"`, "tidemark roll"),
		"--config x":        said("tidemark: unknown flag: --config", "tidemark --help"),
		"run --bogus":       said("tidemark run: unknown flag: --bogus", "tidemark run --help"),
		"run now":           said(`tidemark run takes no argument "now"`, "tidemark run --help"),
		"run -c":            said("tidemark run: flag needs an argument: 'c' in -c", "tidemark run --help"),
		"run -c bad.yaml":   configFaults,
		"check -c bad.yaml": configFaults,
		"run -c none.yaml": said("none.yaml: cannot read the configuration: no such file or directory",
			"give -c the path of a readable file; deploy/tidemark.example.yaml shows every key"),
		"run -c good.yaml --set tick": said(`tidemark run: --set takes key=value, not "tick"`, "write e.g. --set tick=500ms"),
		"run -c good.yaml --set tck=1s": said("command line: tck: unknown key",
			"use a key of deploy/tidemark.example.yaml"),
		"run -c good.yaml --tick 1ms": said("command line: tick: 1ms is less than 50ms", "write 50ms or more"),
		"run -c good.yaml --rt-window 5": said(`command line: rt_window: "5" is not a duration`,
			"write a number with its unit, e.g. 500ms, 1s, 30m, 24h, 7d, 3y"),
		"run -c good.yaml --log-level loud": said(`--log-level "loud" is not debug, info, warn or error`, "--log-level info"),
		"run -c good.yaml --log-format xml": said(`--log-format "xml" is not auto, json or console`, "--log-format auto"),
		"wait -c good.yaml":                 said("tidemark wait needs --lsn", "give a position as PostgreSQL prints it, e.g. --lsn 16/B374D848"),
		"wait -c good.yaml --lsn 16/zz": said(`--lsn "16/zz" is not a WAL position`,
			"give a position as PostgreSQL prints it, e.g. --lsn 16/B374D848"),
		"wait -c good.yaml --lsn 16/1;": said(`--lsn "16/1;" is not a WAL position`,
			"give a position as PostgreSQL prints it, e.g. --lsn 16/B374D848"),
		"wait -c good.yaml --lsn 0/1 --timeout -1s": said("--timeout -1s is less than 0", "--timeout 5s"),
		"wait -c good.yaml --lsn 0/1 --timeout 5": said(
			`tidemark wait: invalid argument "5" for "--timeout" flag: time: missing unit in duration "5"`, "tidemark wait --help"),
		"uninstall -c good.yaml": said("tidemark uninstall needs --slot or --data, or both",
			"tidemark uninstall -c tidemark.yaml --slot --data"),
		"uninstall -c good.yaml --data":    said("tidemark uninstall cannot ask: its input is not a terminal", "add --yes"),
		"resync -c good.yaml --table nope": said("--table: table nope is not in the configuration", "name one of public.stores"),
		"verify -c good.yaml --table stores --from 2026-11-01": said("--table stores has no date_column that --from and --to could be about",
			"leave out --from and --to"),
		"demo --for -1s":       said("--for -1s is less than 0", "--for 60s"),
		"demo --rate 0":        said("--rate 0 is less than 1", "--rate 300"),
		"demo --rt-window 1ms": said("--rt-window 1ms is less than 1s", "--rt-window 30s"),
		"demo -c good.yaml":    said("tidemark demo: unknown shorthand flag: 'c' in -c", "tidemark demo --help"),
		"run postgres://u:CANARY@h/shop": said(`tidemark run takes no argument "postgres://u:xxxxx@h/shop"`,
			"tidemark run --help"),
	}
	for _, command := range []string{"run", "check", "status", "wait --lsn 0/1", "ddl", "roll", "resync", "uninstall --slot"} {
		name, _, _ := strings.Cut(command, " ")
		tests[command] = said("tidemark "+name+" needs a configuration file", "tidemark "+name+" -c tidemark.yaml")
	}
	for line, want := range tests {
		t.Run(line, func(t *testing.T) {
			got := tidemark(t, dir, nil, strings.Fields(line)...)
			if got != (result{stderr: want, code: exitUsage}) {
				t.Errorf("got %d\n%s%s\nwant 2\n%s", got.code, got.stdout, got.stderr, want)
			}
		})
	}
}

func TestEnvironment(t *testing.T) {
	got := tidemark(t, configFolder(t), []string{"TIDEMARK_TICK=fast"}, "run", "-c", "good.yaml")
	want := said(`TIDEMARK_TICK: tick: "fast" is not a duration`, "write a number with its unit, e.g. 500ms, 1s, 30m, 24h, 7d, 3y")
	if got.stderr != want || got.code != exitUsage {
		t.Errorf("got %d %s", got.code, got.stderr)
	}
}

func TestHelp(t *testing.T) {
	root := tidemark(t, "", nil, "--help")
	for _, name := range []string{"run", "check", "status", "wait", "ddl", "uninstall", "roll", "resync", "verify", "init", "demo", "version"} {
		if !strings.Contains(root.stdout, "\n  "+name+" ") {
			t.Errorf("tidemark --help does not list %s", name)
		}
		help := tidemark(t, "", nil, name, "--help")
		if help.code != exitDone || !strings.Contains(help.stdout, "Examples:\n  tidemark "+name) {
			t.Errorf("tidemark %s --help: %d\n%s%s", name, help.code, help.stdout, help.stderr)
		}
		if topic := tidemark(t, "", nil, "help", name); topic != help {
			t.Errorf("tidemark help %s is not tidemark %s --help", name, name)
		}
	}
	if bare := tidemark(t, "", nil); bare != root {
		t.Errorf("tidemark alone: %d %s", bare.code, bare.stderr)
	}
}

func TestCompletion(t *testing.T) {
	for shell, want := range map[string]string{"bash": "complete -o default -F __start_tidemark tidemark", "zsh": "#compdef tidemark", "fish": "complete -c tidemark"} {
		if got := tidemark(t, "", nil, "completion", shell); got.code != exitDone || !strings.Contains(got.stdout, want) {
			t.Errorf("%s: %d %s", shell, got.code, got.stderr)
		}
	}
	if got := tidemark(t, "", nil, "__complete", "st"); !strings.Contains(got.stdout, "status") {
		t.Errorf("completes st to %q", got.stdout)
	}
}

func TestVersion(t *testing.T) {
	if got := tidemark(t, "", nil, "version"); got.code != exitDone || !strings.HasPrefix(got.stdout, "tidemark ") {
		t.Errorf("got %+v", got)
	}
	if got := tidemark(t, "", nil, "version", "--json"); got.code != exitDone || !strings.HasPrefix(got.stdout, `{"version":"`) {
		t.Errorf("got %+v", got)
	}
}
