package engine

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"github.com/jackc/pgx/v5"

	"github.com/tidemark-db/tidemark/internal/fault"
)

// PostgresOptions says which PostgreSQL to start, and where. The zero value is a temporary one of the default version.
type PostgresOptions struct {
	Version  string            // major version; "" is DefaultPostgres
	Dir      string            // folder of its data and log, kept; "" is a temporary one
	Port     int               // 0 is any free one
	Settings map[string]string // parameters of postgresql.conf, on top of ours
	Progress io.Writer         // told when something is fetched; may be nil
}

// Postgres is a running PostgreSQL on 127.0.0.1. Its superuser postgres needs no password.
type Postgres struct {
	server
	bin      string
	port     int
	account  *syscall.Credential
	settings map[string]string
}

// StartPostgres starts a PostgreSQL that is ready for logical replication, and returns when it answers. An existing
// data folder of the same major version is used as it is.
func StartPostgres(ctx context.Context, o PostgresOptions) (*Postgres, error) {
	if o.Version == "" {
		o.Version = DefaultPostgres
	}
	bin, err := BinDir(ctx, o.Version, o.Progress)
	if err != nil {
		return nil, err
	}
	account, err := postgresAccount()
	if err != nil {
		return nil, err
	}
	p := &Postgres{bin: bin, account: account, settings: o.Settings}
	p.title = "PostgreSQL " + o.Version
	// Fast shutdown first; it waits for walsenders whose consumers are stuck, immediate shutdown does not.
	p.quit = []syscall.Signal{syscall.SIGINT, syscall.SIGQUIT}
	p.command, p.probe = p.describe, p.answers
	if err := p.place(o.Dir, "tidemark-postgres-"); err != nil {
		return nil, err
	}
	p.log = filepath.Join(p.dir, "postgres.log")
	if err := p.create(ctx, o); err != nil {
		return nil, errors.Join(err, p.discard())
	}
	return p, nil
}

// create makes the cluster where there is none, and starts it on a port that it gets.
func (p *Postgres) create(ctx context.Context, o PostgresOptions) error {
	if err := giveTo(p.account, p.dir, p.bin); err != nil {
		return err
	}
	if err := p.initialize(ctx, o.Version); err != nil {
		return err
	}
	p.port = o.Port
	if err := p.choose(&p.port); err != nil {
		return err
	}
	return p.Start(ctx)
}

// BinDir returns the folder of a PostgreSQL version's programs: postgres, initdb and pg_ctl.
func BinDir(ctx context.Context, version string, progress io.Writer) (string, error) {
	r, err := findRelease(postgresReleases, "PostgreSQL", version)
	if err != nil {
		return "", err
	}
	dir, err := fetch(ctx, r, progress)
	if err != nil {
		return "", err
	}
	return filepath.Join(dir, "native", "bin"), nil
}

// Port returns the TCP port.
func (p *Postgres) Port() int { return p.port }

// DSN returns the connection string of a database as superuser.
func (p *Postgres) DSN(database string) string {
	dsn := url.URL{Scheme: "postgres", User: url.User("postgres"), Host: address(p.port), Path: "/" + database, RawQuery: "sslmode=disable"}
	return dsn.String()
}

func (p *Postgres) data() string { return filepath.Join(p.dir, "data") }

// initialize runs initdb unless the folder holds a cluster already, whose version it checks.
func (p *Postgres) initialize(ctx context.Context, version string) error {
	found, err := os.ReadFile(filepath.Join(p.data(), "PG_VERSION"))
	if err == nil {
		if had := strings.TrimSpace(string(found)); had != version {
			return fault.New("name another folder, or start PostgreSQL "+had,
				"start PostgreSQL %s: %s holds data of PostgreSQL %s", version, p.data(), had)
		}
		return nil
	}
	if err := os.RemoveAll(p.data()); err != nil { // what an initdb that was killed left
		return fmt.Errorf("clear data folder: %w", err)
	}
	return p.initdb(ctx)
}

// initdb makes the cluster beside its place and moves it there, so that a data folder is whole or absent.
func (p *Postgres) initdb(ctx context.Context) error {
	fresh := p.data() + ".new"
	if err := os.RemoveAll(fresh); err != nil {
		return fmt.Errorf("clear data folder: %w", err)
	}
	said := fileSize(p.log)
	proc, err := startProcess(ctx, command{
		path: filepath.Join(p.bin, "initdb"),
		args: []string{
			"-D", fresh, "-U", "postgres", "--auth=trust", "--encoding=UTF8", "--locale=C",
			"--no-sync", "--no-instructions",
		},
		account: p.account, log: p.log, remove: p.removeTemp(),
	})
	if err == nil {
		err = proc.complete(ctx)
	}
	if err != nil {
		return fault.New(p.logTry(), "initdb of %s: %w%s", p.title, err, logTail(p.log, said))
	}
	conf := "\n# rewritten at every start\ninclude 'tidemark.conf'\n"
	if err := appendFile(filepath.Join(fresh, "postgresql.conf"), conf); err != nil {
		return fmt.Errorf("configure %s: %w", p.title, err)
	}
	if err := os.Rename(fresh, p.data()); err != nil {
		return fmt.Errorf("create data folder: %w", err)
	}
	return nil
}

// describe writes our parameters to a file of their own rather than to the command line, so that ALTER SYSTEM and a
// reload can change them.
func (p *Postgres) describe(context.Context) (command, error) {
	conf := filepath.Join(p.data(), "tidemark.conf")
	if err := os.WriteFile(conf, []byte(p.configuration()), 0o644); err != nil {
		return command{}, fmt.Errorf("write configuration: %w", err)
	}
	return command{
		path: filepath.Join(p.bin, "postgres"), args: []string{"-D", p.data()},
		account: p.account, log: p.log, remove: p.removeTemp(),
	}, nil
}

func (p *Postgres) configuration() string {
	settings := map[string]string{
		"listen_addresses":        "127.0.0.1",
		"port":                    strconv.Itoa(p.port),
		"unix_socket_directories": p.socketDir(),
		"wal_level":               "logical",
		"max_wal_senders":         "20",
		"max_replication_slots":   "20",
		"timezone":                "UTC",
		"log_timezone":            "UTC",
	}
	maps.Copy(settings, p.settings)
	var text strings.Builder
	for _, name := range slices.Sorted(maps.Keys(settings)) {
		fmt.Fprintf(&text, "%s = '%s'\n", name, strings.ReplaceAll(settings[name], "'", "''"))
	}
	return text.String()
}

// socketDir is the server's folder, unless the path of a socket in it would exceed what the kernel takes.
func (p *Postgres) socketDir() string {
	const most = 107
	if len(filepath.Join(p.dir, ".s.PGSQL.65535.lock")) > most {
		return ""
	}
	return p.dir
}

// answers sees that the server on our port is ours, not one that took the port first.
func (p *Postgres) answers(ctx context.Context) error {
	conn, err := pgx.Connect(ctx, p.DSN("postgres"))
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(ctx) }()
	var data string
	if err := conn.QueryRow(ctx, "SHOW data_directory").Scan(&data); err != nil {
		return err
	}
	if data != p.data() {
		return fmt.Errorf("another server, of %s, listens on port %d", data, p.port)
	}
	return nil
}

func appendFile(path, text string) (err error) {
	file, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	_, err = file.WriteString(text)
	return err
}
