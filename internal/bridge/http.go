package bridge

import (
	"context"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"net"
	"net/http"
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
	mux.HandleFunc("POST /jobs/roll", authorized(token, oneAtATime(answer(b, b.Roll))))
	mux.HandleFunc("POST /jobs/resync", authorized(token, oneAtATime(answer(b, b.Resync))))
	// A page of another site, open in a browser on this machine, must not start jobs.
	server := &http.Server{Handler: http.NewCrossOriginProtection().Handler(mux), ReadHeaderTimeout: 5 * time.Second}
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
			http.Error(w, "a bearer token is needed", http.StatusUnauthorized)
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

// answer runs a job and sends its result.
func answer[T any](b *Bridge, run func(context.Context) ([]T, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		done, err := run(r.Context())
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		if err := json.NewEncoder(w).Encode(append([]T{}, done...)); err != nil {
			b.log.Debug().Err(err).Msg("answer a job")
		}
	}
}
