package history

import (
	"encoding/binary"
	"fmt"
	"net/netip"

	"github.com/lwaftr/lw4o6/plugin/store/history/blockfile"
)

// claim says that a run has records in which a subscriber holds a port set. It
// is how the records of a subscriber or lwB4 are found.
type claim struct {
	prefix uint64 // the first 64 bits of the subscriber's prefix
	key    uint64 // packed
	last   stamp  // when the last of the holds ended; 0 if it has not
}

// claims calls each with what r claims: one for its subscriber, and another one
// if the lwB4 has an address elsewhere.
func (r *record) claims(each func(claim)) {
	each(claim{high(r.Subscriber.Addr()), r.key, r.end.at})
	if !r.Subscriber.Contains(r.B4) {
		each(claim{high(r.B4), r.key, r.end.at})
	}
}

// high is the first 64 bits of an IPv6 address.
func high(a netip.Addr) uint64 {
	ip := a.As16()
	return binary.BigEndian.Uint64(ip[:])
}

func (c *claim) position() blockfile.Position {
	return blockfile.Position{Major: c.prefix, Minor: c.key}
}

// appendClaim appends c to b, which ends with prev; a zero prev begins a block.
func appendClaim(b []byte, c, prev *claim) []byte {
	b = binary.AppendUvarint(b, c.prefix-prev.prefix)
	key := c.key
	if c.prefix == prev.prefix {
		key -= prev.key
	}
	b = binary.AppendUvarint(b, key)
	return binary.AppendUvarint(b, uint64(c.last))
}

// claimReader reads the claims of a block.
type claimReader struct {
	in fields
	claim
}

func (d *claimReader) begin(block string) { *d = claimReader{in: fields{rest: block}} }

// next is the next claim until the next call, nil behind the last one. The error
// wraps ErrCorrupt.
func (d *claimReader) next() (*claim, error) {
	if d.in.rest == "" && !d.in.bad {
		return nil, nil
	}
	before := d.position()
	step, key := d.in.uvarint(), d.in.uvarint()
	if step == 0 {
		key += d.key
	}
	d.prefix += step
	d.key = key
	d.last = d.in.stamp()
	if d.in.bad || d.position().Compare(before) < 0 {
		d.in.fail()
		return nil, fmt.Errorf("%w: a block of claims makes no sense", ErrCorrupt)
	}
	return &d.claim, nil
}
