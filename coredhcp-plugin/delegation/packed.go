package delegation

import (
	"net/netip"
	"time"

	"github.com/lwaftr/lw4o6/plugin/portset"
	"github.com/lwaftr/lw4o6/plugin/softwire"
)

// packed is a Delegation as it is kept: without pointers but one, because there are
// millions, and the garbage collector follows each again and again.
type packed struct {
	// texts are the pool, the client, the DUID and the line, one behind the other;
	// ends says where the first three end.
	texts string
	ends  [3]uint16

	state State
	flags uint8 // as in the store
	bits  uint8 // of the prefix
	iaid  uint32

	prefix, b4, br [16]byte
	ipv4           [4]byte
	portSet        portset.PortSet

	start, expires, horizon, until, softwireExpires instant
}

// instant is a time in seconds since 1970; 0 is none.
type instant int64

func instantOf(t time.Time) instant {
	if t.IsZero() {
		return 0
	}
	return instant(t.Unix())
}

func (i instant) time() time.Time {
	if i == 0 {
		return time.Time{}
	}
	return time.Unix(int64(i), 0).UTC()
}

// at is the prefix.
func (p *packed) at() netip.Prefix { return netip.PrefixFrom(netip.AddrFrom16(p.prefix), int(p.bits)) }

func (p *packed) pool() string   { return p.texts[:p.ends[0]] }
func (p *packed) client() string { return p.texts[p.ends[0]:p.ends[1]] }
func (p *packed) duid() string   { return p.texts[p.ends[1]:p.ends[2]] }
func (p *packed) line() string   { return p.texts[p.ends[2]:] }
func (p *packed) owing() bool    { return p.flags&flagOwing != 0 }

// flagsOf is what of d is written as flags.
func flagsOf(d Delegation) (flags uint8) {
	if d.Softwire.IPv4.IsValid() {
		flags |= flagSoftwire
	}
	if d.Owing {
		flags |= flagOwing
	}
	return flags
}

// pack makes p what d is. d has the texts of a record.
func (p *packed) pack(d Delegation) {
	before := *p
	*p = packed{
		texts: before.texts, ends: before.ends,
		state: d.State, flags: flagsOf(d), bits: uint8(d.Prefix.Bits()), iaid: d.IAID,
		prefix: d.Prefix.Addr().As16(),
		start:  instantOf(d.Start), expires: instantOf(d.Expires), horizon: instantOf(d.Horizon),
		until: instantOf(d.Until), softwireExpires: instantOf(d.SoftwireExpires),
	}
	if p.flags&flagSoftwire != 0 {
		p.ipv4, p.portSet = d.Softwire.IPv4.As4(), d.Softwire.PortSet
		p.b4, p.br = d.Softwire.B4.As16(), d.Softwire.BR.As16()
	}
	if p.pool() != d.Pool || p.client() != d.Client || p.duid() != d.DUID || p.line() != d.Line {
		p.texts = d.Pool + d.Client + d.DUID + d.Line
		p.ends[0] = uint16(len(d.Pool))
		p.ends[1] = p.ends[0] + uint16(len(d.Client))
		p.ends[2] = p.ends[1] + uint16(len(d.DUID))
	}
}

// delegation is what was packed.
func (p *packed) delegation() Delegation {
	d := Delegation{
		Prefix: p.at(), Pool: p.pool(),
		Holder: Holder{Client: p.client(), DUID: p.duid(), IAID: p.iaid, Line: p.line()},
		State:  p.state,
		Start:  p.start.time(), Expires: p.expires.time(), Horizon: p.horizon.time(), Until: p.until.time(),
		SoftwireExpires: p.softwireExpires.time(), Owing: p.owing(),
	}
	if p.flags&flagSoftwire != 0 {
		d.Softwire = softwire.Softwire{
			IPv4: netip.AddrFrom4(p.ipv4), PortSet: p.portSet,
			B4: netip.AddrFrom16(p.b4), BR: netip.AddrFrom16(p.br),
		}
	}
	return d
}
