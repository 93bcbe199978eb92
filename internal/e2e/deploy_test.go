package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/goccy/go-yaml"

	"github.com/tidemark-db/tidemark/deploy"
	"github.com/tidemark-db/tidemark/internal/bridge"
	"github.com/tidemark-db/tidemark/internal/config"
	"github.com/tidemark-db/tidemark/internal/rig"
)

// alertRules is deploy/prometheus/alerts.yml.
type alertRules struct {
	Groups []struct {
		Name  string
		Rules []struct {
			Alert       string
			Expr        string
			For         string
			Labels      map[string]string
			Annotations map[string]string
		}
	}
}

func readAlerts(t *testing.T) (rules alertRules) {
	t.Helper()
	if err := yaml.UnmarshalWithOptions([]byte(deploy.Read("prometheus/alerts.yml")), &rules, yaml.Strict()); err != nil {
		t.Fatal(err)
	}
	if len(rules.Groups) == 0 || len(rules.Groups[0].Rules) == 0 {
		t.Fatal("there are no alerts")
	}
	return rules
}

// dashboardQueries are those of the Grafana dashboard, with values in place of Grafana's variables.
func dashboardQueries(t *testing.T) (queries []string) {
	t.Helper()
	var dashboard struct {
		Panels []struct {
			Targets []struct{ Expr string }
		}
	}
	if err := json.Unmarshal([]byte(deploy.Read("grafana/dashboards/tidemark.json")), &dashboard); err != nil {
		t.Fatal(err)
	}
	values := strings.NewReplacer("$__rate_interval", "5m", "$instance", ".*", "$table", ".*")
	for _, p := range dashboard.Panels {
		for _, target := range p.Targets {
			queries = append(queries, values.Replace(target.Expr))
		}
	}
	if len(queries) == 0 {
		t.Fatal("there are no queries")
	}
	return queries
}

// TestQueries has Prometheus' engine evaluate every query of the alerts and of the dashboard over what a bridge exports
// before and while a fold is under way: each must find series. Of an alert that is what it compares.
func TestQueries(t *testing.T) {
	t.Parallel()
	r := shop(t)
	file, url := served(t, r, "schedule: {resync: \"\"}"+shopTables)
	hold := newHold("fold")
	b := r.Run(file, bridge.Options{Hook: hold.hook})
	r.WaitLSN(2)
	asked := promQuestions{Rules: deploy.Read("prometheus/alerts.yml"), Queries: dashboardQueries(t), Scrapes: []string{fetchText(t, url+"/metrics")}}
	execute(t, r, "UPDATE sales SET note = 'late' WHERE id > 6")
	r.WaitLSN(2)
	folded := make(chan error, 1)
	go func() { // ends with the fold
		_, err := b.Resync(t.Context(), bridge.Request{})
		folded <- err
	}()
	<-hold.reached
	asked.Scrapes = append(asked.Scrapes, fetchText(t, url+"/metrics"))
	close(hold.release)
	if err := <-folded; err != nil {
		t.Error(err)
	}
	for _, rule := range readAlerts(t).Groups[0].Rules {
		asked.Queries = append(asked.Queries, rule.Expr)
		if rule.Alert == "" || rule.Labels["severity"] == "" || rule.Annotations["summary"] == "" {
			t.Errorf("alert %q lacks something", rule.Alert)
		}
	}
	asked.Queries = append(asked.Queries, "tidemark_there_is_no_such_thing", "tidemark_ready +")
	answered := promEval(t, asked)
	if answered.Rules != "" {
		t.Errorf("alert rules: %s", answered.Rules)
	}
	for i, result := range answered.Queries {
		wanted := i < len(answered.Queries)-2 // the last two see that the others can fail
		if found := result.Error == "" && result.Series > 0; found != wanted {
			t.Errorf("%s: %d series, %s", asked.Queries[i], result.Series, result.Error)
		}
	}
}

// promQuestions and promAnswers are what tools/promeval reads and writes.
type (
	promQuestions struct {
		Scrapes, Queries []string
		Rules            string
	}
	promAnswers struct {
		Queries []struct {
			Series int
			Error  string
		}
		Rules string
	}
)

func promEval(t *testing.T, asked promQuestions) (answered promAnswers) {
	t.Helper()
	in, err := json.Marshal(asked)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "go", "run", ".")
	cmd.Dir, cmd.Stdin = "../../tools/promeval", bytes.NewReader(in)
	var complaints strings.Builder
	cmd.Stderr = &complaints
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v\n%s", err, complaints.String())
	}
	if err := json.Unmarshal(out, &answered); err != nil || len(answered.Queries) != len(asked.Queries) {
		t.Fatalf("%s: %v", out, err)
	}
	return answered
}

// hold stops the bridge before a statement, once.
type hold struct {
	statement        string
	reached, release chan struct{}
}

func newHold(statement string) *hold {
	return &hold{statement, make(chan struct{}), make(chan struct{})}
}

func (h *hold) hook(ctx context.Context, statement string, after bool) error {
	if statement != h.statement || after {
		return nil
	}
	select {
	case <-h.reached: // it was released before
	default:
		close(h.reached)
	}
	select {
	case <-h.release:
	case <-ctx.Done():
	}
	return nil
}

func fetchText(t *testing.T, url string) string {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode != http.StatusOK {
		t.Fatalf("%s answers %s: %s, %v", url, response.Status, text, err)
	}
	return string(text)
}

// TestCompose sees that the containers mount files that there are, and that no port is open to other machines.
func TestCompose(t *testing.T) {
	t.Parallel()
	var compose struct {
		Name     string
		Services map[string]struct {
			Image       string
			Build       map[string]string
			Volumes     []string
			Ports       []string
			Environment map[string]string
		}
		Volumes map[string]any
	}
	if err := yaml.Unmarshal([]byte(deploy.Read("compose.yaml")), &compose); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"postgres", "clickhouse", "tidemark", "prometheus", "grafana"} {
		service, ok := compose.Services[name]
		if !ok || service.Image == "" && service.Build["dockerfile"] == "" {
			t.Errorf("there is no service %s", name)
		}
		for _, volume := range service.Volumes {
			source, _, _ := strings.Cut(volume, ":")
			if _, named := compose.Volumes[source]; named {
				continue
			}
			if _, err := os.Stat(filepath.Join("../../deploy", source)); err != nil {
				t.Errorf("service %s: %v", name, err)
			}
		}
		for _, port := range service.Ports {
			if !strings.HasPrefix(port, "127.0.0.1:") {
				t.Errorf("service %s opens %s to other machines", name, port)
			}
		}
	}
	env := func(name string) (string, bool) {
		v, ok := compose.Services["tidemark"].Environment[name]
		return strings.ReplaceAll(v, "${TIDEMARK_PASSWORD:?}", "secret"), ok
	}
	loadConfig(t, "../../deploy/compose/tidemark.yaml", env)
	loadConfig(t, "../../deploy/tidemark.example.yaml", func(string) (string, bool) { return "", false })
}

// TestSystemdUnit has systemd look at the unit where it is installed; its sections and the keys that harden it are there
// in any case.
func TestSystemdUnit(t *testing.T) {
	t.Parallel()
	unit := deploy.Read("tidemark.service")
	for _, line := range []string{
		"[Unit]", "[Service]", "[Install]", "DynamicUser=yes", "NoNewPrivileges=yes", "ProtectSystem=strict", "CapabilityBoundingSet=",
		"MemoryDenyWriteExecute=yes", "SystemCallFilter=@system-service", "ExecReload=/bin/kill -HUP $MAINPID",
	} {
		if !strings.Contains(unit, "\n"+line+"\n") {
			t.Errorf("the unit lacks %s", line)
		}
	}
	file := filepath.Join(t.TempDir(), "tidemark.service")
	if err := os.WriteFile(file, []byte(strings.ReplaceAll(unit, "/usr/local/bin/tidemark", rig.Binary(t))), 0o644); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	said, err := exec.CommandContext(ctx, "systemd-analyze", "verify", file).CombinedOutput()
	if errors.Is(err, exec.ErrNotFound) {
		return
	}
	if err != nil || len(said) > 0 {
		t.Errorf("systemd-analyze verify: %v\n%s", err, said)
	}
}

func loadConfig(t *testing.T, file string, env func(string) (string, bool)) {
	t.Helper()
	if _, err := config.Load(file, env, nil); err != nil {
		t.Error(err)
	}
}
