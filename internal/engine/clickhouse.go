package engine

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"syscall"

	"github.com/ClickHouse/clickhouse-go/v2"
)

// ClickHouseOptions says which ClickHouse to start, and where. The zero value is a temporary one of the default
// version.
type ClickHouseOptions struct {
	Version    string            // year and month; "" is DefaultClickHouse
	Dir        string            // folder of its data and log, kept; "" is a temporary one
	Port       int               // native protocol; 0 is any free one
	HTTPPort   int               // 0 is any free one
	ConfigFile string            // configuration (XML) that is merged over ours, as in config.d
	Settings   map[string]string // elements of the server's configuration, over both; a/b is element b within a
	Progress   io.Writer         // told when something is fetched; may be nil
}

// ClickHouse is a running ClickHouse on 127.0.0.1. Its user default needs no password.
type ClickHouse struct {
	server
	library        string
	port, httpPort int
	// inner, innerHTTP are where clickhouse-local itself listens, behind the relays of tidemark-engine.
	inner, innerHTTP int
	options          ClickHouseOptions
}

// StartClickHouse starts a ClickHouse and returns when it answers. An existing data folder is used as it is.
//
// It is the server's engine within clickhouse-local. Where that differs from the server by configuration alone, the
// server's is set; what remains: no interserver port (so no replicated tables), no query cache, no query_log, and
// parallel replicas crash.
func StartClickHouse(ctx context.Context, o ClickHouseOptions) (*ClickHouse, error) {
	if o.Version == "" {
		o.Version = DefaultClickHouse
	}
	r, err := findRelease(clickHouseReleases, "ClickHouse", o.Version)
	if err != nil {
		return nil, err
	}
	dir, err := fetch(ctx, r, o.Progress)
	if err != nil {
		return nil, err
	}
	c := &ClickHouse{library: filepath.Join(dir, "libchdb.so"), options: o}
	c.title = "ClickHouse " + o.Version
	c.quit = []syscall.Signal{syscall.SIGTERM}
	c.command, c.probe = c.describe, c.answers
	if err := c.place(o.Dir, "tidemark-clickhouse-"); err != nil {
		return nil, err
	}
	c.log = filepath.Join(c.dir, "clickhouse.log")
	if err := c.create(ctx); err != nil {
		return nil, errors.Join(err, c.discard())
	}
	return c, nil
}

func (c *ClickHouse) create(ctx context.Context) error {
	c.port, c.httpPort = c.options.Port, c.options.HTTPPort
	if err := c.choose(&c.port, &c.httpPort, &c.inner, &c.innerHTTP); err != nil {
		return err
	}
	return c.Start(ctx)
}

// Port returns the TCP port of the native protocol.
func (c *ClickHouse) Port() int { return c.port }

// HTTPPort returns the TCP port of the HTTP protocol.
func (c *ClickHouse) HTTPPort() int { return c.httpPort }

// DSN returns the connection string of a database as user default.
func (c *ClickHouse) DSN(database string) string {
	dsn := url.URL{Scheme: "clickhouse", User: url.User("default"), Host: address(c.port), Path: "/" + database}
	return dsn.String()
}

func (c *ClickHouse) data() string { return filepath.Join(c.dir, "data") }

// startSQL opens the ports, which clickhouse-local does on demand only.
const startSQL = "SYSTEM START LISTEN TCP;\nSYSTEM START LISTEN HTTP;\n"

func (c *ClickHouse) describe(ctx context.Context) (command, error) {
	program, err := Program(ctx)
	if err != nil {
		return command{}, err
	}
	start := filepath.Join(c.dir, "start.sql")
	config, err := c.configure()
	if err == nil {
		err = os.WriteFile(start, []byte(startSQL), 0o644)
	}
	if err != nil {
		return command{}, fmt.Errorf("write configuration: %w", err)
	}
	return command{
		path: program,
		args: []string{
			"clickhouse", c.library,
			"-relay", fmt.Sprintf("%d=%d", c.port, c.inner), "-relay", fmt.Sprintf("%d=%d", c.httpPort, c.innerHTTP),
			"--config-file", config, "--log-level", "information",
			// clickhouse-local is laxer than the server here.
			"--implicit_select", "0", "--allow_introspection_functions", "0",
			// How soon an idle connection sees that the server stops; it would wait 5 seconds for one.
			"--poll_interval", "1",
			"--queries-file", start,
		},
		log: filepath.Join(c.dir, "clickhouse.out.log"), remove: c.removeTemp(),
	}, nil
}

// answers sees that the server on our native port is ours, not one that took the port first.
func (c *ClickHouse) answers(ctx context.Context) error {
	conn, err := clickhouse.Open(&clickhouse.Options{Addr: []string{address(c.port)}, MaxOpenConns: 1, DialContext: dialBound(ctx)})
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	var paths []string
	if err := conn.QueryRow(ctx, "SELECT groupArray(path) FROM system.disks").Scan(&paths); err != nil {
		return err
	}
	if !slices.Contains(paths, c.data()+"/") {
		return fmt.Errorf("another server, of %v, listens on port %d", paths, c.port)
	}
	http, err := new(net.Dialer).DialContext(ctx, "tcp", address(c.httpPort))
	if err != nil {
		return err
	}
	return http.Close()
}

// dialBound closes its connections when ctx ends: the driver's handshake heeds no context, and what listens on the
// port may be something that never answers.
func dialBound(ctx context.Context) func(context.Context, string) (net.Conn, error) {
	return func(dial context.Context, address string) (net.Conn, error) {
		conn, err := new(net.Dialer).DialContext(dial, "tcp", address)
		if err == nil {
			context.AfterFunc(ctx, func() { _ = conn.Close() })
		}
		return conn, err
	}
}
