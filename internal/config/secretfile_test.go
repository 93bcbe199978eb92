package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestSecretFile takes a value from a file that a variable names, after the variable itself and before the configuration.
func TestSecretFile(t *testing.T) {
	dir := t.TempDir()
	secret := filepath.Join(dir, "dsn")
	if err := os.WriteFile(secret, []byte("clickhouse://u:from-file@h:9000/shop\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "tidemark.yaml")
	text := "source: {dsn: \"postgres://u@h/shop\"}\nclickhouse: {dsn: \"clickhouse://u@h:9000/other\"}\ntables: {public.stores: {}}\n"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	load := func(env map[string]string) (*Config, error) {
		return Load(file, func(name string) (string, bool) { v, ok := env[name]; return v, ok }, nil)
	}
	c, err := load(map[string]string{"TIDEMARK_CLICKHOUSE_DSN_FILE": secret})
	if err != nil || c.ClickHouse.DSN.Reveal() != "clickhouse://u:from-file@h:9000/shop" {
		t.Errorf("%v, %v", c, err)
	}
	c, err = load(map[string]string{"TIDEMARK_CLICKHOUSE_DSN_FILE": secret, "TIDEMARK_CLICKHOUSE_DSN": "clickhouse://u@h:9000/third"})
	if err != nil || c.ClickHouse.Database != "third" {
		t.Errorf("%v, %v", c, err)
	}
	_, err = load(map[string]string{"TIDEMARK_CLICKHOUSE_DSN_FILE": "clickhouse://u:CANARY@h/shop"})
	if err == nil || !strings.Contains(err.Error(), "TIDEMARK_CLICKHOUSE_DSN_FILE: clickhouse.dsn: cannot read the file") || strings.Contains(err.Error(), "CANARY") {
		t.Errorf("%v", err)
	}
}
