package engine

import (
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
	portTries = 5 // starts of one server, each on other ports
)

// freePort returns a port of 127.0.0.1 on which nobody listens now. Another process may take it before it is used, so
// who starts a server on it looks at portTaken when that fails, and tries again.
func freePort() (int, error) {
	var err error
	for range 100 {
		port := firstPort + rand.IntN(lastPort-firstPort)
		if err = listenOnce(port); err == nil {
			return port, nil
		}
	}
	return 0, fmt.Errorf("find a free port: %w", err)
}

func portTaken(port int) bool { return listenOnce(port) != nil }

func listenOnce(port int) error {
	listener, err := net.Listen("tcp", address(port))
	if err != nil {
		return err
	}
	return listener.Close()
}

func address(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }

// startOnFreePort calls start with the given port, or, where it is 0, with a free one, again as long as it fails and
// somebody else has that port.
func startOnFreePort(port int, start func(port int) error) error {
	if port != 0 {
		return start(port)
	}
	var err error
	for range portTries {
		if port, err = freePort(); err != nil {
			return err
		}
		if err = start(port); err == nil || !portTaken(port) {
			return err
		}
	}
	return err
}
