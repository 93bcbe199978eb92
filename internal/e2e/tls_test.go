package e2e

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/jackc/pgx/v5"

	"github.com/tidemark-db/tidemark/internal/engine"
	"github.com/tidemark-db/tidemark/internal/rig"
)

// authority issues certificates.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	pem  []byte
}

func newAuthority(t *testing.T, name string) *authority {
	t.Helper()
	a := &authority{}
	a.cert = &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	a.key, a.pem = a.sign(t, a.cert, a.cert, nil)
	return a
}

// sign returns a new key and its certificate; a nil issuer signs itself.
func (a *authority) sign(t *testing.T, template, parent *x509.Certificate, issuer *ecdsa.PrivateKey) (*ecdsa.PrivateKey, []byte) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	if issuer == nil {
		issuer = key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, issuer)
	if err != nil {
		t.Fatal(err)
	}
	return key, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}

// issue writes the certificate of a host and its key into a folder, for whoever owns that.
func (a *authority) issue(t *testing.T, host, dir string) (certFile, keyFile string) {
	t.Helper()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: host}, DNSNames: []string{host}, NotBefore: time.Now().Add(-time.Hour),
		NotAfter: time.Now().Add(time.Hour), KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	key, cert := a.sign(t, template, a.cert, a.key)
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	keyPEM := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
	certFile, keyFile = filepath.Join(dir, "server.crt"), filepath.Join(dir, "server.key")
	info, err := os.Stat(dir)
	if err != nil {
		t.Fatal(err)
	}
	owner, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		t.Fatal("no owner")
	}
	for file, text := range map[string][]byte{certFile: cert, keyFile: keyPEM} {
		if err := os.WriteFile(file, text, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chown(file, int(owner.Uid), int(owner.Gid)); err != nil {
			t.Fatal(err)
		}
	}
	return certFile, keyFile
}

// TestTLS has both servers speak TLS with certificates of an authority of its own for the host localhost, and sees that a
// bridge talks to them, and to nobody else.
func TestTLS(t *testing.T) {
	dir := t.TempDir()
	ours, others := newAuthority(t, "ours"), newAuthority(t, "others")
	trusted, foreign := filepath.Join(dir, "ours.pem"), filepath.Join(dir, "others.pem")
	for file, a := range map[string]*authority{trusted: ours, foreign: others} {
		if err := os.WriteFile(file, a.pem, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	target := rig.New(t, servers) // its databases in ClickHouse
	pg := securePostgres(t, ours)
	port := secureClickHouse(t, ours)
	config := func(host, rootCert string) string {
		return write(t, fmt.Sprintf(`source:
  dsn: postgres://postgres@%s:%d/postgres?sslmode=verify-full&sslrootcert=%s
clickhouse:
  dsn: clickhouse://default@%s:%d/%s?secure=true
http: {listen: ""}
tables:
  public.sales: {date_column: at}
`, host, pg.Port(), rootCert, host, port, target.Name))
	}
	good := config("localhost", trusted)
	if code, said := tidemarkTrusting(t, trusted, "check", "-c", good); code != 0 {
		t.Fatalf("with the right certificates check says %s", said)
	}
	loadsOverTLS(t, pg, good, trusted)
	for _, c := range []struct{ name, file, trust, want string }{
		{"wrong authority", config("localhost", foreign), foreign, "certificate signed by unknown authority"},
		{"wrong host", config("127.0.0.1", trusted), trusted, "cannot validate certificate for 127.0.0.1"},
	} {
		code, said := tidemarkTrusting(t, c.trust, "check", "-c", c.file)
		if code != 1 || strings.Count(said, c.want) != 2 || !strings.Contains(said, "ClickHouse at ") || !strings.Contains(said, "PostgreSQL at ") {
			t.Errorf("%s: exit code %d, want 1 and %q of both servers:\n%s", c.name, code, c.want, said)
		}
	}
}

// tidemarkTrusting runs a command that trusts the authorities of a file and no other.
func tidemarkTrusting(t *testing.T, authorities string, args ...string) (code int, said string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), rig.Binary(t), args...)
	cmd.Env = append(os.Environ(), "SSL_CERT_FILE="+authorities, "SSL_CERT_DIR=/nonexistent")
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	_ = cmd.Run() // the exit code tells
	return cmd.ProcessState.ExitCode(), out.String()
}

// loadsOverTLS runs a bridge until the views hold what PostgreSQL has, and sees that all its sessions were encrypted.
func loadsOverTLS(t *testing.T, pg *engine.Postgres, file, trusted string) {
	t.Helper()
	cmd := exec.Command(rig.Binary(t), "run", "-c", file)
	cmd.Env = append(os.Environ(), "SSL_CERT_FILE="+trusted)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	var log bytes.Buffer
	cmd.Stderr = &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	conn, err := pgx.Connect(t.Context(), pg.DSN("postgres"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	var lsn string
	if err := conn.QueryRow(t.Context(), "SELECT pg_current_wal_lsn()").Scan(&lsn); err != nil {
		t.Fatal(err)
	}
	// Before the first start there is no mark to wait for.
	deadline := time.Now().Add(time.Minute)
	code, said := 1, ""
	for code != 0 && time.Now().Before(deadline) {
		code, said = tidemarkTrusting(t, trusted, "wait", "-c", file, "--lsn", lsn, "--timeout", "10s")
	}
	var plain, encrypted int
	err = conn.QueryRow(t.Context(), `SELECT count(*) FILTER (WHERE NOT ssl), count(*) FILTER (WHERE ssl) FROM pg_stat_ssl
		JOIN pg_stat_activity USING (pid) WHERE application_name LIKE 'tidemark%'`).Scan(&plain, &encrypted)
	if err != nil || plain > 0 || encrypted == 0 {
		t.Errorf("%d sessions are plain, %d encrypted, %v", plain, encrypted, err)
	}
	_ = cmd.Process.Signal(syscall.SIGTERM)
	if err := cmd.Wait(); err != nil || code != 0 {
		t.Errorf("run ended with %v, wait with %d: %s\n%s", err, code, said, log.String())
	}
}

func securePostgres(t *testing.T, a *authority) *engine.Postgres {
	t.Helper()
	pg, err := engine.StartPostgres(t.Context(), engine.PostgresOptions{Progress: os.Stderr})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = pg.Stop(t.Context()) })
	cert, key := a.issue(t, "localhost", filepath.Join(pg.Dir(), "data"))
	conn, err := pgx.Connect(t.Context(), pg.DSN("postgres"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	for _, statement := range []string{
		"ALTER SYSTEM SET ssl_cert_file = '" + cert + "'", "ALTER SYSTEM SET ssl_key_file = '" + key + "'", "ALTER SYSTEM SET ssl = on", "SELECT pg_reload_conf()",
		salesTable, "CREATE PUBLICATION tidemark FOR TABLE sales",
	} {
		if _, err := conn.Exec(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
	}
	return pg
}

// secureClickHouse returns a port at which ClickHouse speaks TLS: clickhouse-local does not, so something before it does.
func secureClickHouse(t *testing.T, a *authority) (port int) {
	t.Helper()
	target, err := clickhouse.ParseDSN(servers.AdminDSN())
	if err != nil {
		t.Fatal(err)
	}
	cert, err := tls.LoadX509KeyPair(a.issue(t, "localhost", t.TempDir()))
	if err != nil {
		t.Fatal(err)
	}
	listener, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12})
	if err != nil {
		t.Fatal(err)
	}
	var connections sync.WaitGroup
	connections.Go(func() { // ends when the listener is closed
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			connections.Go(func() { relay(conn, target.Addr[0]) })
		}
	})
	t.Cleanup(func() { _ = listener.Close(); connections.Wait() })
	_, text, err := net.SplitHostPort(listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	if port, err = strconv.Atoi(text); err != nil {
		t.Fatal(err)
	}
	return port
}

// relay hands on what a connection says until either side closes.
func relay(conn net.Conn, address string) {
	defer func() { _ = conn.Close() }()
	server, err := net.Dial("tcp", address)
	if err != nil {
		return
	}
	defer func() { _ = server.Close() }()
	ended := make(chan struct{}, 2)
	for _, way := range [][2]net.Conn{{conn, server}, {server, conn}} {
		go func() { // ends with either connection; awaited below
			_, _ = io.Copy(way[0], way[1])
			_, _ = way[0].Close(), way[1].Close()
			ended <- struct{}{}
		}()
	}
	<-ended
	<-ended
}
