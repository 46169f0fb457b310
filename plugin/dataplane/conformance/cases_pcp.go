package conformance

import (
	"bytes"
	"fmt"
	"net/netip"

	"github.com/lwaftr/lw4o6/plugin/dataplane"
)

// pcpPort is where PCP servers listen (RFC 6887 section 19.1).
const pcpPort = 5351

// The well-known addresses of the softwire (RFC 6333 section 5.7).
var (
	wellKnownAFTR = netip.MustParseAddr("192.0.0.1")
	wellKnownB4   = netip.MustParseAddr("192.0.0.2")
)

// pcpRequest is PCP in the softwire from lwB4 src to br, from the inner source
// address ip.
func pcpRequest(src, br, ip netip.Addr, payload []byte) []byte {
	p := udp4(netip.AddrPortFrom(ip, 4321), netip.AddrPortFrom(wellKnownAFTR, pcpPort), payload)
	return outer{src: src, dst: br, hops: 64}.around(p.bytes())
}

// pcpPlain is PCP to br over plain IPv6.
func pcpPlain(src, br netip.Addr, payload []byte) []byte {
	return udp6(netip.AddrPortFrom(src, 4321), netip.AddrPortFrom(br, pcpPort), payload)
}

// becomes requires that packet becomes exactly one exception and nothing comes
// out of it.
func (l *lab) becomes(reason dataplane.Reason, packet []byte) {
	l.Helper()
	l.forwards(dataplane.SideIPv6, packet)
	got := l.exceptions()
	if len(got) != 1 {
		l.Errorf("%d exceptions, want 1 (%s) for %s", len(got), reason, describe(packet))
		return
	}
	if e := got[0]; e.Side != dataplane.SideIPv6 || e.Reason != reason || !bytes.Equal(e.Packet, packet) {
		l.Errorf("exception from the %s side, reason %s: %s\nwant reason %s: %s",
			e.Side, e.Reason, describe(e.Packet), reason, describe(packet))
	}
}

// becomesNone requires that packet is dropped and becomes no exception.
func (l *lab) becomesNone(packet []byte) {
	l.Helper()
	l.drops(dataplane.SideIPv6, packet)
	for _, e := range l.exceptions() {
		l.Errorf("exception (%s) for %s", e.Reason, describe(e.Packet))
	}
}

// exceptions returns those that wait. One that marks the end is sent after
// them.
func (l *lab) exceptions() []dataplane.Exception {
	l.Helper()
	l.serial++
	mark := fmt.Appendf(nil, "%s: exception %06d", l.Name(), l.serial)
	l.send(dataplane.SideIPv6, pcpRequest(l.marker.B4, l.marker.BR, wellKnownB4, mark))
	ctx, cancel := l.patiently()
	defer cancel()
	var got []dataplane.Exception
	for {
		into := make([]dataplane.Exception, 8)
		n, err := l.dp.Exceptions(ctx, into)
		if err != nil || n < 1 || n > len(into) {
			l.Fatalf("Exceptions returned %d, %v before the one that was sent last", n, err)
		}
		for _, e := range into[:n] {
			if bytes.HasSuffix(e.Packet, mark) {
				return got
			}
			got = append(got, e)
		}
	}
}

// pcpCases: PCP is an exception before the binding is looked at, because it is
// how a lwB4 gets one.
func pcpCases() []testCase {
	return []testCase{
		{name: "pcp/in-the-softwire", run: func(l *lab) {
			l.put(alice(), carol())
			l.becomes(dataplane.ReasonPCPSoftwire, pcpRequest(alice().B4, br1, wellKnownB4, text(60)))
			l.becomes(dataplane.ReasonPCPSoftwire, pcpRequest(carol().B4, br2, wellKnownB4, text(60)))
		}},
		{name: "pcp/in-the-softwire-without-binding", run: func(l *lab) {
			l.becomes(dataplane.ReasonPCPSoftwire, pcpRequest(b4(80), br1, wellKnownB4, text(60)))
			l.becomes(dataplane.ReasonPCPSoftwire, pcpRequest(b4(80), br2, wellKnownB4, text(24)))
		}},
		{name: "pcp/other-address-of-192.0.0.0-29", run: func(l *lab) {
			// RFC 6333 section 5.7: a B4 may use any of the range.
			for _, ip := range []string{"192.0.0.3", "192.0.0.6", "192.0.0.7"} {
				l.becomes(dataplane.ReasonPCPSoftwire, pcpRequest(b4(80), br1, netip.MustParseAddr(ip), text(60)))
			}
		}},
		{name: "pcp/inner-source-outside-192.0.0.0-29", required: true, mayDetect: []Check{InnerAddress}, run: func(l *lab) {
			// Hosts behind the lwB4 must not move its binding.
			l.put(alice())
			for _, ip := range []string{"192.0.0.8", "192.0.0.10", "192.168.1.20", "10.0.0.1"} {
				l.becomesNone(pcpRequest(alice().B4, br1, netip.MustParseAddr(ip), text(60)))
			}
		}},
		{name: "pcp/near-misses", required: true, mayDetect: []Check{InnerAddress}, run: func(l *lab) {
			l.put(alice())
			from, to := netip.AddrPortFrom(wellKnownB4, 4321), netip.AddrPortFrom(wellKnownAFTR, pcpPort)
			for _, p := range []packet4{
				udp4(from, netip.AddrPortFrom(wellKnownAFTR, pcpPort+1), text(60)),
				udp4(from, netip.AddrPortFrom(wellKnownAFTR, 53), text(60)),
				udp4(from, netip.AddrPortFrom(host, pcpPort), text(60)),
				udp4(from, netip.AddrPortFrom(ipFree, pcpPort), text(60)),
				tcp4(from, to, text(60)),
				udp4(netip.AddrPortFrom(wellKnownB4, pcpPort), netip.AddrPortFrom(wellKnownAFTR, 4321), text(60)),
			} {
				l.becomesNone(fromB4(alice(), p))
			}
		}},
		{name: "pcp/softwire-to-unknown-br-address", required: true, mayDetect: []Check{OuterDestination}, run: func(l *lab) {
			l.put(alice())
			unknown := netip.MustParseAddr("2001:db8:ffff::99")
			l.becomesNone(pcpRequest(alice().B4, unknown, wellKnownB4, text(60)))
		}},
		{name: "pcp/plain-ipv6", run: func(l *lab) {
			l.put(alice())
			for _, br := range []netip.Addr{br1, br2} {
				l.becomes(dataplane.ReasonPCP, pcpPlain(alice().B4, br, text(60)))
				l.becomes(dataplane.ReasonPCP, pcpPlain(netip.MustParseAddr("2001:db8:200::9"), br, text(60)))
			}
		}},
		{name: "pcp/exceptions-are-bounded", run: exceptionsAreBounded},
	}
}

// exceptionsAreBounded floods the queue while nobody reads.
func exceptionsAreBounded(l *lab) {
	if l.rig.ExceptionLimit <= 0 {
		l.Fatalf("Rig.ExceptionLimit is %d: the queue must have a bound", l.rig.ExceptionLimit)
	}
	l.put(alice())
	before := l.dropped()
	const more, burst = 100, 32
	sent := l.rig.ExceptionLimit + more
	for i := range sent {
		l.send(dataplane.SideIPv6, pcpRequest(b4(80), br1, wellKnownB4, text(60)))
		if i%burst == 0 {
			// No faster than the data plane takes them.
			l.flush(dataplane.SideIPv6)
		}
	}
	l.carries(alice())
	// Every packet waits or is counted.
	waiting := func() int { return sent - int(l.dropped()-before) }
	if !l.eventually(func() bool { return waiting() <= l.rig.ExceptionLimit }) {
		l.Fatalf("%d exceptions wait, more than the limit of %d, or some vanished uncounted", waiting(), l.rig.ExceptionLimit)
	}
	ctx, cancel := l.patiently()
	defer cancel()
	into := make([]dataplane.Exception, sent)
	n, err := l.dp.Exceptions(ctx, into)
	if err != nil || n < 1 {
		l.Fatalf("Exceptions returned %d, %v", n, err)
	}
	// There is room again, so the mark that ends the rest gets through.
	n += len(l.exceptions())
	if n > l.rig.ExceptionLimit || n != waiting() {
		l.Errorf("%d exceptions of %d sent came out, limit %d, %d expected to wait", n, sent, l.rig.ExceptionLimit, waiting())
	}
}
