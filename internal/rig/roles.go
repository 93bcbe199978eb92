package rig

import (
	"encoding/xml"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/tidemark-db/tidemark/deploy"
)

// The user that bridges work as, and the one that queries their views: those of deploy/*-roles.sql.
const (
	bridgeUser = "tidemark"
	readerUser = "reader"
	readerRole = "tidemark_reader"
)

// BridgePassword is that of the bridges' user in ClickHouse, so that every test has a secret to give away.
const BridgePassword = "canaryTarget8642"

// mostRigs is how many rigs of one test binary have grants in ClickHouse.
const mostRigs = 250

// users is a configuration of ClickHouse's users.
type users struct {
	XMLName  xml.Name `xml:"clickhouse"`
	Profiles struct{} `xml:"profiles>default"`
	Quotas   struct{} `xml:"quotas>default"`
	Default  user     `xml:"users>default"`
	Bridge   user     `xml:"users>tidemark"`
	Reader   user     `xml:"users>reader"`
}

type user struct {
	Password string   `xml:"password"`
	Network  string   `xml:"networks>ip"`
	Profile  string   `xml:"profile"`
	Quota    string   `xml:"quota"`
	Grants   *queries `xml:"grants"` // nil: everything
}

type queries struct {
	Query []string `xml:"query"`
}

func newUser(grants *queries) user {
	return user{Network: "127.0.0.1", Profile: "default", Quota: "default", Grants: grants}
}

// writeUsers writes the users of a server on which CREATE USER is refused: who administers the tests, a bridge with what
// deploy/clickhouse-roles.sql grants it on the databases of each rig, and a reader with what it grants to readers.
func writeUsers(dir string) (string, error) {
	u := users{Default: newUser(nil), Bridge: newUser(&queries{grants(bridgeUser)}), Reader: newUser(&queries{grants(readerRole)})}
	u.Bridge.Password = BridgePassword
	text, err := xml.Marshal(u)
	if err != nil {
		return "", fmt.Errorf("write users: %w", err)
	}
	path := filepath.Join(dir, "users.xml")
	return path, os.WriteFile(path, text, 0o644)
}

var grantStatement = regexp.MustCompile(`(?m)^(GRANT [^;]*) TO (\w+);`)

// grants are the statements that grant something to a user or role, for the databases of every rig in place of shop.
func grants(to string) (out []string) {
	for _, found := range grantStatement.FindAllStringSubmatch(deploy.Read("clickhouse-roles.sql"), -1) {
		switch statement := found[1]; {
		case found[2] != to:
		case !strings.Contains(statement, " shop"):
			out = append(out, statement)
		default:
			for i := range mostRigs {
				out = append(out, strings.Replace(statement, " shop", " "+rigName(int64(i)), 1))
			}
		}
	}
	return out
}

// grantSource makes the role of bridges and gives it what deploy/postgres-roles.sql does; and, as a test publishes tables
// whenever it likes, the tables to come.
func (r *Rig) grantSource(admin *pgxpool.Pool) {
	r.t.Helper()
	creation.Lock() // two at once would both find that there is no role
	defer creation.Unlock()
	_, err := admin.Exec(r.t.Context(), deploy.Read("postgres-roles.sql"))
	r.must(err)
	for _, statement := range []string{
		"ALTER DEFAULT PRIVILEGES GRANT USAGE ON SCHEMAS TO tidemark",
		"ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO tidemark",
	} {
		_, err := r.PG.Exec(r.t.Context(), statement)
		r.must(err)
	}
}

// as puts a user in the place of a DSN's own.
func as(user, dsn string) string {
	scheme, rest, _ := strings.Cut(dsn, "://")
	_, address, _ := strings.Cut(rest, "@")
	return scheme + "://" + user + "@" + address
}
