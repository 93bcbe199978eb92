package e2e

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tidemark-db/tidemark/internal/bridge"
)

// TestProfiles asks for a profile of a bridge: there is none unless http.pprof is true, and then it wants the token.
func TestProfiles(t *testing.T) {
	r := shop(t)
	file, url := served(t, r, shopTables)
	text := read(t, file)
	token := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(token, []byte("secret"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		keys, bearer string
		want         int
	}{
		{"", "", http.StatusNotFound},
		{"pprof: true, ", "", http.StatusOK},
		{"pprof: true, token_file: " + token + ", ", "", http.StatusUnauthorized},
		{"pprof: true, token_file: " + token + ", ", "secret", http.StatusOK},
	} {
		b := r.Run(write(t, strings.Replace(text, "http: {", "http: {"+c.keys, 1)), bridge.Options{})
		r.WaitLSN(2)
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url+"/debug/pprof/goroutine?debug=1", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer "+c.bearer)
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != c.want {
			t.Errorf("with %q and the token %q: %s, want %d", c.keys, c.bearer, resp.Status, c.want)
		}
		if err := b.Stop(); err != nil {
			t.Fatal(err)
		}
	}
}
