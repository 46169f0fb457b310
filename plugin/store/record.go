package store

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"time"

	"github.com/lwaftr/lw4o6/plugin/lease"
	"github.com/lwaftr/lw4o6/plugin/pool"
	"github.com/lwaftr/lw4o6/plugin/softwire"
)

// maxText bounds the names in a record.
const maxText = 255

// flags of a record.
const (
	flagReserved = 1 << iota
	flagMoved
	flagB4 // there is a lwB4
	flagsEnd
)

// validate reports what a record cannot say. The error wraps ErrBatch.
func validate(l lease.Lease) error {
	fail := func(format string, args ...any) error {
		return fmt.Errorf("%w: lease of %s: %s", ErrBatch, l.Key(), fmt.Sprintf(format, args...))
	}
	b4 := l.Softwire.B4
	switch {
	case l.Configured:
		return fail("it is of the configuration and not to be stored")
	case !l.Softwire.IPv4.Is4():
		return fail("the address is not IPv4")
	case !plain6(l.Softwire.BR), b4.IsValid() && !plain6(b4):
		return fail("lwB4 %s or BR %s is not an IPv6 address", b4, l.Softwire.BR)
	case !plain6(l.Subscriber.Addr()) || l.Subscriber != l.Subscriber.Masked():
		return fail("subscriber %s is not a masked IPv6 prefix", l.Subscriber)
	case len(l.Pool) > maxText || len(l.Mechanism) > maxText:
		return fail("a name is longer than %d bytes", maxText)
	}
	if err := l.Attributes.Validate(); err != nil {
		return fail("%v", err)
	}
	for _, t := range []time.Time{l.Start, l.Expires, l.Horizon, l.Until} {
		if !t.IsZero() && (t.Unix() < 0 || t.Nanosecond() != 0) {
			return fail("%s is not a whole second since 1970", t)
		}
	}
	return nil
}

func plain6(a netip.Addr) bool { return a.Is6() && a.Zone() == "" }

// AppendLease appends the record of l, without its key, to b. The lease is one
// that Batch.Validate accepts.
func AppendLease(b []byte, l lease.Lease) []byte {
	var flags byte
	if l.Reserved {
		flags |= flagReserved
	}
	if l.Moved {
		flags |= flagMoved
	}
	if l.Softwire.B4.IsValid() {
		flags |= flagB4
	}
	b = append(b, flags, byte(l.State), l.Number)
	b = appendAddr(b, l.Softwire.BR)
	if l.Softwire.B4.IsValid() {
		b = appendAddr(b, l.Softwire.B4)
	}
	b = append(appendAddr(b, l.Subscriber.Addr()), byte(l.Subscriber.Bits()))
	for _, t := range []time.Time{l.Start, l.Expires, l.Horizon, l.Until} {
		b = appendTime(b, t)
	}
	b = appendText(b, l.Pool)
	b = appendText(b, string(l.Mechanism))
	return appendText(b, string(l.Attributes))
}

func appendAddr(b []byte, a netip.Addr) []byte {
	ip := a.As16()
	return append(b, ip[:]...)
}

// appendTime writes 0 for the zero Time, and otherwise one more than its second.
func appendTime(b []byte, t time.Time) []byte {
	if t.IsZero() {
		return append(b, 0)
	}
	return binary.AppendUvarint(b, uint64(t.Unix())+1)
}

func appendText(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

// Decoder reads records. It keeps one copy of the names that many records
// share. Its zero value is ready; it is for one goroutine.
type Decoder struct {
	names map[string]string
}

// Lease reads what AppendKey and AppendLease wrote. The error wraps ErrCorrupt.
func (d *Decoder) Lease(key, record []byte) (lease.Lease, error) {
	k, err := ParseKey(key)
	if err != nil {
		return lease.Lease{}, err
	}
	r := reader{rest: record}
	head := r.bytes(3)
	if r.failed {
		return lease.Lease{}, fmt.Errorf("%w: lease of %s: %d bytes", ErrCorrupt, k, len(record))
	}
	flags := head[0]
	l := lease.Lease{
		Reserved: flags&flagReserved != 0,
		Moved:    flags&flagMoved != 0,
		State:    lease.State(head[1]),
		Number:   head[2],
		Softwire: softwire.Softwire{IPv4: k.IPv4, PortSet: k.PortSet, BR: r.addr()},
	}
	if flags&flagB4 != 0 {
		l.Softwire.B4 = r.addr()
	}
	l.Subscriber = r.prefix()
	l.Start, l.Expires, l.Horizon, l.Until = r.time(), r.time(), r.time(), r.time()
	l.Pool = d.name(r.text(maxText))
	l.Mechanism = pool.Mechanism(d.name(r.text(maxText)))
	l.Attributes = lease.Attributes(r.text(len(r.rest)))
	if r.failed || len(r.rest) > 0 || flags >= flagsEnd || validate(l) != nil {
		return lease.Lease{}, fmt.Errorf("%w: lease of %s is not well-formed", ErrCorrupt, k)
	}
	return l, nil
}

// maxNames bounds what a Decoder keeps.
const maxNames = 4096

func (d *Decoder) name(b []byte) string {
	if s, ok := d.names[string(b)]; ok {
		return s
	}
	if d.names == nil {
		d.names = make(map[string]string)
	}
	s := string(b)
	if len(d.names) < maxNames {
		d.names[s] = s
	}
	return s
}

// reader takes a record apart. After failed became true it returns nothing of
// use.
type reader struct {
	rest   []byte
	failed bool
}

func (r *reader) bytes(n int) []byte {
	if n > len(r.rest) {
		r.failed = true
		return nil
	}
	b := r.rest[:n]
	r.rest = r.rest[n:]
	return b
}

func (r *reader) addr() netip.Addr {
	b := r.bytes(16)
	if b == nil {
		return netip.Addr{}
	}
	return netip.AddrFrom16([16]byte(b))
}

func (r *reader) prefix() netip.Prefix {
	a := r.addr()
	bits := r.bytes(1)
	if bits == nil {
		return netip.Prefix{}
	}
	return netip.PrefixFrom(a, int(bits[0]))
}

func (r *reader) uvarint() uint64 {
	v, n := binary.Uvarint(r.rest)
	if n <= 0 {
		r.failed = true
		return 0
	}
	r.rest = r.rest[n:]
	return v
}

// maxSecond is the last one that time.Unix and back leaves as it is.
const maxSecond = 1 << 60

func (r *reader) time() time.Time {
	v := r.uvarint()
	if v == 0 {
		return time.Time{}
	}
	if v > maxSecond {
		r.failed = true
		return time.Time{}
	}
	return time.Unix(int64(v-1), 0).UTC()
}

func (r *reader) text(limit int) []byte {
	n := r.uvarint()
	if n > uint64(limit) {
		r.failed = true
		return nil
	}
	return r.bytes(int(n))
}
