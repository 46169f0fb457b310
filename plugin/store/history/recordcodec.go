package history

import (
	"encoding/binary"
	"fmt"

	"github.com/lwaftr/lw4o6/plugin/lease"
	"github.com/lwaftr/lw4o6/plugin/pool"
	"github.com/lwaftr/lw4o6/plugin/store/history/blockfile"
)

// What a record has, and what it shares with the one before it in its block, is
// its first byte.
const (
	hasStart byte = 1 << iota
	hasEnd
	sameKey
	sameSubscriber // and lwB4
	sameService    // pool, mechanism and BR address
	sameAttributes
	sameCauses // kinds and reasons of both edges
)

func (r *record) position() blockfile.Position {
	return blockfile.Position{Major: r.key, Minor: uint64(r.at())}
}

// shared is what r has of the record before it.
func (r *record) shared(prev *record) byte {
	var f byte
	set := func(bit byte, ok bool) {
		if ok {
			f |= bit
		}
	}
	set(hasStart, r.start.at != 0)
	set(hasEnd, r.end.at != 0)
	set(sameKey, r.key == prev.key)
	set(sameSubscriber, r.Subscriber == prev.Subscriber && r.B4 == prev.B4)
	set(sameService, r.BR == prev.BR && r.Pool == prev.Pool && r.Mechanism == prev.Mechanism)
	set(sameAttributes, r.Attributes == prev.Attributes)
	set(sameCauses, r.start.kind == prev.start.kind && r.start.reason == prev.start.reason &&
		r.end.kind == prev.end.kind && r.end.reason == prev.end.reason)
	return f
}

// appendRecord appends r to b, which ends with prev; a zero prev begins a block.
func appendRecord(b []byte, r, prev *record) []byte {
	f := r.shared(prev)
	b = append(b, f)
	if f&sameKey == 0 {
		b = binary.AppendUvarint(b, r.key-prev.key)
	}
	b = binary.AppendVarint(b, int64(r.at()-prev.at()))
	if f&(hasStart|hasEnd) == hasStart|hasEnd {
		b = binary.AppendUvarint(b, uint64(r.end.at-r.start.at))
	}
	if f&sameSubscriber == 0 {
		b = appendPrefix(b, r.Subscriber)
		b = appendB4(b, r.B4, r.Subscriber)
	}
	if f&sameService == 0 {
		b = append(b, r.BR.AsSlice()...)
		b = appendText(appendText(b, r.Pool), string(r.Mechanism))
	}
	if f&sameAttributes == 0 {
		b = appendText(b, string(r.Attributes))
	}
	if f&sameCauses == 0 {
		b = append(b, byte(r.start.kind)<<4|byte(r.end.kind))
		b = appendText(appendText(b, r.start.reason), r.end.reason)
	}
	return b
}

// records reads the records of a block. Texts are parts of the block.
type records struct {
	in fields
	record
}

func (d *records) begin(block string) { *d = records{in: fields{rest: block}} }

// next is the next record until the next call, nil behind the last one. The
// error wraps ErrCorrupt.
func (d *records) next() (*record, error) {
	in := &d.in
	if in.rest == "" && !in.bad {
		return nil, nil
	}
	before := d.position()
	at := d.at()
	f := in.byte()
	if f&sameKey == 0 {
		d.key += in.uvarint()
	}
	at += stamp(in.varint())
	if !at.valid() || f&(hasStart|hasEnd) == 0 {
		in.fail()
	}
	d.start.at, d.end.at = 0, 0
	if f&hasEnd != 0 {
		d.end.at = at
	}
	if f&hasStart != 0 {
		d.start.at = at
		if f&hasEnd != 0 {
			if d.end.at += stamp(in.uvarint()); d.end.at < at || !d.end.at.valid() {
				in.fail()
			}
		}
	}
	d.holder(f)
	if f&sameCauses == 0 {
		kinds := in.byte()
		d.start.kind, d.end.kind = Kind(kinds>>4), Kind(kinds&15)
		d.start.reason, d.end.reason = in.text(MaxText), in.text(MaxText)
	}
	if in.bad || !d.Subscriber.IsValid() || d.position().Compare(before) < 0 {
		in.fail()
		return nil, fmt.Errorf("%w: a block of records makes no sense", ErrCorrupt)
	}
	return &d.record, nil
}

// holder reads what is not shared of it.
func (d *records) holder(f byte) {
	in := &d.in
	if f&sameSubscriber == 0 {
		d.Subscriber = in.prefix()
		d.B4 = in.b4(d.Subscriber)
	}
	if f&sameService == 0 {
		d.BR = in.addr()
		d.Pool, d.Mechanism = in.text(MaxText), pool.Mechanism(in.text(MaxText))
	}
	if f&sameAttributes == 0 {
		d.Attributes = lease.Attributes(in.text(MaxAttributes))
	}
}
