package cdc

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

func (s *source) confirmed() LSN {
	s.Helper()
	slot, err := readSlot(s.Context(), s.cfg)
	if err != nil {
		s.Fatal(err)
	}
	return slot.ConfirmedFlush
}

// Failures 1 and 3: the end LSN is what to go on from, and all three positions of a status update are set.
func TestRestartFromEnd(t *testing.T) {
	onEach(t, func(s *source) {
		s.exec("CREATE TABLE t (id int PRIMARY KEY)", "CREATE PUBLICATION pub FOR TABLE t")
		f := s.follow(s.createSlot(), StreamOptions{})
		s.exec("INSERT INTO t VALUES (1)")
		events := f.transactions(1)
		end := events[len(events)-1].LSN
		f.stream.Confirm(end)
		f.stream.Confirm(end - 1) // never back
		s.eventually("the slot stands at the end", func() bool { return s.confirmed() == end })
		s.equal("positions", s.get(`SELECT format('%s %s %s', write_lsn = flush_lsn, flush_lsn = replay_lsn, flush_lsn)
			FROM pg_stat_replication WHERE pid = $1`, f.stream.conn.PID()), fmt.Sprintf("t t %s", end))
		if err := f.stop(); err != nil {
			t.Fatal(err)
		}
		f = s.follow(end, StreamOptions{})
		s.exec("INSERT INTO t VALUES (2)")
		s.equal("after the restart", showAll(f.changes(1)), "I 2")
	})
}

// Failure 2: nothing but Confirm confirms, and what was not confirmed comes again.
func TestReceivingConfirmsNothing(t *testing.T) {
	onEach(t, func(s *source) {
		s.exec("CREATE TABLE t (id int PRIMARY KEY)", "CREATE TABLE other (id int)", "CREATE PUBLICATION pub FOR TABLE t")
		start := s.createSlot()
		f := s.follow(start, StreamOptions{StatusInterval: 10 * time.Millisecond})
		s.exec("INSERT INTO t VALUES (1)", "INSERT INTO other VALUES (1)")
		f.transactions(1)
		end := s.end()
		f.until("progress", func(e Event) bool { return e.Kind == Progress && e.LSN >= end })
		_ = f.stop()
		if at := s.confirmed(); at != start {
			t.Errorf("the slot moved from %s to %s by itself", start, at)
		}
		f = s.follow(0, StreamOptions{})
		s.equal("again", showAll(f.changes(1)), "I 1")
	})
}

// Failure 5: the slot is behind what was applied, as after a crash of PostgreSQL.
func TestRestartSkipsWholeTransactions(t *testing.T) {
	onEach(t, func(s *source) {
		s.exec("CREATE TABLE t (id int PRIMARY KEY, a int)", "CREATE PUBLICATION pub FOR TABLE t")
		f := s.follow(s.createSlot(), StreamOptions{})
		s.exec("BEGIN; INSERT INTO t VALUES (1), (2); COMMIT", "UPDATE t SET a = 1", "DELETE FROM t WHERE id = 1")
		var ends []LSN
		for range 3 {
			events := f.transactions(1)
			ends = append(ends, events[len(events)-1].LSN)
		}
		_ = f.stop()
		f = s.follow(ends[1], StreamOptions{})
		s.equal("after the second", showAll(f.changes(1)), "D 1|- →")
	})
}

// The decoder skips also when the server does not, which it would only do by mistake.
func TestServerKilledAndRestarted(t *testing.T) {
	s := newSource(t, versions[0])
	s.exec("CREATE TABLE t (id int PRIMARY KEY)", "CREATE PUBLICATION pub FOR TABLE t")
	f := s.follow(s.createSlot(), StreamOptions{})
	s.exec("INSERT INTO t VALUES (1)")
	events := f.transactions(1)
	end := events[len(events)-1].LSN
	f.stream.Confirm(end)
	s.eventually("the slot stands at the end", func() bool { return s.confirmed() == end })
	if err := errors.Join(s.pg.Kill(), s.pg.Start(t.Context())); err != nil {
		t.Fatal(err)
	}
	if err := f.stop(); err == nil {
		t.Error("the stream outlived the server")
	}
	s.conn = dial(t, s.cfg.DSN)
	f = s.follow(end, StreamOptions{})
	s.exec("INSERT INTO t VALUES (2)")
	s.equal("after the crash", showAll(f.changes(1)), "I 2")
}

func TestWalsenderKilled(t *testing.T) {
	onEach(t, func(s *source) {
		s.exec("CREATE TABLE t (id int PRIMARY KEY)", "CREATE PUBLICATION pub FOR TABLE t")
		f := s.follow(s.createSlot(), StreamOptions{})
		s.exec("INSERT INTO t VALUES (1)")
		events := f.transactions(1)
		s.exec(fmt.Sprintf("SELECT pg_terminate_backend(%d)", f.stream.conn.PID()), "INSERT INTO t VALUES (2)")
		if err := <-f.ended; err == nil {
			t.Error("no error")
		} else {
			f.ended <- err
		}
		f = s.follow(events[len(events)-1].LSN, StreamOptions{})
		s.equal("after the kill", showAll(f.changes(1)), "I 2")
	})
}

// Failure 17: a publication that is dropped must not become a gap. PostgreSQL 18 would go on without it.
func TestPublicationDropped(t *testing.T) {
	onEach(t, func(s *source) {
		s.exec("CREATE TABLE t (id int PRIMARY KEY)", "CREATE PUBLICATION pub FOR TABLE t")
		f := s.follow(s.createSlot(), StreamOptions{})
		s.exec("INSERT INTO t VALUES (1)")
		f.transactions(1)
		s.exec("DROP PUBLICATION pub", "INSERT INTO t VALUES (2)")
		select {
		case err := <-f.ended:
			f.ended <- err
			if err == nil || sqlState(err) != "42704" && !errors.Is(err, ErrNoPublication) {
				t.Errorf("error %v", err)
			}
		case <-time.After(10 * time.Second):
			t.Error("the stream goes on")
		}
	})
}

// Failure 6.
func TestSlotAhead(t *testing.T) {
	s := newSource(t, versions[0])
	s.exec("CREATE TABLE t (id int PRIMARY KEY)", "CREATE PUBLICATION pub FOR TABLE t")
	start := s.createSlot()
	_, err := OpenStream(t.Context(), s.cfg, start-1, StreamOptions{})
	if !errors.Is(err, ErrSlotAhead) {
		t.Errorf("error %v", err)
	}
}

func TestSlotErrors(t *testing.T) {
	onEach(t, func(s *source) {
		s.Parallel()
		s.exec("CREATE TABLE t (id int PRIMARY KEY)")
		if _, err := OpenStream(s.Context(), s.cfg, 0, StreamOptions{}); !errors.Is(err, ErrNoPublication) {
			s.Errorf("no publication: %v", err)
		}
		s.exec("CREATE PUBLICATION pub FOR TABLE t")
		if _, err := OpenStream(s.Context(), s.cfg, 0, StreamOptions{}); !errors.Is(err, ErrNoSlot) {
			s.Errorf("no slot: %v", err)
		}
		s.createSlot()
		if _, err := CreateSlot(s.Context(), s.cfg); err == nil {
			s.Error("the slot was created twice")
		}
		if _, created, err := EnsureSlot(s.Context(), s.cfg); err != nil || created {
			s.Errorf("ensure slot: %v %v", created, err)
		}
		f := s.follow(0, StreamOptions{})
		_, err := OpenStream(s.Context(), s.cfg, 0, StreamOptions{})
		if !errors.Is(err, ErrSlotInUse) || !strings.Contains(err.Error(), fmt.Sprint(f.stream.conn.PID())) {
			s.Errorf("slot in use: %v", err)
		}
		if err := DropSlot(s.Context(), s.cfg); !errors.Is(err, ErrSlotInUse) {
			s.Errorf("drop slot in use: %v", err)
		}
	})
}

// Failure 2: a busy unpublished table beside an idle published one.
func TestProgressWhileIdle(t *testing.T) {
	onEach(t, func(s *source) {
		s.exec("CREATE TABLE t (id int PRIMARY KEY)", "CREATE TABLE busy (id int)", "CREATE PUBLICATION pub FOR TABLE t")
		f := s.follow(s.createSlot(), StreamOptions{})
		open := dial(t, s.cfg.DSN) // a transaction under way, whose WAL is flushed whenever
		if _, err := open.Exec(s.Context(), "BEGIN"); err != nil {
			s.Fatal(err)
		}
		var slowest time.Duration
		for range 20 {
			s.exec("INSERT INTO busy SELECT generate_series(1, 100)")
			if _, err := open.Exec(s.Context(), "INSERT INTO busy VALUES (0)"); err != nil {
				s.Fatal(err)
			}
			written, start := s.end(), time.Now()
			f.until("progress", func(e Event) bool { return e.Kind == Progress && e.LSN >= written })
			slowest = max(slowest, time.Since(start))
			f.stream.Confirm(written)
		}
		if slowest > time.Second {
			t.Errorf("progress took %s", slowest)
		}
		t.Logf("progress after at most %s, %d events", slowest, len(f.seen))
	})
}

// Failure 8: the consumer stalls longer than wal_sender_timeout, with the queue full, and nothing is lost.
func TestStalledConsumer(t *testing.T) {
	onEach(t, func(s *source) {
		s.Parallel()
		s.exec("ALTER ROLE postgres IN DATABASE "+s.cfg.Slot+" SET wal_sender_timeout = '2s'",
			"CREATE TABLE t (id int PRIMARY KEY, a text)", "CREATE PUBLICATION pub FOR TABLE t")
		f := s.follow(s.createSlot(), StreamOptions{QueueBytes: 1 << 20})
		for i := range 5 {
			s.exec(fmt.Sprintf("INSERT INTO t SELECT i, repeat('x', 1000) FROM generate_series(%d, %d) i", i*10000, i*10000+9999))
		}
		stall := time.NewTimer(6 * time.Second)
		<-stall.C
		n := 0
		for _, e := range f.changes(5) {
			if string(e.New[0].Text()) != fmt.Sprint(n) {
				t.Fatalf("row %s at place %d", e.New[0].Text(), n)
			}
			n++
		}
		if n != 50000 {
			t.Errorf("%d rows", n)
		}
		s.exec("INSERT INTO t VALUES (-1)")
		s.equal("afterwards", showAll(f.changes(1)), "I -1|-")
	})
}

// A transaction of 200,000 rows passes through a small queue without being held whole.
func TestBigTransactionInBoundedMemory(t *testing.T) {
	s := newSource(t, versions[0])
	s.exec("CREATE TABLE t (id int PRIMARY KEY, a text)", "CREATE PUBLICATION pub FOR TABLE t")
	f := s.follow(s.createSlot(), StreamOptions{QueueBytes: 1 << 20})
	before := heap()
	s.exec("INSERT INTO t SELECT i, repeat('x', 1000) FROM generate_series(1, 200000) i")
	rows, most, batches := 0, uint64(0), 0
	for done := false; !done; {
		b := <-f.stream.Batches()
		for _, e := range b.Events {
			if e.Kind == Change {
				rows++
			}
			done = done || e.Kind == Commit
		}
		if batches++; batches%100 == 0 {
			most = max(most, heap())
		}
		f.stream.Done(b)
	}
	if rows != 200000 {
		t.Errorf("%d rows", rows)
	}
	if grown := int64(most) - int64(before); grown > 8<<20 {
		t.Errorf("the heap grew by %d bytes", grown)
	}
}

func heap() uint64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// Small batches that nobody takes are joined, and a stall without a full queue holds up nothing.
func TestQueueJoins(t *testing.T) {
	q := newQueue(1 << 20)
	for i := range 1000 {
		r := &raw{}
		if i%10 == 0 {
			r.add('w', []byte{byte(i / 10)})
		}
		r.add('k', []byte("keepalive"))
		r.add('k', []byte("keepalive"))
		q.put(r)
	}
	r, last := q.next(), 0
	err := r.each(func(kind byte, message []byte) error {
		if (kind == 'w') != (last%2 == 0) || kind == 'w' && message[0] != byte(last/2) {
			t.Errorf("message %d is %q of kind %q", last, message, kind)
		}
		last++
		return nil
	})
	if err != nil || q.next() != nil || r.count != 200 || last != 200 {
		t.Errorf("%d messages of %d: %v", last, r.count, err)
	}
	if q.bytes != len(r.buf) {
		t.Errorf("%d bytes counted, %d there", q.bytes, len(r.buf))
	}
	s, b := &Stream{queue: q}, &Batch{held: len(r.buf)}
	s.Done(b)
	s.Done(b)
	if q.bytes != 0 {
		t.Errorf("%d bytes left", q.bytes)
	}
}

// Failure 9: a connection over which nothing comes any more, though nobody closed it.
func TestSilentConnection(t *testing.T) {
	t.Parallel()
	s := newSource(t, versions[0])
	s.exec("CREATE TABLE t (id int PRIMARY KEY)", "CREATE PUBLICATION pub FOR TABLE t")
	s.createSlot()
	p := newProxy(t, s.pg.Port())
	direct := s.cfg
	s.cfg.DSN = p.through(s.cfg.DSN)
	f := s.follow(0, StreamOptions{ReceiveTimeout: 2 * time.Second})
	s.cfg = direct
	// Idle for longer than the timeout: the server answers when asked.
	idle := time.NewTimer(3 * time.Second)
	<-idle.C
	s.exec("INSERT INTO t VALUES (1)")
	s.equal("after idling", showAll(f.changes(1)), "I 1")
	p.deaf.Store(true)
	start := time.Now()
	err := <-f.ended
	f.ended <- err
	if !errors.Is(err, ErrSilent) {
		t.Errorf("error %v", err)
	}
	if d := time.Since(start); d > 5*time.Second {
		t.Errorf("noticed after %s", d)
	}
}

// proxy forwards connections until it is deaf, when it swallows everything and closes nothing.
type proxy struct {
	listener net.Listener
	deaf     atomic.Bool
}

func newProxy(t *testing.T, port int) *proxy {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{listener: listener}
	t.Cleanup(func() { _ = listener.Close() })
	go func() { // ends when the listener is closed
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			server, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", port))
			if err != nil {
				_ = client.Close()
				return
			}
			go p.forward(client, server)
			go p.forward(server, client)
		}
	}()
	return p
}

// forward ends when either side is closed, and closes the other.
func (p *proxy) forward(from, to net.Conn) {
	defer func() { _ = errors.Join(from.Close(), to.Close()) }()
	_, _ = io.Copy(writerFunc(func(b []byte) (int, error) {
		if p.deaf.Load() {
			return len(b), nil
		}
		return to.Write(b)
	}), from)
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(b []byte) (int, error) { return f(b) }

func (p *proxy) through(dsn string) string {
	u, _ := url.Parse(dsn)
	u.Host = p.listener.Addr().String()
	return u.String()
}
