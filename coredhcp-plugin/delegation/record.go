package delegation

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"time"

	"github.com/lwaftr/lw4o6/plugin/softwire"
	"github.com/lwaftr/lw4o6/plugin/store"
)

// The format of a record, and its flags.
const (
	formatVersion = 1

	flagSoftwire = 1 << 0
	flagOwing    = 1 << 1
	knownFlags   = flagSoftwire | flagOwing
)

// maxText bounds the texts of a record, and usualSize is enough for most records, in
// octets.
const (
	maxText   = 255
	usualSize = 160
)

// storeKey is the key of a prefix in the store: 16 octets of address and its length.
func storeKey(prefix netip.Prefix) string {
	k := keyOf(prefix)
	return string(k[:])
}

// value is what of c goes to the store.
func (c *change) value() store.Value {
	v := store.Value{Collection: delegations, Key: storeKey(c.after.Prefix)}
	if c.after.State != 0 {
		v.Data = encode(c.after)
	}
	return v
}

// timeValue is a time of the clock, in whole seconds, as it goes to the store.
func timeValue(now time.Time) store.Value {
	return store.Value{Collection: clockValues, Key: latestKey, Data: []byte(now.Format(time.RFC3339))}
}

// encode is the record of d, without its prefix: version, state, flags; the times
// and the IAID as varints; the texts, each behind its length; the softwire.
func encode(d Delegation) []byte {
	flags := flagsOf(d)
	b := append(make([]byte, 0, usualSize), formatVersion, byte(d.State), flags)
	for _, t := range []time.Time{d.Start, d.Expires, d.Horizon, d.Until, d.SoftwireExpires} {
		seconds := uint64(0)
		if !t.IsZero() {
			seconds = uint64(t.Unix())
		}
		b = binary.AppendUvarint(b, seconds)
	}
	b = binary.AppendUvarint(b, uint64(d.IAID))
	for _, s := range []string{d.Pool, d.Client, d.DUID, d.Line} {
		b = append(b, byte(len(s)))
		b = append(b, s...)
	}
	if flags&flagSoftwire != 0 {
		b4, br := d.Softwire.B4.As16(), d.Softwire.BR.As16()
		b = store.AppendKey(b, d.Softwire.Key())
		b = append(append(b, b4[:]...), br[:]...)
	}
	return b
}

// decode reads what storeKey and encode wrote. The error wraps store.ErrCorrupt.
func decode(key string, b []byte) (Delegation, error) {
	fail := func(what string) (Delegation, error) {
		return Delegation{}, fmt.Errorf("%w: delegation %x: %s", store.ErrCorrupt, key, what)
	}
	if len(key) != 17 || key[16] > 128 {
		return fail("its key")
	}
	var d Delegation
	d.Prefix = netip.PrefixFrom(netip.AddrFrom16([16]byte([]byte(key[:16]))), int(key[16]))
	if d.Prefix != d.Prefix.Masked() {
		return fail("its key")
	}
	if len(b) < 3 || b[0] != formatVersion {
		return fail("its version")
	}
	state, flags := State(b[1]), b[2]
	if state != Bound && state != Resting || flags&^knownFlags != 0 {
		return fail("its state")
	}
	d.State, d.Owing = state, flags&flagOwing != 0
	b = b[3:]
	for _, t := range []*time.Time{&d.Start, &d.Expires, &d.Horizon, &d.Until, &d.SoftwireExpires} {
		seconds, n := binary.Uvarint(b)
		if n <= 0 || seconds > 1<<40 {
			return fail("a time")
		}
		if b = b[n:]; seconds != 0 {
			*t = time.Unix(int64(seconds), 0).UTC()
		}
	}
	iaid, n := binary.Uvarint(b)
	if n <= 0 || iaid > 1<<32-1 {
		return fail("its IAID")
	}
	d.IAID, b = uint32(iaid), b[n:]
	for _, s := range []*string{&d.Pool, &d.Client, &d.DUID, &d.Line} {
		if len(b) == 0 || len(b) < 1+int(b[0]) {
			return fail("a text")
		}
		*s, b = string(b[1:1+b[0]]), b[1+int(b[0]):]
	}
	if flags&flagSoftwire == 0 {
		if len(b) != 0 {
			return fail("what follows")
		}
		return d, nil
	}
	if len(b) != 8+16+16 {
		return fail("its softwire")
	}
	softwireKey, err := store.ParseKey(b[:8])
	if err != nil {
		return fail(err.Error())
	}
	d.Softwire = softwire.Softwire{
		IPv4: softwireKey.IPv4, PortSet: softwireKey.PortSet,
		B4: netip.AddrFrom16([16]byte(b[8:24])), BR: netip.AddrFrom16([16]byte(b[24:40])),
	}
	return d, nil
}
