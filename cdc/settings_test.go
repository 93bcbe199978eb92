package cdc

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"
)

// Failure 49: whatever the database's owner sets, the stream and the copy print the same text.
func TestTextSettingsArePinned(t *testing.T) {
	onEach(t, func(s *source) {
		s.exec("CREATE TYPE mood AS ENUM ('so so')",
			`CREATE TABLE t (id int PRIMARY KEY, d date, ts timestamp, tz timestamptz, i interval, f float8, f4 float4, b bytea,
			 m money, x text, r regclass, n numeric, a timestamptz[], tr tstzrange, e mood)`,
			"CREATE PUBLICATION pub FOR TABLE t")
		const row = `'2024-02-03', '2024-02-03 04:05:06.789', '2024-07-03 04:05:06.789+02', '1 year 2 days -03:04:05', 0.1::float8 + 0.2,
			1.1::float4 / 3, '\x00ff5c', 12.5::money, 'ünï', 'public.t', 1.500, '{2024-01-01 00:00+00}', '[2024-01-01 00:00+00,)', 'so so'`
		const want = `|2024-02-03|2024-02-03 04:05:06.789|2024-07-03 02:05:06.789+00|1 year 2 days -03:04:05|0.30000000000000004|0.36666667|\x00ff5c` +
			`|$12.50|ünï|public.t|1.500|{"2024-01-01 00:00:00+00"}|["2024-01-01 00:00:00+00",)|so so`
		s.createSlot()
		s.exec("INSERT INTO t VALUES (1, " + row + ")")
		set := map[string]string{
			"datestyle": "'German, DMY'", "intervalstyle": "sql_standard", "timezone": "'America/New_York'", "extra_float_digits": "-10",
			"bytea_output": "escape", "client_encoding": "latin1", "quote_all_identifiers": "on", "search_path": "public",
			"standard_conforming_strings": "off", "statement_timeout": "'1ms'", "idle_in_transaction_session_timeout": "'1ms'",
			"idle_session_timeout": "'1ms'", "lock_timeout": "'1ms'", "row_security": "on", "default_transaction_isolation": "serializable",
		}
		if s.get("SELECT (current_setting('server_version_num')::int >= 170000)::text") == "true" {
			set["transaction_timeout"] = "'500ms'" // cannot be in the startup packet: the SET must get through
		}
		for name, value := range set {
			s.exec(fmt.Sprintf("ALTER DATABASE %s SET %s = %s", s.cfg.Slot, name, value))
			s.exec(fmt.Sprintf("ALTER ROLE postgres IN DATABASE %s SET %s = %s", s.cfg.Slot, name, value))
		}
		f := s.follow(0, StreamOptions{})
		s.equal("stream", showTuple(f.changes(1)[0].New), "1"+want)
		barrier := s.barrier()
		<-time.NewTimer(700 * time.Millisecond).C
		s.equal("copy", strings.Join(s.collect(barrier, CopyOptions{Table: s.table("public.t")}), "\n"), "1"+want)
		s.exec(fmt.Sprintf("SELECT pg_terminate_backend(%d)", f.stream.conn.PID()), "INSERT INTO t VALUES (2, "+row+")")
		_ = f.stop()
		f = s.follow(0, StreamOptions{})
		s.equal("stream", showTuple(f.changes(2)[1].New), "2"+want)
		for dsn, why := range map[string]string{"?datestyle=German&DateStyle=SQL": "parameters", "?options=-c%20datestyle%3DGerman": "options"} {
			cfg := s.cfg
			cfg.DSN = strings.Split(cfg.DSN, "?")[0] + dsn + "&sslmode=disable"
			conn, err := Connect(t.Context(), cfg)
			if err != nil {
				t.Fatal(err)
			}
			var style string
			err = conn.QueryRow(t.Context(), "SHOW datestyle").Scan(&style)
			closeConn(t.Context(), conn)
			if err != nil || style != "ISO, YMD" {
				t.Errorf("%s of the DSN: %q %v", why, style, err)
			}
		}
	})
}

// Failure 51.
func TestHostileNames(t *testing.T) {
	names := []string{
		"plain", "Mixed Case", `quo"te`, "apos'trophe", "back`tick", `back\slash`, "da-sh; DROP TABLE x --", "ünï ❄", "?", "$1", "select", "a.b", "%s", "tab\there",
		strings.Repeat("x", 63), "co,mma",
	}
	onEach(t, func(s *source) {
		for _, name := range names {
			s.cfg.Publication = name
			table, column := quoteName(name, name), quoteName(name)
			s.exec("CREATE SCHEMA "+quoteName(name), fmt.Sprintf("CREATE TABLE %s (%s text PRIMARY KEY, b int)", table, column),
				CreatePublication(name, nil)[:len("CREATE PUBLICATION ")+len(column)]+" FOR TABLE "+table)
			s.createSlot()
			if found := Preflight(t.Context(), s.cfg, []string{FullName(name, name)}); len(found) > 0 {
				t.Errorf("%s: preflight: %v", name, found)
			}
			f := s.follow(0, StreamOptions{})
			s.exec(fmt.Sprintf("INSERT INTO %s VALUES (%s)", table, quoteLiteral(name)))
			e := f.changes(1)[0]
			_ = f.stop()
			s.equal("stream of "+name, e.Relation.FullName()+" "+e.Relation.Columns[0].Name, FullName(name, name)+" "+name)
			described := s.table(FullName(name, name))
			s.equal("key of "+name, strings.Join(described.Key, ","), name)
			s.equal("copy of "+name, strings.Join(s.collect(s.barrier(), CopyOptions{Table: described}), "\n"), name+"|-")
			if err := DropSlot(t.Context(), s.cfg); err != nil {
				t.Fatal(err)
			}
		}
		s.cfg.Publication = "pub"
		s.exec("CREATE PUBLICATION pub FOR ALL TABLES")
		for _, slot := range []string{"Upper", `quo"te`, "da-sh", "", "a' TEMPORARY", strings.Repeat("x", 64)} {
			cfg := s.cfg
			cfg.Slot = slot
			if found := Preflight(t.Context(), cfg, nil); len(found) != 1 || !strings.Contains(found[0].Error(), "source.slot") {
				t.Errorf("slot %q: %v", slot, found)
			}
			if _, err := CreateSlot(t.Context(), cfg); err == nil {
				t.Errorf("slot %q was created", slot)
			}
		}
	})
}

// Failure 53: no error says the password.
func TestPasswordCanary(t *testing.T) {
	s := newSource(t, versions[0])
	s.createSlot()
	const canary = "c4n@ry/p:w?x#y"
	cfg := s.as("nobody", canary)
	unreachable := cfg
	unreachable.DSN = strings.Replace(cfg.DSN, fmt.Sprint(s.pg.Port()), "1", 1)
	wrongDatabase := s.as("postgres", canary)
	wrongDatabase.DSN = strings.Replace(wrongDatabase.DSN, "/"+s.cfg.Slot, "/absent", 1)
	unparsable := s.cfg
	unparsable.DSN = "postgres://user:" + canary + "@localhost/x"
	keywords := s.cfg
	keywords.DSN = "host=localhost port=x password='" + canary + "'"
	wrongHost := cfg
	wrongHost.DSN = strings.Replace(cfg.DSN, "127.0.0.1", "absent.invalid", 1)
	for name, cfg := range map[string]Config{
		"role": cfg, "port": unreachable, "database": wrongDatabase, "unparsable": unparsable, "keywords": keywords, "host": wrongHost,
	} {
		errs := Preflight(t.Context(), cfg, []string{"public.t"})
		for _, try := range []func() error{
			func() error { _, err := OpenStream(t.Context(), cfg, 0, StreamOptions{}); return err },
			func() error { _, err := OpenBarrier(t.Context(), cfg); return err },
			func() error { _, err := AcquireLock(t.Context(), cfg); return err },
			func() error { return DropSlot(t.Context(), cfg) },
			func() error { _, _, err := ReadIdentity(t.Context(), cfg); return err },
			func() error { _, err := CreateSlot(context.Background(), cfg); return err },
		} {
			errs = append(errs, try())
		}
		for _, err := range errs {
			if err == nil {
				t.Errorf("%s: no error", name)
				continue
			}
			text := fmt.Sprintf("%v %+v", err, err)
			if strings.Contains(text, "\n") || strings.Contains(text, canary) || strings.Contains(text, "c4n") || strings.Contains(text, "c4n%40ry") {
				t.Errorf("%s: %s", name, text)
			}
		}
		t.Logf("%s: %v", name, errs[0])
	}
}
