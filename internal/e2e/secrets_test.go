package e2e

import (
	"context"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tidemark-db/tidemark/internal/rig"
)

// TestSecrets gives every secret a bridge can have a value of its own, lets it work, fail and be asked for everything it
// tells, and finds the values nowhere, nor in what the servers log when they log all they can.
func TestSecrets(t *testing.T) {
	s := ownServersWith(t, rig.Options{
		Roles:              true,
		PostgresSettings:   map[string]string{"log_statement": "all", "log_replication_commands": "on", "log_connections": "on"},
		ClickHouseSettings: map[string]string{"logger/level": "trace"},
	})
	r := shopOn(t, s)
	const token, sourcePassword, wrongToken = "canaryToken8642", "canarySource8642", "canaryWrong8642"
	canaries := []string{token, sourcePassword, wrongToken, rig.BridgePassword}
	dir := t.TempDir()
	passfile := filepath.Join(dir, "pgpass")
	secrets := map[string]string{
		"token": token + "\n", "pgpass": "*:*:*:*:" + sourcePassword + "\n", "target": r.TargetDSN() + "\n",
	}
	for name, text := range secrets {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("PGPASSFILE", passfile)
	t.Setenv("TIDEMARK_CLICKHOUSE_DSN_FILE", filepath.Join(dir, "target"))
	file, url := served(t, r, shopTables)
	text := strings.Replace(read(t, file), r.TargetDSN(), `""`, 1)
	file = write(t, strings.Replace(text, "http: {", "http: {token_file: "+filepath.Join(dir, "token")+", ", 1))
	if strings.Contains(read(t, file), rig.BridgePassword) {
		t.Fatal("the password of ClickHouse is in the file")
	}

	p := r.Spawn(file, "--log-level", "debug")
	r.WaitLSN(2)
	var said strings.Builder
	post := func(bearer string, want int) {
		t.Helper()
		code, body := postJob(t, url+"/jobs/roll", bearer)
		said.WriteString(body)
		if code != want {
			t.Errorf("with the token %q: %d %s", bearer, code, body)
		}
	}
	post("", http.StatusUnauthorized)
	post(wrongToken, http.StatusUnauthorized)
	post(token, http.StatusOK)
	for _, args := range [][]string{{"check"}, {"status", "--json"}, {"ddl"}, {"roll"}, {"wait", "--lsn", "0/1"}, {"check", "--log-level", "debug"}} {
		got := command(t, file, args...)
		said.WriteString(got.works(t).stdout + got.stderr)
	}
	// Sessions fail, with the DSNs at hand.
	execute(t, r, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'tidemark%' AND datname = current_database()")
	r.Eventually(time.Minute, "the interruption on the page", func(context.Context) error {
		if !strings.Contains(fetchText(t, url+"/status.json"), `"kind":"`) {
			return errors.New("there is none")
		}
		return nil
	})
	r.WaitLSN(2)
	for _, path := range []string{"/", "/status.json", "/metrics", "/healthz"} {
		said.WriteString(fetchText(t, url+path))
	}
	if code := p.Terminate(); code != 0 {
		t.Errorf("exit code %d:\n%s", code, r.Log())
	}
	for _, broken := range []string{
		"source.publication=canary", "source.dsn=postgres://u:" + sourcePassword + "@127.0.0.1:1/shop", "source.dsn=host=127.0.0.1 port=1 password=" + sourcePassword,
		"clickhouse.dsn=clickhouse://u:" + rig.BridgePassword + "@127.0.0.1:1/shop", "clickhouse.dsn=clickhouse://u:" + rig.BridgePassword + "@h@h/shop",
	} {
		got := command(t, file, "run", "--log-level", "debug", "--set", broken)
		if got.code == 0 {
			t.Errorf("with %s: exit code 0", broken)
		}
		said.WriteString(got.stdout + got.stderr)
	}
	said.WriteString(r.Log())
	said.WriteString(serverLogs(t, r, s))
	for _, canary := range canaries {
		if i := strings.Index(said.String(), canary); i >= 0 {
			t.Errorf("%s stands in …%s", canary, said.String()[max(0, i-300):i+len(canary)])
		}
	}
}

// serverLogs is what both servers have written of the work of a bridge, which has to be in there.
func serverLogs(t *testing.T, r *rig.Rig, s *rig.Servers) string {
	t.Helper()
	postgres := read(t, filepath.Join(s.Postgres.Dir(), "postgres.log"))
	clickhouse := read(t, filepath.Join(s.ClickHouse.Dir(), "clickhouse.log"))
	if !strings.Contains(postgres, "START_REPLICATION SLOT") || !strings.Contains(clickhouse, r.Name+"_tidemark") {
		t.Error("the logs of the servers show nothing of the bridge")
	}
	var kept uint64
	must(t, r.CH.QueryRow(t.Context(), "SELECT count() FROM system.tables WHERE database = 'system' AND name = 'query_log'").Scan(&kept))
	if kept == 0 { // the embedded server has none
		return postgres + clickhouse
	}
	var queries string
	must(t, r.CH.QueryRow(t.Context(), "SELECT arrayStringConcat(groupArray(query || exception), '\n') FROM system.query_log").Scan(&queries))
	return postgres + clickhouse + queries
}

func postJob(t *testing.T, url, bearer string) (int, string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	if bearer != "" {
		request.Header.Set("Authorization", "Bearer "+bearer)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	var body strings.Builder
	if err := response.Write(&body); err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, body.String()
}
