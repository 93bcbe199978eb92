package cdc

import (
	"time"
	"unsafe"

	"github.com/jackc/pglogrepl"
)

// LSN is a position in PostgreSQL's write-ahead log.
type LSN = pglogrepl.LSN

// ValueKind says what a Value holds.
type ValueKind byte

// The kinds of a Value, as pgoutput spells them.
const (
	Null      ValueKind = 'n'
	Unchanged ValueKind = 'u' // a TOASTed value that the UPDATE did not touch: the stream does not carry it
	Text      ValueKind = 't'
	Binary    ValueKind = 'b' // of a Copy that asked for it
)

// Value is one column of one row in PostgreSQL's text format, under the settings that Connect pins, or in its binary format.
// Most of what a bridge holds in memory, and of what its collector of garbage has to look at, are values: a slice, with a
// capacity that nobody needs, would make them twice as large.
type Value struct {
	Kind ValueKind
	size uint32 // PostgreSQL has no value of more than 1 GiB
	data *byte
}

// NewValue returns a value of a kind, which holds on to the bytes.
func NewValue(kind ValueKind, bytes []byte) Value {
	return Value{Kind: kind, size: uint32(len(bytes)), data: unsafe.SliceData(bytes)}
}

// Text is what the value's kind says it is: the bytes that NewValue was given.
func (v Value) Text() []byte { return unsafe.Slice(v.data, v.size) }

// Tuple is one row, in the order of Relation.Columns (in a stream) or of CopyOptions.Columns (in a copy).
type Tuple []Value

// RelationColumn is one published column as a Relation message describes it.
type RelationColumn struct {
	Name    string
	TypeOID uint32
	TypeMod int32
	Key     bool // part of the replica identity
}

// Relation is a table as the stream described it at that point of its history. The catalogue may meanwhile describe
// another one. A Stream makes a new *Relation whenever the description differs and keeps the pointer while it does
// not, so that comparing pointers tells a change.
type Relation struct {
	OID             uint32
	Schema, Name    string
	ReplicaIdentity byte // as in Table
	Columns         []RelationColumn

	fullName string // of a stream's, which is asked for it with every event
}

// FullName is the FullName of the relation's schema and name.
func (r *Relation) FullName() string {
	if r.fullName != "" {
		return r.fullName
	}
	return FullName(r.Schema, r.Name)
}

// Op is the operation of a Change.
type Op byte

// The operations.
const (
	Insert Op = 'I'
	Update Op = 'U'
	Delete Op = 'D'
)

// EventKind says what an Event is.
type EventKind byte

// The kinds of events. A transaction is one Begin, one or more Change and Truncate, one Commit, and nothing in between but
// Describe, which comes before the first change to a table, or to a partition, and before the first one after anything was
// done to its definition or its files. Progress stands only between transactions.
const (
	Begin EventKind = iota + 1
	Change
	Truncate
	Describe
	Commit
	Progress
)

func (k EventKind) String() string {
	switch k {
	case Begin:
		return "begin"
	case Change:
		return "change"
	case Truncate:
		return "truncate"
	case Describe:
		return "describe"
	case Commit:
		return "commit"
	case Progress:
		return "progress"
	}
	return "unknown"
}

// Event is one step of the stream.
type Event struct {
	Kind EventKind
	Op   Op // of a Change

	// OldFull: Old is the whole old row (REPLICA IDENTITY FULL). Otherwise only the key columns of Old are filled and
	// all others are Null, whatever they were.
	OldFull bool

	// LSN is, of Begin, Change, Truncate and Describe, the transaction's commit LSN (the start of its commit record): with
	// Ordinal it is the position of a change. Of Commit it is the transaction's end LSN, the position to go on from
	// and to confirm. Of Progress it is a position up to which everything published has been delivered.
	LSN LSN

	// Ordinal numbers the changes and truncates of one transaction from 1.
	Ordinal uint64

	// Time is the commit time, by PostgreSQL's clock; of a Progress, when PostgreSQL said so.
	Time time.Time

	Relation  *Relation   // of a Change and a Describe
	Old       Tuple       // nil if not sent: an insert, or an update that leaves the key alone under a key identity
	New       Tuple       // nil of a delete
	Truncated []*Relation // of a Truncate: all tables that one TRUNCATE named

	Bytes int // of memory that its rows hold
}

// Batch is a run of consecutive events. It may begin and end in the middle of a transaction. The memory of its tuples
// is never written again.
type Batch struct {
	Events []Event
	Bytes  int // of the messages that it was decoded from

	held int // of Bytes, what is not Done
}
