package bridge

import (
	"context"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/pprof"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"github.com/tidemark-db/tidemark/internal/fault"
)

// serve listens on http.listen; the returned function stops the server and waits for it.
func (b *Bridge) serve(ctx context.Context) (stop func(), err error) {
	cfg := b.config().HTTP
	listen := cfg.Listen
	if listen == "" {
		return func() {}, nil
	}
	token, err := readToken(cfg.TokenFile)
	if err != nil {
		return nil, err
	}
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", listen)
	if err != nil {
		return nil, fault.New("stop what uses the port, or set http.listen to another address", "http.listen %s: %w", listen, err)
	}
	mux := http.NewServeMux()
	b.seen.Register(mux)
	for _, kind := range []jobKind{jobRoll, jobResync, jobVerify} {
		mux.HandleFunc("POST /jobs/"+string(kind), authorized(token, oneAtATime(b.jobHandler(kind))))
	}
	if cfg.Pprof {
		registerProfiles(mux, token)
	}
	server := &http.Server{Handler: guarded(mux), ReadHeaderTimeout: 5 * time.Second}
	done := make(chan struct{})
	go func() { // ends with Shutdown, awaited by stop
		defer close(done)
		if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			b.log.Error().Err(err).Msg("http server ended")
		}
	}()
	return func() {
		bounded, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer cancel()
		if err := server.Shutdown(bounded); err != nil {
			b.log.Warn().Err(err).Msg("stop http server")
		}
		<-done
	}, nil
}

// guarded refuses what a page of another site asks, open in a browser on this machine: it must not start jobs.
func guarded(h http.Handler) http.Handler { return http.NewCrossOriginProtection().Handler(h) }

// registerProfiles serves Go's profiles to whom jobs are allowed: a profile costs work, and a heap may hold row values.
func registerProfiles(mux *http.ServeMux, token string) {
	for pattern, handler := range map[string]http.HandlerFunc{
		"": pprof.Index, "cmdline": pprof.Cmdline, "profile": pprof.Profile, "symbol": pprof.Symbol, "trace": pprof.Trace,
	} {
		mux.HandleFunc("GET /debug/pprof/"+pattern, authorized(token, handler))
	}
}

func readToken(file string) (string, error) {
	if file == "" {
		return "", nil
	}
	raw, err := os.ReadFile(file)
	if err != nil {
		return "", fault.New("create the file with a secret in it, readable by tidemark alone", "http.token_file: %w", err)
	}
	token := strings.TrimSpace(string(raw))
	if token == "" {
		return "", fault.New("put a secret into it", "http.token_file %s is empty", file)
	}
	return token, nil
}

// authorized lets a request through that carries the token; without one, only requests from this machine.
func authorized(token string, next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		given := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
		ok := token != "" && subtle.ConstantTimeCompare([]byte(given), []byte(token)) == 1
		if token == "" {
			host, _, err := net.SplitHostPort(r.RemoteAddr)
			ok = err == nil && net.ParseIP(host).IsLoopback()
		}
		if !ok {
			why := "the bearer token is missing, or is not the one in http.token_file"
			if token == "" {
				why = "jobs are accepted from this machine alone; set http.token_file to allow others"
			}
			http.Error(w, why, http.StatusUnauthorized)
			return
		}
		next(w, r)
	}
}

// oneAtATime refuses a request while another one of its kind is being answered.
func oneAtATime(next http.HandlerFunc) http.HandlerFunc {
	var busy atomic.Bool
	return func(w http.ResponseWriter, r *http.Request) {
		if !busy.CompareAndSwap(false, true) {
			http.Error(w, "one is under way; ask again when it is done", http.StatusConflict)
			return
		}
		defer busy.Store(false)
		next(w, r)
	}
}

// tryHeader carries what to do about an error.
const tryHeader = "Tidemark-Try"

// jobHandler runs a job and answers with what it did.
func (b *Bridge) jobHandler(kind jobKind) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		var request Request
		decoder := json.NewDecoder(http.MaxBytesReader(w, r.Body, 1<<20))
		decoder.DisallowUnknownFields()
		if err := decoder.Decode(&request); err != nil && !errors.Is(err, io.EOF) {
			http.Error(w, "the body is no request: "+err.Error(), http.StatusBadRequest)
			return
		}
		done, err := b.do(r.Context(), kind, request)
		switch {
		case err != nil:
			refuseJob(w, err)
		case kind == jobRoll:
			b.send(w, list(done.rolled))
		case kind == jobVerify || request.FromSource:
			b.send(w, list(done.reread))
		default:
			b.send(w, list(done.folded))
		}
	}
}

func refuseJob(w http.ResponseWriter, err error) {
	w.Header().Set(tryHeader, fault.Try(err))
	code := http.StatusInternalServerError
	if errors.Is(err, errNoTable) {
		code = http.StatusNotFound
	}
	http.Error(w, err.Error(), code)
}

// list makes an empty list of none, which JSON tells apart.
func list[T any](items []T) []T { return append([]T{}, items...) }

func (b *Bridge) send(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	if err := json.NewEncoder(w).Encode(v); err != nil {
		b.log.Debug().Err(err).Msg("answer over http")
	}
}
