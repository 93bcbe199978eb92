// Package config reads tidemark's configuration: a YAML file, TIDEMARK_* environment variables and --set flags become one
// checked *Config.
//
// It owns the keys, their defaults, how values are written, and every check that needs no server. It does not own
// what only a server can say (does the table exist, has it that column): that is `tidemark check`. It connects to
// nothing and starts nothing; besides the configuration it opens only what the PostgreSQL driver looks up for a
// connection string (password file, service file, certificates). The file is authoritative for the tables; a flag goes
// before the environment, the environment before the file, the file before the default.
//
// A key's path is its names joined by dots: limits.late_rows, tables.public.sales.rt_window. The environment variable
// of a path is TIDEMARK_ and the path in capitals, everything but letters and digits written as _:
// TIDEMARK_SOURCE_DSN, TIDEMARK_LIMITS_LATE_ROWS, TIDEMARK_TABLES_PUBLIC_SALES_RT_WINDOW. The environment changes the
// keys of a table that the file names; it adds none. A variable with _FILE at its end names a file that holds the value:
// TIDEMARK_CLICKHOUSE_DSN_FILE=/run/secrets/clickhouse_dsn.
//
// A table is named schema.table, exactly as PostgreSQL stores the name (nothing is folded to lower case). A part that
// holds a dot or a quote is put in double quotes, a quote inside it is doubled: "we.ird"."Tab".
//
// Load reports every fault of a configuration at once, as Faults, and never shows a password. To reload, call Load
// again: a configuration with a fault is refused whole and the old one stays as it is; Diff tells what changed.
package config

import (
	"os"
	"time"
)

// Config is a configuration without faults. It is not changed after Load.
type Config struct {
	Source     Source
	ClickHouse ClickHouse
	RTWindow   time.Duration // age at which a row settles; see also Table.RTWindow
	Tick       time.Duration // time between two marks
	SplitStep  time.Duration // the split date is a multiple of this
	Schedule   Schedules
	Verify     Verify
	Limits     Limits
	HTTP       HTTP
	OnBadValue BadValuePolicy
	Tables     []Table // in the order of the file

	values map[string]any // by path, for Diff
}

// Source is the PostgreSQL side. Database is the one that the DSN leads to.
type Source struct {
	DSN         DSN
	Database    string
	Publication string
	Slot        string
	TimeZone    TimeZone // of date columns without a zone of their own
}

// ClickHouse is the ClickHouse side. Database is the database that the DSN names.
type ClickHouse struct {
	DSN      DSN
	Database string
}

// Schedules say when work starts by itself.
type Schedules struct {
	Roll   Schedule
	Resync Schedule
	Verify Schedule
}

// Verify says what the scheduled comparison with PostgreSQL covers, and how fast it reads.
type Verify struct {
	Last          time.Duration // rows with dates this far back come first in each comparison, older ones in turn
	Repair        bool          // load what differs
	RowsPerSecond int64         // 0: no limit
}

// Limits bound what tidemark may use.
type Limits struct {
	MaxQueryAge       time.Duration // chunks that no mark lists are kept this long for running queries
	KeptBytes         ByteSize      // and take at most this
	MaxSnapshotAge    time.Duration // a load begins no piece under an older PostgreSQL snapshot
	LateRows          int64         // a resync starts by itself at this many late rows and masks of a table; 0: never
	CopyWorkers       int
	CopyRowsPerSecond int64 // 0 is no limit
}

// HTTP is the endpoint of a running bridge. An empty Listen is none.
type HTTP struct {
	Listen    string
	TokenFile string
	Pprof     bool // serve Go's profiles below /debug/pprof/, to whom jobs are allowed
}

// BadValuePolicy says what happens when a value does not fit its ClickHouse type.
type BadValuePolicy string

// What happens on a bad value: nothing further is published, or the view of that table throws.
const (
	Stop      BadValuePolicy = "stop"
	HoldTable BadValuePolicy = "hold_table"
)

// PartitionUnit is what HISTORIC is partitioned by.
type PartitionUnit string

// The partition units.
const (
	ByHour  PartitionUnit = "hour"
	ByDay   PartitionUnit = "day"
	ByMonth PartitionUnit = "month"
)

// Table is one published table.
type Table struct {
	Name        TableName
	DateColumn  string        // empty for a mirrored table
	OrderBy     []string      // empty means the table's key
	PartitionBy PartitionUnit // day unless set; empty for a mirrored table
	RTWindow    time.Duration // the table's own or Config.RTWindow
	Columns     Columns
	Aggregates  []Aggregate // in the order of the file

	KeepOlderThan time.Duration // deletes leave rows alone that are older than this; 0: they leave none
	ChangeFeed    time.Duration // changes are readable this long; 0: there is no feed
	Retain        time.Duration // partitions with no younger row are dropped; 0: none is
}

// Mirrored says that the table has no date column and so no split.
func (t *Table) Mirrored() bool { return t.DateColumn == "" }

// Columns are what is different from the default for some columns of a table.
type Columns struct {
	Exclude    []string
	Types      map[string]ColumnType // by column
	OutOfRange map[string]OutOfRange // by column
	Codecs     map[string]string     // by column: the arguments of CODEC
}

// ColumnType is the ClickHouse type of a column in place of the default.
type ColumnType struct {
	Type  string
	Lossy bool // it may be one that does not hold every value exactly
}

// OutOfRange is what becomes of a value that is beyond the range of its ClickHouse type.
type OutOfRange string

// The words for it: the nearest value of the type, or NULL.
const (
	Clamp OutOfRange = "clamp"
	Null  OutOfRange = "null"
)

// Aggregate is a declared aggregate of one table.
type Aggregate struct {
	Name     string
	By       []NamedExpr // keys, in the order of the file
	Measures []NamedExpr // one aggregate function call each
	Where    string

	OrderDependent bool // functions whose result depends on the order of rows are wanted all the same
}

// NamedExpr is a ClickHouse expression and the name of the column that holds it.
type NamedExpr struct {
	Name string
	Expr string
}

// Load reads the file at path and puts the environment and then flags (path of a key to its value) over it. env is
// os.LookupEnv unless given. The error, if any, is Faults.
func Load(path string, env func(string) (string, bool), flags map[string]string) (*Config, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, Faults{unreadable(path, err)}
	}
	if env == nil {
		env = os.LookupEnv
	}
	return Parse(path, text, env, flags)
}

// Parse is Load of a text; file is its name in faults.
func Parse(file string, text []byte, env func(string) (string, bool), flags map[string]string) (*Config, error) {
	r := newReader(file, env, flags)
	root := r.document(text)
	if len(r.faults) > 0 && root == nil {
		return nil, r.faults
	}
	c := defaults()
	r.config(c, root)
	r.check(c)
	r.unusedFlags()
	if len(r.faults) > 0 {
		return nil, r.faults.sorted()
	}
	c.values = r.values
	return c, nil
}

func defaults() *Config {
	return &Config{
		Source:    Source{Publication: "tidemark", Slot: "tidemark"},
		RTWindow:  30 * time.Minute,
		Tick:      time.Second,
		SplitStep: time.Minute,
		Schedule: Schedules{
			Roll:   mustSchedule("@every 1m"),
			Resync: mustSchedule("@hourly"),
			Verify: mustSchedule("@daily"),
		},
		Verify: Verify{Last: 24 * time.Hour, RowsPerSecond: 50_000},
		Limits: Limits{
			MaxQueryAge:    10 * time.Minute,
			KeptBytes:      50e9,
			MaxSnapshotAge: 10 * time.Minute,
			LateRows:       1_000_000,
			CopyWorkers:    2,
		},
		HTTP:       HTTP{Listen: "127.0.0.1:8642"},
		OnBadValue: Stop,
	}
}
