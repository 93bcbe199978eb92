package cdc

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pglogrepl"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/tidemark-db/tidemark/internal/failpoint"
	"github.com/tidemark-db/tidemark/internal/fault"
)

// Config says which history to read.
type Config struct {
	DSN             string // libpq URL or keyword string
	Publication     string
	Slot            string
	ApplicationName string // "tidemark" if empty

	Hook failpoint.Hook // nil but for tests
}

// Identity names a source history. LSNs of two histories must not be compared, so it is compared at every start.
type Identity struct {
	SystemID string
	Timeline int32
	Database string
	Slot     string
}

const (
	connectTimeout = 10 * time.Second
	keepAlive      = 15 * time.Second
	replBuffer     = 256 << 10

	// cleanupTimeout bounds what still runs after the caller's context has ended.
	cleanupTimeout = 10 * time.Second
)

// pinned are the settings on which the text of a value, or the life of a session, depends. They travel in the startup
// packet, which beats ALTER DATABASE SET and ALTER ROLE SET: the stream and a copy print a value alike, whatever the
// owner of the database sets between the two.
var pinned = map[string]string{
	"datestyle":                           "ISO, YMD",
	"intervalstyle":                       "postgres",
	"timezone":                            "UTC",
	"extra_float_digits":                  "3",
	"bytea_output":                        "hex",
	"client_encoding":                     "UTF8",
	"lc_monetary":                         "C",
	"quote_all_identifiers":               "off",
	"standard_conforming_strings":         "on",
	"search_path":                         "pg_catalog",
	"row_security":                        "off", // hidden rows are an error, not a smaller table
	"default_transaction_isolation":       "read committed",
	"default_transaction_deferrable":      "off",
	"statement_timeout":                   "0",
	"idle_in_transaction_session_timeout": "0",
	"idle_session_timeout":                "0",
	"client_min_messages":                 "warning", // Stream.notice needs them
	"lock_timeout":                        "60s",     // behind an ACCESS EXCLUSIVE lock
}

// Connect opens an ordinary session with every text setting pinned.
func Connect(ctx context.Context, cfg Config) (*pgx.Conn, error) {
	config, err := parseDSN(cfg)
	if err != nil {
		return nil, err
	}
	conn, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return nil, connectFault(ctx, &config.Config, err)
	}
	if err := settle(ctx, conn.PgConn()); err != nil {
		closeConn(ctx, conn)
		return nil, err
	}
	return conn, nil
}

// replConn is a replication session. buffered tells how many bytes have been received and not yet returned by its
// frontend.
type replConn struct {
	*pgconn.PgConn
	buffer *bufio.Reader
}

func (c *replConn) buffered() int { return c.buffer.Buffered() + c.Frontend().ReadBufferLen() }

// connectReplication opens a walsender session on the configured database, with the same settings pinned.
func connectReplication(ctx context.Context, cfg Config) (*replConn, error) {
	config, err := parseDSN(cfg)
	if err != nil {
		return nil, err
	}
	rc := &replConn{}
	config.RuntimeParams["replication"] = "database"
	// Creating a slot waits for other transactions by their locks; the caller's context bounds that.
	config.RuntimeParams["lock_timeout"] = "0"
	config.BuildFrontend = func(r io.Reader, w io.Writer) *pgproto3.Frontend {
		rc.buffer = bufio.NewReaderSize(r, replBuffer)
		return pgproto3.NewFrontend(rc.buffer, w)
	}
	rc.PgConn, err = pgconn.ConnectConfig(ctx, &config.Config)
	if err != nil {
		return nil, connectFault(ctx, &config.Config, err)
	}
	if err := settle(ctx, rc.PgConn); err != nil {
		rc.end()
		return nil, err
	}
	return rc, nil
}

// end closes the session.
func (c *replConn) end() { closePgConn(context.Background(), c.PgConn) }

// closeConn closes conn, also after ctx has ended.
func closeConn(ctx context.Context, conn *pgx.Conn) { closePgConn(ctx, conn.PgConn()) }

// closePgConn waits a little for the server's side, and for pgconn's own goroutine, which cancels the statement of a
// session that broke off.
func closePgConn(ctx context.Context, conn *pgconn.PgConn) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanupTimeout)
	defer cancel()
	_ = conn.Close(ctx)
	select {
	case <-conn.CleanupDone():
	case <-ctx.Done():
	}
}

func parseDSN(cfg Config) (*pgx.ConnConfig, error) {
	config, err := pgx.ParseConfig(cfg.DSN)
	if err != nil {
		// The parser's own message may quote any part of the string, the password too.
		return nil, fault.New("write it as postgres://user@host:5432/database, special characters percent-encoded; the password may come from PGPASSWORD or a PGPASSFILE",
			"source.dsn is not a valid connection string, or a file it names cannot be read")
	}
	for name := range config.RuntimeParams {
		if _, ok := pinned[strings.ToLower(name)]; ok {
			delete(config.RuntimeParams, name)
		}
	}
	for name, value := range pinned {
		config.RuntimeParams[name] = value
	}
	config.RuntimeParams["application_name"] = "tidemark"
	if cfg.ApplicationName != "" {
		config.RuntimeParams["application_name"] = cfg.ApplicationName
	}
	if config.ConnectTimeout == 0 {
		config.ConnectTimeout = connectTimeout
	}
	config.DialFunc = (&net.Dialer{Timeout: config.ConnectTimeout, KeepAlive: keepAlive}).DialContext
	return config, nil
}

// settle pins what depends on the server, and so cannot be in the startup packet.
func settle(ctx context.Context, conn *pgconn.PgConn) error {
	if err := takeBytes(ctx, conn); err != nil {
		return err
	}
	return endTransactionTimeout(ctx, conn)
}

// takeBytes has the server send text as it is from a database in SQL_ASCII, of whose characters PostgreSQL knows nothing: a
// client in UTF8 would get an error for every value, in a copy or in the stream, that happens not to be UTF-8.
func takeBytes(ctx context.Context, conn *pgconn.PgConn) error {
	if conn.ParameterStatus("server_encoding") != "SQL_ASCII" {
		return nil
	}
	if _, err := conn.Exec(ctx, "SET client_encoding = 'SQL_ASCII'").ReadAll(); err != nil {
		return fmt.Errorf("set client_encoding: %w", err)
	}
	return nil
}

// endTransactionTimeout pins what PostgreSQL knows only since version 17, so that it cannot be in the startup packet.
func endTransactionTimeout(ctx context.Context, conn *pgconn.PgConn) error {
	if majorVersion(conn) < 17 {
		return nil
	}
	if _, err := conn.Exec(ctx, "SET transaction_timeout = 0").ReadAll(); err != nil {
		return fmt.Errorf("set transaction_timeout: %w", err)
	}
	return nil
}

// majorVersion of the server, 0 if it does not say.
func majorVersion(conn *pgconn.PgConn) int {
	text := conn.ParameterStatus("server_version")
	end := strings.IndexFunc(text, func(r rune) bool { return r < '0' || r > '9' })
	if end >= 0 {
		text = text[:end]
	}
	n, _ := strconv.Atoi(text)
	return n
}

// identify asks a replication session whose history it reads, and where its end is.
func identify(ctx context.Context, conn *replConn, cfg Config) (Identity, LSN, error) {
	sys, err := pglogrepl.IdentifySystem(ctx, conn.PgConn)
	if err != nil {
		return Identity{}, 0, fmt.Errorf("identify system: %w", err)
	}
	return Identity{SystemID: sys.SystemID, Timeline: sys.Timeline, Database: sys.DBName, Slot: cfg.Slot}, sys.XLogPos, nil
}

// ReadIdentity returns the identity of the source and the end of its WAL.
func ReadIdentity(ctx context.Context, cfg Config) (Identity, LSN, error) {
	conn, err := connectReplication(ctx, cfg)
	if err != nil {
		return Identity{}, 0, err
	}
	defer conn.end()
	return identify(ctx, conn, cfg)
}

// sqlState returns the SQLSTATE of err, or "".
func sqlState(err error) string {
	var pg *pgconn.PgError
	if errors.As(err, &pg) {
		return pg.Code
	}
	return ""
}

// connectFault turns a failed connection attempt into one line that names the server but never the password.
func connectFault(ctx context.Context, config *pgconn.Config, err error) error {
	if ctx.Err() != nil && errors.Is(err, ctx.Err()) {
		return fmt.Errorf("connect to PostgreSQL at %s: %w", address(config), ctx.Err())
	}
	var pg *pgconn.PgError
	if !errors.As(err, &pg) {
		return &fault.Error{
			What: fmt.Sprintf("PostgreSQL at %s cannot be reached: %s", address(config), oneLine(reason(err))),
			Try:  "check host, port and sslmode in source.dsn, and that the server listens there", Err: err,
		}
	}
	what := fmt.Sprintf("PostgreSQL at %s refuses %q on database %q: %s (SQLSTATE %s)", address(config), config.User,
		config.Database, oneLine(pg.Message), pg.Code)
	return &fault.Error{What: what, Try: connectRemedy(pg.Code), Err: pg}
}

func connectRemedy(code string) string {
	switch code {
	case "28P01":
		return "check user and password: in source.dsn, PGPASSWORD or the PGPASSFILE"
	case "28000":
		return "check the role's LOGIN right and the server's pg_hba.conf, for ordinary and replication connections"
	case "3D000":
		return "check the database name in source.dsn"
	case "42501":
		return "let a superuser run ALTER ROLE … REPLICATION and GRANT CONNECT"
	case "42704":
		return "tidemark needs PostgreSQL 14 or newer"
	case "53300":
		return "raise max_connections or max_wal_senders, or end idle sessions"
	case "57P03":
		return "wait until the server has started"
	}
	return "see the server's log"
}

func address(config *pgconn.Config) string {
	return net.JoinHostPort(config.Host, strconv.Itoa(int(config.Port)))
}

// reason is the innermost cause that still says something, without the wrapping that repeats the address.
func reason(err error) string {
	var op *net.OpError
	if errors.As(err, &op) {
		return op.Err.Error()
	}
	var connect *pgconn.ConnectError
	if errors.As(err, &connect) && connect.Unwrap() != nil {
		return connect.Unwrap().Error()
	}
	return err.Error()
}

func oneLine(s string) string { return strings.Join(strings.Fields(s), " ") }
