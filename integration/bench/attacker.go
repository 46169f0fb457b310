package main

import (
	"encoding/binary"
	"math/rand/v2"
	"net/netip"

	"github.com/lwaftr/lw4o6/plugin/dataplane"
	"github.com/lwaftr/lw4o6/plugin/forwarder/checksum"
	"github.com/lwaftr/lw4o6/plugin/softwire"
)

// attacker makes packets that cost something or should not pass.
type attacker struct {
	random *rand.Rand
	all    []softwire.Softwire
	made   int
}

// packet is the next attack; each kind comes as often as the others.
func (a *attacker) packet() arrival {
	kinds := []func() arrival{
		a.unboundPort, a.unboundAddress, a.spoofedOuterSource, a.spoofedPort, a.stranger,
		a.expired, a.dontFragment, a.ping, a.badChecksum, a.cutShort,
		a.loneFragment4, a.loneFragment6, a.overlapping4, a.fakeError,
	}
	a.made++
	return kinds[a.made%len(kinds)]()
}

func (a *attacker) someone() softwire.Softwire { return a.all[a.random.IntN(len(a.all))] }

// source is a random address of a large network of attackers.
func (a *attacker) source() netip.AddrPort {
	ip := netip.AddrFrom4([4]byte{203, 0, byte(a.random.Uint32()), byte(a.random.Uint32())})
	return netip.AddrPortFrom(ip, uint16(a.random.Uint32()))
}

// bound is a port of s.
func bound(s softwire.Softwire) netip.AddrPort {
	return netip.AddrPortFrom(s.IPv4, s.PortSet.PSID()<<firstPortBit|1)
}

const attackSize = 120 // octets

func (a *attacker) ipv4(dst netip.AddrPort) []byte {
	return udp4(a.source(), dst, attackSize, uint16(a.random.Uint32()))
}

// unboundPort is to PSID 0, which nobody has.
func (a *attacker) unboundPort() arrival {
	return arrival{dataplane.SideIPv4, a.ipv4(netip.AddrPortFrom(a.someone().IPv4, 80))}
}

func (a *attacker) unboundAddress() arrival {
	return arrival{dataplane.SideIPv4, a.ipv4(netip.MustParseAddrPort("100.127.0.1:80"))}
}

// spoofedOuterSource is one lwB4 in the name of another.
func (a *attacker) spoofedOuterSource() arrival {
	return arrival{dataplane.SideIPv6, inSoftwire(a.someone().B4, brAddress, udp4(bound(a.someone()), a.source(), attackSize, 1))}
}

// spoofedPort is a lwB4 with a port that is not its own.
func (a *attacker) spoofedPort() arrival {
	s := a.someone()
	return arrival{dataplane.SideIPv6, inSoftwire(s.B4, brAddress, udp4(netip.AddrPortFrom(s.IPv4, 80), a.source(), attackSize, 1))}
}

// stranger is a lwB4 that nobody knows.
func (a *attacker) stranger() arrival {
	b4 := netip.MustParseAddr("2001:db8:eeee::").As16()
	binary.BigEndian.PutUint64(b4[8:], a.random.Uint64())
	return arrival{dataplane.SideIPv6, inSoftwire(netip.AddrFrom16(b4), brAddress, udp4(bound(a.someone()), a.source(), attackSize, 1))}
}

// expired runs out of TTL at the lwAFTR.
func (a *attacker) expired() arrival {
	p := a.ipv4(bound(a.someone()))
	p[8] = 1
	resum4(p)
	return arrival{dataplane.SideIPv4, p}
}

// dontFragment does not fit the tunnel.
func (a *attacker) dontFragment() arrival {
	p := udp4(a.source(), bound(a.someone()), largePacket, 1)
	p[6] = 0x40
	resum4(p)
	return arrival{dataplane.SideIPv4, p}
}

// ping has an identifier that nobody has.
func (a *attacker) ping() arrival {
	p := a.ipv4(netip.AddrPortFrom(a.someone().IPv4, 80))
	m := p[ipv4Header:]
	copy(m, []byte{8, 0, 0, 0, 0, 7, 0, 1})
	binary.BigEndian.PutUint16(m[2:], checksum.Of(m))
	p[9] = 1
	resum4(p)
	return arrival{dataplane.SideIPv4, p}
}

func (a *attacker) badChecksum() arrival {
	p := a.ipv4(bound(a.someone()))
	p[10] ^= 0xff
	return arrival{dataplane.SideIPv4, p}
}

// cutShort has less than its header says.
func (a *attacker) cutShort() arrival {
	p := inSoftwire(a.someone().B4, brAddress, a.ipv4(host))
	return arrival{dataplane.SideIPv6, p[:len(p)-30]}
}

// loneFragment4 is the first of two, and the second never comes.
func (a *attacker) loneFragment4() arrival {
	first, _ := halves4(a.ipv4(bound(a.someone())))
	return arrival{dataplane.SideIPv4, first}
}

// loneFragment6 is that from a subscriber.
func (a *attacker) loneFragment6() arrival {
	s := a.someone()
	first, _ := halves6(inSoftwire(s.B4, brAddress, udp4(bound(s), a.source(), attackSize, 1)), a.random.Uint32())
	return arrival{dataplane.SideIPv6, first}
}

// overlapping4 is a second fragment that lies over the first of another.
func (a *attacker) overlapping4() arrival {
	_, second := halves4(a.ipv4(bound(a.someone())))
	binary.BigEndian.PutUint16(second[6:], 1)
	resum4(second)
	return arrival{dataplane.SideIPv4, second}
}

// fakeError is an ICMPv6 error about a packet that was never sent.
func (a *attacker) fakeError() arrival {
	s := a.someone()
	quoted := inSoftwire(brAddress, s.B4, udp4(a.source(), netip.AddrPortFrom(s.IPv4, 80), attackSize, 1))
	p := make([]byte, ipv6Header+8+len(quoted))
	m := p[ipv6Header:]
	copy(m, []byte{2, 0, 0, 0, 0, 0, 5, 0})
	copy(m[8:], quoted)
	header6(p, s.B4, brAddress, 58)
	src, dst := s.B4.As16(), brAddress.As16()
	binary.BigEndian.PutUint16(m[2:], checksum.IPv6(&src, &dst, 58, m))
	return arrival{dataplane.SideIPv6, p}
}

// resum4 makes the checksum of an IPv4 header right.
func resum4(p []byte) {
	p[10], p[11] = 0, 0
	binary.BigEndian.PutUint16(p[10:], checksum.Of(p[:ipv4Header]))
}
