package main

import (
	"context"
	"errors"
	"syscall"
	"testing"

	"github.com/rs/zerolog"

	"github.com/tidemark-db/tidemark/internal/config"
)

func TestHangupReloads(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	refused := make(chan struct{})
	next := &config.Config{}
	calls := 0
	reloads, done := reloadOnHangup(ctx, zerolog.Nop(), &config.Config{}, func() (*config.Config, error) {
		calls++
		if calls == 1 {
			close(refused)
			return nil, errors.New("a fault")
		}
		return next, nil
	})
	hangup := func() {
		if err := syscall.Kill(syscall.Getpid(), syscall.SIGHUP); err != nil {
			t.Fatal(err)
		}
	}
	hangup()
	<-refused
	hangup()
	if got := <-reloads; got != next || calls != 2 {
		t.Errorf("got %p after %d loads, want %p", got, calls, next)
	}
	cancel()
	<-done
}
