package e2e

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tidemark-db/tidemark/internal/bridge"
	"github.com/tidemark-db/tidemark/internal/rig"
)

// nodeClient is ClickHouse's own client for Node.js, which dashboards are built with, over HTTP.
const nodeClient = "@clickhouse/client@1.23.1"

// nodeScript runs the queries of a file, one JSON string each, and prints how many rows each answered.
const nodeScript = `
const { createClient } = require("@clickhouse/client");
const queries = JSON.parse(require("fs").readFileSync(process.argv[3], "utf8"));
(async () => {
  const client = createClient({ url: process.argv[2], username: "reader" });
  for (const query of queries) {
    const answer = await client.query({ query, format: "JSONEachRow" });
    console.log((await answer.json()).length);
  }
  await client.close();
})().catch((error) => { console.error(error); process.exit(1); });
`

// TestClients has the client for Node.js ask what docs/bi.md has people ask; TestDocuments asks the same with clickhouse-go.
func TestClients(t *testing.T) {
	r := rig.New(t, servers, docsTables...)
	execute(t, r, "CREATE PUBLICATION tidemark FOR TABLE sales, stores")
	r.Run(r.ConfigFile("tables:\n  public.sales: {date_column: created_at}\n  public.stores: {}\n"), bridge.Options{})
	r.WaitLSN(2)
	var queries []string
	for _, b := range readBlocks(t) {
		if b.kind == "sql clickhouse" && strings.HasPrefix(b.where, "bi.md") {
			queries = append(queries, fmt.Sprintf("%q", strings.ReplaceAll(strings.TrimSuffix(strings.TrimSpace(b.text), ";"), "shop.", r.Name+".")))
		}
	}
	dir := t.TempDir()
	script, list := filepath.Join(dir, "ask.js"), filepath.Join(dir, "queries.json")
	for file, text := range map[string]string{script: nodeScript, list: "[" + strings.Join(queries, ",\n") + "]"} {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	install := exec.CommandContext(ctx, "npm", "install", "--prefix", dir, "--no-audit", "--no-fund", "--ignore-scripts", "--loglevel", "error", nodeClient)
	if out, err := install.CombinedOutput(); err != nil {
		t.Fatalf("npm install: %v\n%s", err, out)
	}
	out, err := exec.CommandContext(ctx, "node", script, "http://"+r.Servers.HTTP(), list).CombinedOutput()
	answers := strings.Fields(string(out))
	if err != nil || len(answers) != len(queries) || len(queries) == 0 {
		t.Fatalf("%d answers to %d queries, %v\n%s", len(answers), len(queries), err, out)
	}
	for i, rows := range answers {
		if rows == "0" {
			t.Errorf("no rows of %s", queries[i])
		}
	}
}
