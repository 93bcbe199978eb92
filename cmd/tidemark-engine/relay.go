package main

import (
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
)

// relays stand between clients and clickhouse-local, which ends when a client's connection is reset, as by a client that
// is killed: its handler of errors in connections is made for a program that serves none. The server's is not. A relay
// turns a reset into the end of the stream.
//
// Each is given as PUBLIC=INTERNAL, two ports of 127.0.0.1.
func startRelays(specs []string) error {
	for _, spec := range specs {
		public, internal, ok := strings.Cut(spec, "=")
		if !ok {
			return fmt.Errorf("relay %q is not PUBLIC=INTERNAL", spec)
		}
		listener, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", public))
		if err != nil {
			return fmt.Errorf("listen for clients: %w", err)
		}
		go accept(listener, net.JoinHostPort("127.0.0.1", internal)) // ends with the process
	}
	return nil
}

func accept(listener net.Listener, internal string) {
	for {
		client, err := listener.Accept()
		if err != nil {
			return
		}
		go relay(client.(*net.TCPConn), internal) // ends with the connection
	}
}

// relay copies both ways until both sides have ended.
func relay(client *net.TCPConn, internal string) {
	defer func() { _ = client.Close() }()
	conn, err := net.Dial("tcp", internal)
	if err != nil {
		return // as if nobody listened
	}
	server := conn.(*net.TCPConn)
	defer func() { _ = server.Close() }()
	var both sync.WaitGroup
	both.Go(func() {
		_, _ = io.Copy(server, client)
		_ = server.CloseWrite() // also where the client was reset
	})
	both.Go(func() {
		if _, err := io.Copy(client, server); err != nil {
			// The client is gone; what the server still has to say is read, or closing would reset it.
			_, _ = io.Copy(io.Discard, server)
		}
		_ = client.CloseWrite()
	})
	both.Wait()
}
