package cdc

import (
	"errors"
	"fmt"
	"strings"
	"testing"
)

func TestLock(t *testing.T) {
	onEach(t, func(s *source) {
		s.cfg.ApplicationName = "first's"
		first, err := AcquireLock(t.Context(), s.cfg)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = first.Close() }()
		pid := first.conn.PgConn().PID()
		_, err = AcquireLock(t.Context(), s.cfg)
		if !errors.Is(err, ErrLocked) {
			t.Fatalf("second: %v", err)
		}
		for _, part := range []string{fmt.Sprint("pid ", pid), "'first''s'", "127.0.0.1", s.cfg.Slot} {
			if !strings.Contains(err.Error(), part) {
				t.Errorf("%q does not name %q", err, part)
			}
		}
		if err := first.Check(t.Context()); err != nil {
			t.Error(err)
		}
		s.exec(fmt.Sprintf("SELECT pg_terminate_backend(%d)", pid))
		<-first.Lost()
		if err := first.Check(t.Context()); !errors.Is(err, ErrLockLost) {
			t.Errorf("check: %v", err)
		}
		second, err := AcquireLock(t.Context(), s.cfg)
		if err != nil {
			t.Fatal(err)
		}
		if err := second.Close(); err != nil {
			t.Error(err)
		}
		other := s.cfg
		other.Slot += "_other"
		for range 2 {
			third, err := AcquireLock(t.Context(), other)
			if err != nil {
				t.Fatal(err)
			}
			_ = third.Close()
		}
	})
}
