package cdc

import (
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pglogrepl"
)

// decoder turns pgoutput messages (protocol version 1, text) into events. Version 1 brings each committed transaction
// whole and in one piece, in the order of commit LSNs; the decoder checks that.
type decoder struct {
	from      LSN // transactions that committed before are skipped
	reached   LSN // everything published before has been decoded
	relations map[uint32]*Relation
	tx        transaction
	events    []Event
	arena     arena
}

// transaction is the one being received.
type transaction struct {
	open    bool
	skip    bool // it was delivered before a restart
	begun   bool // its Begin is among the events: it is left out as long as nothing follows it
	commit  LSN
	time    time.Time
	ordinal uint64
}

func newDecoder(from LSN) *decoder {
	return &decoder{from: from, reached: from, relations: make(map[uint32]*Relation)}
}

// batch decodes a run of messages, which belongs to the events from then on. They may come to none.
func (d *decoder) batch(r *raw) (*Batch, error) {
	d.events = make([]Event, 0, r.count+1) // one more where the BEGIN came before
	err := r.each(func(kind byte, message []byte) error {
		if kind != pglogrepl.PrimaryKeepaliveMessageByteID {
			return d.message(message)
		}
		return d.keepalive(message)
	})
	if err != nil {
		return nil, err
	}
	return &Batch{Events: d.events, Bytes: len(r.buf), held: len(r.buf)}, nil
}

func (d *decoder) add(e Event) { d.events = append(d.events, e) }

// keepalive notes how far the server has read its WAL.
func (d *decoder) keepalive(message []byte) error {
	k, err := pglogrepl.ParsePrimaryKeepaliveMessage(message)
	if err != nil {
		return fmt.Errorf("parse keepalive: %w", err)
	}
	if !d.tx.open {
		d.progress(k.ServerWALEnd, k.ServerTime.UTC())
	}
	return nil
}

func (d *decoder) progress(lsn LSN, at time.Time) {
	if lsn <= d.reached {
		return
	}
	d.reached = lsn
	e := Event{Kind: Progress, LSN: lsn, Time: at}
	if last := len(d.events) - 1; last >= 0 && d.events[last].Kind == Progress {
		d.events[last] = e
		return
	}
	d.add(e)
}

// message decodes one message. The values are parts of it.
func (d *decoder) message(wal []byte) error {
	if len(wal) == 0 {
		return errTruncated
	}
	body := wal[1:]
	var err error
	switch pglogrepl.MessageType(wal[0]) {
	case pglogrepl.MessageTypeBegin:
		err = d.begin(body)
	case pglogrepl.MessageTypeCommit:
		err = d.commit(body)
	case pglogrepl.MessageTypeRelation:
		err = d.relation(body)
	case pglogrepl.MessageTypeInsert, pglogrepl.MessageTypeUpdate, pglogrepl.MessageTypeDelete:
		err = d.change(Op(wal[0]), body)
	case pglogrepl.MessageTypeTruncate:
		err = d.truncate(body)
	case pglogrepl.MessageTypeType, pglogrepl.MessageTypeOrigin, pglogrepl.MessageTypeMessage:
		// Types are told by OID, origins are not told apart, messages are not asked for.
	default:
		err = fmt.Errorf("unknown type")
	}
	if err != nil {
		return fmt.Errorf("decode pgoutput message %q: %w", wal[0], err)
	}
	return nil
}

func (d *decoder) begin(body []byte) error {
	var m pglogrepl.BeginMessage
	if err := m.Decode(body); err != nil {
		return err
	}
	if d.tx.open {
		return fmt.Errorf("transaction %s has not ended", d.tx.commit)
	}
	d.tx = transaction{open: true, skip: m.FinalLSN < d.from, commit: m.FinalLSN, time: m.CommitTime.UTC()}
	if !d.tx.skip && m.FinalLSN < d.reached {
		return fmt.Errorf("transaction %s comes after %s", m.FinalLSN, d.reached)
	}
	return nil
}

func (d *decoder) commit(body []byte) error {
	var m pglogrepl.CommitMessage
	if err := m.Decode(body); err != nil {
		return err
	}
	tx := d.tx
	if !tx.open || m.CommitLSN != tx.commit {
		return fmt.Errorf("commit of %s within %s", m.CommitLSN, tx.commit)
	}
	d.tx = transaction{}
	switch {
	case tx.skip:
	case !tx.begun:
		d.progress(m.TransactionEndLSN, tx.time)
	default:
		d.reached = m.TransactionEndLSN
		d.add(Event{Kind: Commit, LSN: m.TransactionEndLSN, Time: tx.time})
	}
	return nil
}

// step starts the event of a change. False: the change is skipped.
func (d *decoder) step(kind EventKind) (Event, bool, error) {
	if !d.tx.open {
		return Event{}, false, fmt.Errorf("%s outside a transaction", kind)
	}
	if d.tx.skip {
		return Event{}, false, nil
	}
	e := Event{Kind: Begin, LSN: d.tx.commit, Time: d.tx.time}
	if !d.tx.begun {
		d.tx.begun = true
		d.add(e)
	}
	d.tx.ordinal++
	e.Kind, e.Ordinal = kind, d.tx.ordinal
	return e, true, nil
}

func (d *decoder) change(op Op, body []byte) error {
	e, wanted, err := d.step(Change)
	if err != nil || !wanted {
		return err
	}
	w := wire{buf: body}
	oid := w.uint32()
	e.Op, e.Relation = op, d.relations[oid]
	if e.Relation == nil {
		return fmt.Errorf("relation %d was never described: %w", oid, w.err())
	}
	if err := d.tuples(&e, &w); err != nil {
		return fmt.Errorf("%s: %w", e.Relation.FullName(), err)
	}
	e.Bytes = len(body) + valueSize*(len(e.Old)+len(e.New))
	d.add(e)
	return nil
}

// tuples reads the old and new rows that belong to the event's operation.
func (d *decoder) tuples(e *Event, w *wire) (err error) {
	part := w.uint8()
	if e.Op != Insert && (part == 'K' || part == 'O') {
		e.OldFull = part == 'O'
		if e.Old, err = d.tuple(e.Relation, w); err != nil || e.Op == Delete {
			return err
		}
		part = w.uint8()
	}
	if e.Op == Delete || part != 'N' {
		return fmt.Errorf("unknown tuple %q of %q", part, byte(e.Op))
	}
	e.New, err = d.tuple(e.Relation, w)
	return err
}

func (d *decoder) tuple(rel *Relation, w *wire) (Tuple, error) {
	n := w.uint16()
	if w.short {
		return nil, errTruncated
	}
	if n != len(rel.Columns) {
		return nil, fmt.Errorf("tuple of %d columns, relation of %d", n, len(rel.Columns))
	}
	t := d.arena.tuple(n)
	for i := range t {
		switch kind := ValueKind(w.uint8()); kind {
		case Null, Unchanged:
			t[i].Kind = kind
		case Text:
			t[i] = NewValue(kind, w.bytes(int(int32(w.uint32()))))
		default:
			return nil, fmt.Errorf("unknown kind %q of column %d", byte(kind), i)
		}
	}
	return t, w.err()
}

func (d *decoder) truncate(body []byte) error {
	e, wanted, err := d.step(Truncate)
	if err != nil || !wanted {
		return err
	}
	w := wire{buf: body}
	n := w.uint32()
	w.uint8() // CASCADE, RESTART IDENTITY: the tables are listed one by one
	for range n {
		oid := w.uint32()
		if err := w.err(); err != nil {
			return err
		}
		rel := d.relations[oid]
		if rel == nil {
			return fmt.Errorf("relation %d was never described", oid)
		}
		e.Truncated = append(e.Truncated, rel)
	}
	if w.short {
		return errTruncated
	}
	d.add(e)
	return nil
}

func (d *decoder) relation(body []byte) error {
	w := wire{buf: body}
	rel := &Relation{OID: w.uint32(), Schema: w.text(), Name: w.text(), ReplicaIdentity: w.uint8()}
	if rel.Schema == "" {
		rel.Schema = "pg_catalog" // pgoutput's spelling of it
	}
	n := w.uint16()
	for i := 0; i < n && !w.short; i++ {
		key := w.uint8()&1 != 0
		rel.Columns = append(rel.Columns, RelationColumn{Name: w.text(), TypeOID: w.uint32(), TypeMod: int32(w.uint32()), Key: key})
	}
	if w.short {
		return errTruncated
	}
	rel.fullName = FullName(rel.Schema, rel.Name)
	if !d.relations[rel.OID].equal(rel) {
		d.relations[rel.OID] = rel
	}
	if d.tx.open && !d.tx.skip {
		d.add(Event{Kind: Describe, LSN: d.tx.commit, Time: d.tx.time, Relation: d.relations[rel.OID]})
	}
	return nil
}

func (r *Relation) equal(other *Relation) bool {
	return r != nil && r.OID == other.OID && r.Schema == other.Schema && r.Name == other.Name &&
		r.ReplicaIdentity == other.ReplicaIdentity && slices.Equal(r.Columns, other.Columns)
}
