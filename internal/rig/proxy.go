package rig

import (
	be "encoding/binary"
	"errors"
	"io"
	"net"
	"slices"
	"sync"
	"testing"
	"time"
)

// Proxy stands between a bridge and a server and does to its connections what networks do.
type Proxy struct {
	target   string
	commits  bool // it understands PostgreSQL's protocol
	listener net.Listener
	group    sync.WaitGroup

	mu     sync.Mutex
	pairs  map[*pair]struct{}
	frozen chan struct{} // closed when data flow again; nil while they do
	delay  time.Duration
	mute   bool
	clock  func(time.Time) time.Time // of commits; nil for PostgreSQL's own
}

// pair is a connection of a client and the proxy's own to the server.
type pair struct{ client, server *net.TCPConn }

func (p *pair) close() { _, _ = p.client.Close(), p.server.Close() }

// NewProxy listens in front of target, host:port, until the test ends.
func NewProxy(t testing.TB, target string) *Proxy {
	t.Helper()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &Proxy{target: target, listener: listener, pairs: map[*pair]struct{}{}}
	p.group.Go(p.serve) // ends with the listener, awaited below
	t.Cleanup(func() {
		_ = listener.Close()
		p.Thaw()
		p.Cut()
		p.group.Wait()
	})
	return p
}

// NewPostgresProxy is a proxy in front of a PostgreSQL, whose commit clock it can change.
func NewPostgresProxy(t testing.TB, target string) *Proxy {
	t.Helper()
	p := NewProxy(t, target)
	p.commits = true // nobody has connected yet
	return p
}

func (p *Proxy) commitClock() func(time.Time) time.Time {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.clock
}

// commits finds the commit times in the messages of one replication stream of pgoutput.
type commits struct{ rest []byte }

// change takes what arrived and returns the messages that are whole by now, with the commit times that a clock makes of
// theirs.
func (c *commits) change(data []byte, clock func(time.Time) time.Time) []byte {
	c.rest = append(c.rest, data...)
	whole := 0
	for len(c.rest)-whole >= 5 {
		size := 1 + int(be.BigEndian.Uint32(c.rest[whole+1:]))
		if len(c.rest)-whole < size {
			break
		}
		changeCommit(c.rest[whole:whole+size], clock)
		whole += size
	}
	out := c.rest[:whole:whole]
	c.rest = slices.Clone(c.rest[whole:])
	return out
}

// changeCommit changes the time in Begin and Commit, which lie in XLogData within CopyData.
func changeCommit(message []byte, clock func(time.Time) time.Time) {
	const header = 5 + 1 + 3*8 // of CopyData, and of XLogData
	if clock == nil || message[0] != 'd' || len(message) <= header || message[5] != 'w' {
		return
	}
	at := header + 1 + 8 // Begin: LSN, time
	switch message[header] {
	case 'B':
	case 'C':
		at += 1 + 8 // flags, LSN, end LSN, time
	default:
		return
	}
	is := postgresEpoch.Add(time.Duration(be.BigEndian.Uint64(message[at:])) * time.Microsecond)
	be.BigEndian.PutUint64(message[at:], uint64(clock(is).Sub(postgresEpoch).Microseconds()))
}

var postgresEpoch = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)

// Addr is where the proxy listens.
func (p *Proxy) Addr() string { return p.listener.Addr().String() }

// Cut breaks all connections off.
func (p *Proxy) Cut() {
	for _, c := range p.all() {
		c.close()
	}
}

// HalfClose ends one direction of all connections, as a peer does that has nothing more to say: towards the client, or
// towards the server.
func (p *Proxy) HalfClose(client bool) {
	for _, c := range p.all() {
		if client {
			_ = c.client.CloseWrite()
		} else {
			_ = c.server.CloseWrite()
		}
	}
}

// Freeze lets nothing through any more, also of new connections, and hangs up on nobody. Thaw ends it.
func (p *Proxy) Freeze() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.frozen == nil {
		p.frozen = make(chan struct{})
	}
}

// Thaw lets data flow again.
func (p *Proxy) Thaw() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.frozen != nil {
		close(p.frozen)
		p.frozen = nil
	}
}

// Delay lets every piece of data wait.
func (p *Proxy) Delay(d time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.delay = d
}

// Mute breaks each connection off at the moment at which the server answers: what was asked for was done, and nobody hears
// of it. It ends with Mute(false).
func (p *Proxy) Mute(on bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.mute = on
}

// SetClock makes another time of each commit's, as the replication stream shows it.
func (p *Proxy) SetClock(clock func(time.Time) time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.clock = clock
}

func (p *Proxy) all() (out []*pair) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for c := range p.pairs {
		out = append(out, c)
	}
	return out
}

func (p *Proxy) serve() {
	for {
		client, err := p.listener.Accept()
		if err != nil {
			return
		}
		p.group.Go(func() { p.connect(client) }) // ends with the connections
	}
}

// connect goes on to the server when data flow: a connection that says nothing for half a minute ends the embedded ClickHouse.
func (p *Proxy) connect(client net.Conn) {
	p.mu.Lock()
	frozen := p.frozen
	p.mu.Unlock()
	if frozen != nil {
		<-frozen
	}
	server, err := net.Dial("tcp", p.target)
	if err != nil {
		_ = client.Close()
		return
	}
	c := &pair{client.(*net.TCPConn), server.(*net.TCPConn)}
	p.mu.Lock()
	p.pairs[c] = struct{}{}
	p.mu.Unlock()
	p.forward(c)
}

// forward copies both ways until both are through or one breaks.
func (p *Proxy) forward(c *pair) {
	var ways sync.WaitGroup
	ways.Go(func() { p.copy(c, c.server, c.client, false) })
	ways.Go(func() { p.copy(c, c.client, c.server, true) })
	ways.Wait()
	c.close()
	p.mu.Lock()
	delete(p.pairs, c)
	p.mu.Unlock()
}

func (p *Proxy) copy(c *pair, to, from *net.TCPConn, answers bool) {
	buffer := make([]byte, 32<<10)
	var commits commits
	for {
		n, err := from.Read(buffer)
		if n > 0 && p.pass(answers) {
			out := buffer[:n]
			if p.commits && answers {
				out = commits.change(out, p.commitClock())
			}
			_, err = to.Write(out)
		} else if n > 0 {
			err = net.ErrClosed
		}
		switch {
		case errors.Is(err, io.EOF):
			_ = to.CloseWrite()
			return
		case err != nil:
			c.close()
			return
		}
	}
}

// pass waits as long as data have to, and reports whether they go through.
func (p *Proxy) pass(answers bool) bool {
	p.mu.Lock()
	frozen, delay, mute := p.frozen, p.delay, p.mute
	p.mu.Unlock()
	if frozen != nil {
		<-frozen
	}
	if delay > 0 {
		<-time.After(delay)
	}
	return !mute || !answers
}
