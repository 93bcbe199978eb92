package observe

import (
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"encoding/json"
	"math"
	"net/http"
	"strconv"
	"strings"
)

//go:embed page.html
var page []byte

// latest is a serial after all points.
const latest = math.MaxInt64 - 1

// policy lets a browser run and apply nothing but what stands in the page, and load nothing but the status.
var policy = "default-src 'none'; connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; script-src " +
	hash("script") + "; style-src " + hash("style")

// hash is the source expression of the page's only element of that name.
func hash(element string) string {
	_, rest, _ := strings.Cut(string(page), "<"+element+">")
	text, _, _ := strings.Cut(rest, "</"+element+">")
	sum := sha256.Sum256([]byte(text))
	return "'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
}

// Register adds what only reads:
//
//	GET /             the status page
//	GET /status.json  a Snapshot; with ?after=SERIAL only the points of the charts after that one
//	GET /metrics      for Prometheus
//	GET /healthz      200 while the process answers. It says nothing of the servers, for restarting would not help them.
//	GET /readyz       200 if a session is open, the newest mark holds every configured table, and the last tick ended less
//	                  than 30 s (or three ticks, where that is longer) ago. Else 503, with a reason on each line.
func (o *Observer) Register(mux *http.ServeMux) {
	mux.HandleFunc("GET /{$}", servePage)
	mux.HandleFunc("GET /status.json", o.serveStatus)
	mux.Handle("GET /metrics", o.metrics.handler())
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { answer(w, http.StatusOK, "ok") })
	mux.HandleFunc("GET /readyz", o.serveReady)
}

func servePage(w http.ResponseWriter, _ *http.Request) {
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Security-Policy", policy)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cache-Control", "no-cache")
	w.Write(page)
}

func (o *Observer) serveStatus(w http.ResponseWriter, r *http.Request) {
	after := int64(0)
	if text := r.FormValue("after"); text != "" {
		var err error
		if after, err = strconv.ParseInt(text, 10, 64); err != nil {
			http.Error(w, "after is the serial of a point, a whole number", http.StatusBadRequest)
			return
		}
	}
	text, err := json.Marshal(o.Snapshot(min(after, latest)))
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.Write(text)
}

func (o *Observer) serveReady(w http.ResponseWriter, _ *http.Request) {
	if reasons := o.Snapshot(latest).NotReady; len(reasons) > 0 {
		answer(w, http.StatusServiceUnavailable, strings.Join(reasons, "\n"))
		return
	}
	answer(w, http.StatusOK, "ready")
}

func answer(w http.ResponseWriter, code int, text string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(code)
	w.Write([]byte(text + "\n"))
}
