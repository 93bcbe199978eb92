package engine

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"strconv"
)

// Automatic ports come from below the range from which the kernel serves outgoing connections, which could otherwise
// take the port of a server while it restarts.
const (
	firstPort = 20000
	lastPort  = 32000
)

// A reservation keeps a port for a server from before its first start until it is stopped for good, whether it listens or
// not: no other server of ours gets it, of this process or another. It is an abstract Unix socket of the port's number, which
// the kernel frees with its process.
type reservation struct {
	net.Listener
	port int
}

// reserve reserves a port of 127.0.0.1 on which nobody listens.
func reserve() (reservation, error) {
	var err error
	for range 100 {
		r := reservation{port: firstPort + rand.IntN(lastPort-firstPort)}
		if r.Listener, err = net.Listen("unix", fmt.Sprintf("@tidemark-engine-port-%d", r.port)); err != nil {
			continue
		}
		if err = listenOnce(r.port); err == nil {
			return r, nil
		}
		err = errors.Join(err, r.Close())
	}
	return reservation{}, fmt.Errorf("find a free port: %w", err)
}

func listenOnce(port int) error {
	listener, err := net.Listen("tcp", address(port))
	if err != nil {
		return err
	}
	return listener.Close()
}

func address(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }
