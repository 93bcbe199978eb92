package cdc

import (
	"encoding/binary"
	"strings"
	"testing"
)

// The messages of a small transaction, as pgoutput writes them.
func sampleMessages() [][]byte {
	u16 := binary.BigEndian.AppendUint16
	u32 := binary.BigEndian.AppendUint32
	u64 := binary.BigEndian.AppendUint64
	relation := append(u32([]byte{'R'}, 7), "public\x00t\x00d"...)
	relation = append(u16(relation, 2), "\x01id\x00"...)
	relation = append(u32(u32(relation, 23), 0xffffffff), "\x00a\x00"...)
	relation = u32(u32(relation, 25), 0xffffffff)
	tuple := append(u16(nil, 2), 't')
	tuple = append(append(u32(tuple, 1), '1'), 'u')
	return [][]byte{
		u32(u64(u64([]byte{'B'}, 100), 0), 1),
		relation,
		append(append(u32([]byte{'I'}, 7), 'N'), tuple...),
		append(append(append(append(u32([]byte{'U'}, 7), 'O'), tuple...), 'N'), tuple...),
		append(append(u32([]byte{'D'}, 7), 'K'), tuple...),
		u32(append(u32([]byte{'T'}, 1), 0), 7),
		u64(u64(u64([]byte{'C', 0}, 100), 120), 0),
	}
}

// decodeAll decodes messages of WAL data, and keepalives that begin with a k.
func decodeAll(d *decoder, messages ...[]byte) ([]Event, error) {
	r := &raw{}
	for _, m := range messages {
		if m[0] == 'k' {
			r.add('k', m[1:])
		} else {
			r.add('w', m)
		}
	}
	b, err := d.batch(r)
	if err != nil {
		return nil, err
	}
	return b.Events, nil
}

// keepalive says that the server has read its WAL up to a position.
func keepalive(at LSN) []byte {
	m := binary.BigEndian.AppendUint64([]byte{'k'}, uint64(at))
	return append(binary.BigEndian.AppendUint64(m, 1), 0)
}

func TestDecode(t *testing.T) {
	events, err := decodeAll(newDecoder(100), sampleMessages()...)
	if err != nil {
		t.Fatal(err)
	}
	if got := showAll(events[2:6]); got != "I 1|?\nU {1|?} → 1|?\nD 1|? →\nT t" {
		t.Error(got)
	}
	if events[6].Kind != Commit || events[6].LSN != 120 || events[0].Kind != Describe || events[1].LSN != 100 || events[5].Ordinal != 4 {
		t.Errorf("%+v", events)
	}
}

func TestDecodeSkipsOlder(t *testing.T) {
	if events, err := decodeAll(newDecoder(101), sampleMessages()...); err != nil || len(events) > 0 {
		t.Errorf("%d events, %v", len(events), err)
	}
}

func TestDecodeEmptyTransactionIsProgress(t *testing.T) {
	m := sampleMessages()
	events, err := decodeAll(newDecoder(0), m[0], m[1], m[6], keepalive(119), keepalive(130))
	if err != nil || len(events) != 2 || events[0].Kind != Describe || events[1].Kind != Progress || events[1].LSN != 130 {
		t.Errorf("%+v, %v", events, err)
	}
}

func TestDecodeRefuses(t *testing.T) {
	m := sampleMessages()
	for name, messages := range map[string][][]byte{
		"outside a transaction": {m[1], m[2]},
		"has not ended":         {m[0], m[0]},
		"never described":       {m[0], m[2]},
		"commit of":             {m[6]},
		"comes after":           {m[0], m[1], m[2], m[6], m[0]},
		"unknown type":          {{'S'}},
	} {
		_, err := decodeAll(newDecoder(0), messages...)
		if err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestDecodeCutShort(t *testing.T) {
	for i, m := range sampleMessages() {
		for n := range m {
			d := newDecoder(0)
			for _, before := range sampleMessages()[:i] {
				if err := d.message(before); err != nil {
					t.Fatal(err)
				}
			}
			if err := d.message(m[:n]); err == nil {
				t.Errorf("message %q cut to %d bytes", m[0], n)
			}
		}
	}
}

// Nothing that a server sends makes the decoder panic, and no event keeps a buffer that the connection uses again.
func FuzzDecode(f *testing.F) {
	for _, m := range sampleMessages() {
		f.Add(m)
	}
	f.Fuzz(func(t *testing.T, message []byte) {
		r, d := &raw{}, newDecoder(0)
		for _, m := range sampleMessages()[:3] {
			r.add('w', m)
		}
		r.add('w', message)
		clear(message)
		if b, err := d.batch(r); err == nil {
			for _, e := range b.Events {
				_ = show(e)
			}
		}
	})
}

// BenchmarkDecode decodes runs of inserts of one row.
func BenchmarkDecode(b *testing.B) {
	m := sampleMessages()
	d := newDecoder(0)
	for _, message := range m[:2] {
		if err := d.message(message); err != nil {
			b.Fatal(err)
		}
	}
	r := &raw{}
	for len(r.buf) < batchBytes {
		r.add('w', m[2])
	}
	b.ReportAllocs()
	b.SetBytes(batchBytes)
	for b.Loop() {
		if _, err := d.batch(r); err != nil {
			b.Fatal(err)
		}
	}
}
