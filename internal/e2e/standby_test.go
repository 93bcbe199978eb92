package e2e

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pglogrepl"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/tidemark-db/tidemark/cdc"
	"github.com/tidemark-db/tidemark/internal/rig"
)

// TestStandby has three bridges run for one slot. The first is killed, the second is paused until its lease is over and
// goes on while the third works, the third is stopped in order: each time the next one takes over, and each read is right.
func TestStandby(t *testing.T) {
	t.Parallel()
	r := newAuditRig(t, lateTables("history", "docs", "stock")...)
	file := r.config(lateSettings)
	w := r.start(seed(t))
	first := r.Spawn(file)
	r.await()
	readers := r.startReaders()
	second := r.Spawn(file, "--standby")
	r.awaitLog(1, "standing by")

	took := r.overtaken(first.Kill)
	t.Logf("took over %v after a kill", took)
	third := r.Spawn(file, "--standby")
	r.awaitLog(2, "standing by")
	took = r.overtaken(func() {
		if err := second.Pause(); err != nil {
			t.Fatal(err)
		}
	})
	t.Logf("took over %v after a pause began", took)
	if err := second.Resume(); err != nil {
		t.Fatal(err)
	}
	r.awaitLog(3, "standing by")
	took = r.overtaken(func() {
		if code := third.Terminate(); code != 0 {
			t.Errorf("exit code %d", code)
		}
	})
	t.Logf("took over %v after a stop", took)

	w.stop()
	r.compare()
	readers.stop(3)
	r.checkMarks("history", 0)
	if code := second.Terminate(); code != 0 {
		t.Errorf("exit code %d", code)
	}
	if n := strings.Count(r.Log(), `"standing by"`); n != 3 {
		t.Errorf("%d bridges said that they stand by, want 3, once each", n)
	}
}

// TestStandbyWaitsForTheSlot has a standby come when the lock is free and the slot is not, for longer than a start is patient:
// that is the moment for which it is there.
func TestStandbyWaitsForTheSlot(t *testing.T) {
	t.Parallel()
	r := newAuditRig(t, lateTables("stock")...)
	file := r.config("tick: 100ms")
	first := r.Spawn(file)
	r.await()
	if code := first.Terminate(); code != 0 {
		t.Fatalf("exit code %d", code)
	}
	other, err := pgconn.Connect(t.Context(), r.SourceDSN()+"&replication=database")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = other.Close(context.Background()) }()
	err = pglogrepl.StartReplication(t.Context(), other, r.Name, 0, pglogrepl.StartReplicationOptions{PluginArgs: []string{"proto_version '1'", "publication_names 'tidemark'"}})
	if err != nil {
		t.Fatal(err)
	}
	second := r.Spawn(file, "--standby")
	r.awaitLog(1, "cannot take over yet")
	if err := other.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	r.await()
	r.compare()
	if code := second.Terminate(); code != 0 {
		t.Errorf("exit code %d", code)
	}
}

// awaitLog waits until the bridges have said something that many times.
func (r *auditRig) awaitLog(times int, message string) {
	r.t.Helper()
	r.Eventually(time.Minute, message, func(context.Context) error {
		if n := strings.Count(r.Log(), message); n < times {
			return fmt.Errorf("said %d times", n)
		}
		return nil
	})
}

// overtaken waits, after something was done to the bridge that works, for the mark with which the next one begins, and
// returns how long that took.
func (r *auditRig) overtaken(do func()) time.Duration {
	r.t.Helper()
	store := r.store()
	before := store.newest(r.t)
	began := time.Now()
	do()
	r.Eventually(time.Minute, "a new term", func(context.Context) error {
		if store.newest(r.t).Term == before.Term {
			return errors.New("the term is that of before")
		}
		return nil
	})
	return time.Since(began)
}

// TestSlotOfAnother leaves a slot alone that another program reads.
func TestSlotOfAnother(t *testing.T) {
	t.Parallel()
	r := newAuditRig(t, lateTables("stock")...)
	file := r.config("tick: 100ms")
	p := r.Spawn(file)
	r.await()
	if code := p.Terminate(); code != 0 {
		t.Fatalf("exit code %d", code)
	}
	stop := readSlot(t, r.Rig)
	command(t, file, "run").fails(t, 1, []string{r.Name, "in use"})
	stop()
	p = r.Spawn(file)
	r.commit("INSERT INTO stock VALUES (1000, 1)")
	r.compare()
	if code := p.Terminate(); code != 0 {
		t.Errorf("exit code %d", code)
	}
}

// readSlot streams from the bridge's slot as another program would, until the returned function is called.
func readSlot(t *testing.T, r *rig.Rig) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	t.Cleanup(cancel)
	source := cdc.Config{DSN: r.SourceDSN(), Publication: "tidemark", Slot: r.Name, ApplicationName: "another"}
	stream, err := cdc.OpenStream(ctx, source, 0, cdc.StreamOptions{})
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- stream.Run(ctx) }() // ends with stop
	return func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}
