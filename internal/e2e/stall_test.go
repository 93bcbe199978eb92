package e2e

import (
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/tidemark-db/tidemark/internal/rig"
)

// stall is a bridge with a proxy in front of each server.
type stall struct {
	*auditRig
	process              *rig.Process
	postgres, clickhouse *rig.Proxy
	interrupted          int // how often it has said so
}

// startStall starts the bridge between servers that the test may stop. The walsender has little patience.
func startStall(t *testing.T) *stall {
	t.Helper()
	r := newAuditRigOn(t, ownServers(t), lateTables("history", "docs", "stock")...)
	r.run("ALTER DATABASE " + r.Name + " SET wal_sender_timeout = '2s'")
	s := &stall{auditRig: r}
	text := read(t, r.config(lateSettings))
	s.postgres, text = behind(t, text, r.SourceDSN())
	s.clickhouse, text = behind(t, text, r.TargetDSN())
	s.process = r.Spawn(write(t, text))
	s.await()
	return s
}

// behind puts a proxy before the server that a DSN names, and into the configuration.
func behind(t *testing.T, text, dsn string) (*rig.Proxy, string) {
	t.Helper()
	server, err := url.Parse(dsn)
	if err != nil {
		t.Fatal(err)
	}
	p := rig.NewProxy(t, server.Host)
	return p, strings.ReplaceAll(text, server.Host, p.Addr())
}

// TestStalls does to the connections of a bridge what networks do, one thing after the other, while rows of any age change.
// Each time it recovers by itself, says once that it is interrupted, at most, and then once that it has recovered.
func TestStalls(t *testing.T) {
	s := startStall(t)
	w := s.startStubborn(seed(t))
	w.begin(stimulus)
	witness := s.startWitness(time.Second)
	for _, c := range []struct {
		name string
		do   func()
	}{
		{"ClickHouse hangs up", s.clickhouse.Cut},
		{"PostgreSQL hangs up", s.postgres.Cut},
		{"ClickHouse says no more", func() { s.clickhouse.HalfClose(true) }},
		{"ClickHouse hears no more", func() { s.clickhouse.HalfClose(false) }},
		{"PostgreSQL says no more", func() { s.postgres.HalfClose(true) }},
		{"PostgreSQL hears no more", func() { s.postgres.HalfClose(false) }},
		{"ClickHouse's answers are lost", func() { s.while(s.clickhouse.Mute) }},
		{"PostgreSQL's answers are lost", func() { s.while(s.postgres.Mute) }},
		{"ClickHouse is far away", func() { s.far(s.clickhouse) }},
		{"PostgreSQL is far away", func() { s.far(s.postgres) }},
		{"PostgreSQL is silent", func() { s.silent(s.postgres) }},
		{"ClickHouse is silent", func() { s.silent(s.clickhouse) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			began := time.Now()
			c.do()
			s.recovers(t)
			t.Logf("took %v", time.Since(began).Round(time.Millisecond))
		})
	}
	w.stop()
	s.compare()
	witness.stop()
	s.checkMarks("", 0)
	if code := s.process.Terminate(); code != 0 {
		t.Errorf("exit code %d", code)
	}
}

// while does something for as long as it takes to go wrong.
func (s *stall) while(do func(bool)) {
	do(true)
	s.awaitLog(s.interrupted+1, "interrupted;")
	do(false)
}

// far makes each answer late, for a few marks.
func (s *stall) far(p *rig.Proxy) {
	p.Delay(20 * time.Millisecond)
	defer p.Delay(0)
	s.await()
}

// silent lets nothing through until the bridge has noticed.
func (s *stall) silent(p *rig.Proxy) {
	p.Freeze()
	defer p.Thaw()
	s.awaitLog(s.interrupted+1, "interrupted;")
}

// recovers waits until the bridge has all that was committed, and has said what there is to say, once.
func (s *stall) recovers(t *testing.T) {
	t.Helper()
	s.await()
	before := s.interrupted
	s.interrupted = strings.Count(s.Log(), "interrupted;")
	s.awaitLog(s.interrupted, `"recovered"`)
	recovered := strings.Count(s.Log(), `"recovered"`)
	if s.interrupted > before+1 || recovered != s.interrupted {
		t.Errorf("interrupted %d times before and %d now, recovered %d times", before, s.interrupted, recovered)
	}
}

// waitingWAL is how much PostgreSQL writes while ClickHouse is stopped, in bytes: more than twice what a bridge may take.
const waitingWAL = 1200 << 20

// TestStoppedClickHouse stops ClickHouse for a minute while PostgreSQL, whose walsender waits two seconds for an answer,
// goes on writing. The walsender stays or is found again; what waits is kept by PostgreSQL, not in the bridge's memory.
func TestStoppedClickHouse(t *testing.T) {
	s := startStall(t)
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(s.Servers.ClickHouse.Pause())
	stopped := time.NewTimer(time.Minute)
	for s.retained() < waitingWAL { // 20 MB each
		s.run("UPDATE docs SET big = repeat(md5(random()::text), 3200), extra = repeat(md5(random()::text), 3200)")
	}
	select {
	case <-stopped.C:
	case <-t.Context().Done():
	}
	t.Logf("%d MiB of WAL wait, the bridge took %d MiB", s.retained()>>20, peakMemory(t, s.process.Pid())>>20)
	must(s.Servers.ClickHouse.Resume())
	s.recovers(t)
	s.compare()
	if peak := peakMemory(t, s.process.Pid()); peak > maxMemory {
		t.Errorf("the bridge took %d MiB", peak>>20)
	} else {
		t.Logf("the bridge took %d MiB", peak>>20)
	}
	if code := s.process.Terminate(); code != 0 {
		t.Errorf("exit code %d", code)
	}
}

// retained is how much WAL the slot keeps that is not confirmed, in bytes.
func (r *auditRig) retained() (n int64) {
	r.t.Helper()
	err := r.PG.QueryRow(r.t.Context(), "SELECT (pg_current_wal_lsn() - confirmed_flush_lsn)::bigint FROM pg_replication_slots WHERE slot_name = $1", r.Name).Scan(&n)
	if err != nil {
		r.t.Fatal(err)
	}
	return n
}

// TestShutdownOfPostgres stops PostgreSQL in order while the bridge cannot write: the walsender must not hold that up.
func TestShutdownOfPostgres(t *testing.T) {
	s := startStall(t)
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(s.Servers.ClickHouse.Pause())
	s.run("UPDATE history SET v = v + 1; UPDATE stock SET v = v + 1")
	must(s.Servers.Postgres.Halt(t.Context()))
	log, err := os.ReadFile(filepath.Join(s.Servers.Postgres.Dir(), "postgres.log"))
	must(err)
	if text := string(log); !strings.Contains(text, "fast shutdown") || strings.Contains(text, "immediate shutdown") {
		t.Error("a fast shutdown was not enough")
	}
	must(s.Servers.Postgres.Start(t.Context()))
	s.PG.Reset() // the test's own connections went with the server
	must(s.Servers.ClickHouse.Resume())
	s.recovers(t)
	s.compare()
	if code := s.process.Terminate(); code != 0 {
		t.Errorf("exit code %d", code)
	}
}

// maxMemory is what a bridge may take whatever comes, in bytes.
const maxMemory = 512 << 20

// peakMemory is the most that a process ever had resident, in bytes.
func peakMemory(t *testing.T, pid int) int {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	match := regexp.MustCompile(`VmHWM:\s*(\d+) kB`).FindSubmatch(text)
	if match == nil {
		t.Fatalf("no VmHWM in %s", text)
	}
	kb, err := strconv.Atoi(string(match[1]))
	if err != nil {
		t.Fatal(err)
	}
	return kb << 10
}
