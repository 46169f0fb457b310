package reference

import (
	"net/netip"
	"slices"
	"time"

	"github.com/lwaftr/lw4o6/plugin/dataplane"
	"github.com/lwaftr/lw4o6/plugin/forwarder"
	"github.com/lwaftr/lw4o6/plugin/softwire"
)

// AFTR is the reference lwAFTR. Its fields may be changed between packets.
type AFTR struct {
	Config    forwarder.Config
	Network   dataplane.Network
	Softwires []softwire.Softwire

	fromInternet, fromB4s gathering
	cuts                  int // packets cut so far
	queued                int // exceptions that nobody took yet
}

// Process says what becomes of packet, which came from side at now. Time never
// goes back.
func (a *AFTR) Process(now time.Time, side dataplane.Side, packet []byte) *Verdict {
	s := a.step(now)
	s.say("%d octets from the %s side", len(packet), side)
	if side == dataplane.SideIPv4 {
		s.fromIPv4(packet)
	} else {
		s.fromIPv6(packet)
	}
	return s.Verdict
}

// Expire says what becomes, at now, of fragments whose packet was not complete
// in time.
func (a *AFTR) Expire(now time.Time) *Verdict {
	s := a.step(now)
	s.expire()
	return s.Verdict
}

// Drain says that the exceptions were taken from their queue.
func (a *AFTR) Drain() { a.queued = 0 }

func (a *AFTR) step(now time.Time) *step {
	return &step{a, now, &Verdict{
		ToB4:   make(map[softwire.Key]dataplane.Traffic),
		FromB4: make(map[softwire.Key]dataplane.Traffic),
	}}
}

// step is the processing of one packet.
type step struct {
	*AFTR
	now time.Time
	*Verdict
}

// on returns the softwires of an IPv4 address.
func (a *AFTR) on(ip netip.Addr) []softwire.Softwire {
	var all []softwire.Softwire
	for _, sw := range a.Softwires {
		if sw.IPv4 == ip {
			all = append(all, sw)
		}
	}
	return all
}

// ours reports whether packets to ip can only be for a lwB4.
func (a *AFTR) ours(ip netip.Addr) bool {
	for _, p := range a.Network.Pools {
		if p.Contains(ip) {
			return true
		}
	}
	return len(a.on(ip)) > 0
}

// isBR reports whether ip is one of our BR addresses.
func (a *AFTR) isBR(ip netip.Addr) bool {
	return slices.Contains(a.Network.BRs, ip)
}

// isB4 reports whether ip is the address of a lwB4.
func (a *AFTR) isB4(ip netip.Addr) bool {
	for _, sw := range a.Softwires {
		if sw.B4 == ip {
			return true
		}
	}
	return false
}

// holds reports whether a softwire has a port: RFC 7597 section 5.1 reads it as
// psid-offset bits, PSID and the rest.
func holds(sw softwire.Softwire, port uint16) bool {
	p := sw.PortSet.Params()
	a, k := uint(p.Offset()), uint(p.Length())
	if k == 0 {
		return true
	}
	if a > 0 && port>>(16-a) == 0 {
		return false
	}
	psid := port << a >> a >> (16 - a - k)
	return psid == sw.PortSet.PSID()
}

// whole reports whether the softwire has its IPv4 address to itself.
func whole(sw softwire.Softwire) bool { return sw.PortSet.Params().Length() == 0 }

// holder finds the softwire that has a port of an address.
func holder(all []softwire.Softwire, port uint16) *softwire.Softwire {
	for i := range all {
		if holds(all[i], port) {
			return &all[i]
		}
	}
	return nil
}

// martianSource4 reports whether no unicast packet has ip as its source (RFC
// 1812 section 5.3.7): "this" network, loopback, multicast, class E.
func martianSource4(ip netip.Addr) bool {
	first := ip.As4()[0]
	return first == 0 || first == 127 || first >= 224
}

// martianDestination4 is martianSource4 for destinations: the same networks.
func martianDestination4(ip netip.Addr) bool { return martianSource4(ip) }

// martianSource6 reports whether no unicast packet from elsewhere has ip as its
// source (RFC 4291 section 2.5).
func martianSource6(ip netip.Addr) bool {
	return ip.IsMulticast() || ip.IsUnspecified() || ip.IsLoopback() || ip.IsLinkLocalUnicast()
}
