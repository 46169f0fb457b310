package nat

import (
	"bytes"
	"context"
	"encoding/binary"
	"net/netip"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/lwaftr/lw4o6/examples/lwb4/internal/assign"
	"github.com/lwaftr/lw4o6/plugin/portset"
)

func (h home) forget(t *testing.T, address netip.Addr, still assign.Ports) (n int) {
	t.Helper()
	must(t, h.cpe.Do(func() (err error) { n, err = Forget(address, still); return err }))
	return n
}

// TestChangeOfPortSet: flows that were there go on from the new port set, and
// nothing leaves from the old one, not even between the rules and the flush.
func TestChangeOfPortSet(t *testing.T) {
	h := newHome(t)
	before, after := set(t, 0, 8, 21), set(t, 6, 8, 52) // which have no port in common
	h.install(t, h.config(before))
	var out [][]byte
	for port := uint16(5000); port < 5050; port++ {
		out = append(out, ipv4(unix.IPPROTO_UDP, hostAddr, udp(port)), ipv4(unix.IPPROTO_ICMP, hostAddr, echo(port)))
	}
	raw(t, h.host, out...)
	if got := h.packets(t); len(got) != len(out) {
		t.Fatalf("%d of %d left", len(got), len(out))
	}
	c := h.config(after)
	h.install(t, c)
	raw(t, h.host, out...)
	if got := h.packets(t); len(got) != 0 {
		t.Errorf("%d packets left before the flows were flushed: %+v", len(got), got[0])
	}
	if n := h.forget(t, shared, c.Ports); n != len(out) {
		t.Errorf("%d flows forgotten, want %d", n, len(out))
	}
	if n := h.forget(t, shared, c.Ports); n != 0 {
		t.Errorf("%d flows were left", n)
	}
	raw(t, h.host, out...)
	got := h.packets(t)
	if len(got) < len(out)/3 {
		t.Errorf("only %d of %d left", len(got), len(out))
	}
	for _, p := range got {
		if !after.Contains(p.port) {
			t.Errorf("protocol %d left from port %d, which is not in %s", p.protocol, p.port, after)
		}
	}
}

// TestSeveralPortSets: sources are spread over the sets, and one that is given
// back takes its flows with it and no others.
func TestSeveralPortSets(t *testing.T) {
	h := newHome(t)
	three := []portset.PortSet{set(t, 0, 6, 5), set(t, 0, 6, 9), set(t, 0, 7, 9)}
	c := h.config(three[0])
	c.Ports.Sets = three
	h.install(t, c)
	const flows = 150
	var out [][]byte
	for port := uint16(5000); port < 5000+flows; port++ {
		out = append(out, ipv4(unix.IPPROTO_UDP, hostAddr, udp(port)))
	}
	raw(t, h.host, out...)
	perSet := make([]int, len(three))
	for _, p := range h.packets(t) {
		if !c.Ports.Contains(p.port) {
			t.Errorf("left from port %d", p.port)
		}
		for i, s := range three {
			if s.Contains(p.port) {
				perSet[i]++
			}
		}
	}
	for i, n := range perSet {
		if n < flows/6 {
			t.Errorf("%d of %d flows in %s: %v", n, flows, three[i], perSet)
		}
	}
	var u Usage
	must(t, h.cpe.Do(func() (err error) { u, err = Use(c.Ports); return err }))
	for i := range three {
		if u.Ports[i] != perSet[i] {
			t.Errorf("usage %+v, want %v", u, perSet)
		}
	}
	// What is closed keeps its flows and gets no new ones.
	c.Closed = three[2:]
	h.install(t, c)
	for port := uint16(8000); port < 8050; port++ {
		out = append(out, ipv4(unix.IPPROTO_UDP, hostAddr, udp(port)))
	}
	raw(t, h.host, out...)
	drained := 0
	for _, p := range h.packets(t) {
		if three[2].Contains(p.port) {
			drained++
		}
	}
	if drained != perSet[2] {
		t.Errorf("%d flows in the set that is closed, want %d", drained, perSet[2])
	}
	c.Ports.Sets, c.Closed = three[:2], nil
	h.install(t, c)
	if n := h.forget(t, shared, c.Ports); n != perSet[2] {
		t.Errorf("%d flows forgotten, want %d", n, perSet[2])
	}
}

// await reads a link until a packet is what is wanted.
func (h home) await(t *testing.T, where string, want func(packet []byte) bool, then func()) {
	t.Helper()
	inside, err := h.host.Capture(where)
	must(t, err)
	defer inside.Close()
	then()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	for {
		f, err := inside.Next(ctx)
		must(t, err)
		if b := f.Packet(); !f.Outgoing && len(b) >= 28 && want(b) {
			return
		}
	}
}

func isUnreachable(code byte) func([]byte) bool {
	return func(b []byte) bool { return b[9] == unix.IPPROTO_ICMP && b[20] == 3 && b[21] == code }
}

func isReset(b []byte) bool { return b[9] == unix.IPPROTO_TCP && b[20+offsetFlags]&flagRST != 0 }

func (h home) counts(t *testing.T) (c Counts) {
	t.Helper()
	must(t, h.cpe.Do(func() (err error) { c, err = Read(); return err }))
	return c
}

// TestWithoutPortsHostsAreTold: nothing leaves, and a host need not wait.
func TestWithoutPortsHostsAreTold(t *testing.T) {
	h := newHome(t)
	c := h.config(portset.PortSet{})
	c.Ports = assign.Ports{}
	h.install(t, c)
	h.await(t, "eth0", isUnreachable(icmpNoNetwork), func() { raw(t, h.host, ipv4(unix.IPPROTO_UDP, hostAddr, udp(5000))) })
	if got := h.packets(t); len(got) != 0 {
		t.Errorf("left: %+v", got)
	}
	if n := h.counts(t).Unassigned; n != 1 {
		t.Errorf("%d packets are counted, want 1", n)
	}
}

// TestManyToOneDestination: of so many ports that the kernel does not look at all of
// them for a free one, as many connections to one destination leave as are let
// through, and the next is refused.
func TestManyToOneDestination(t *testing.T) {
	h := newHome(t)
	s := set(t, 0, 6, 9)
	h.install(t, h.config(s))
	port, want := uint16(5000), s.Count()/4*3
	for want > 0 {
		var out [][]byte
		for range min(want, 100) { // more at once may not find room in the kernel
			out = append(out, ipv4(unix.IPPROTO_UDP, hostAddr, udp(port)))
			port++
		}
		raw(t, h.host, out...)
		if left := len(h.packets(t)); left != len(out) {
			t.Fatalf("of %d packets, %d before the last, %d left", len(out), want, left)
		}
		want -= len(out)
	}
	h.await(t, "eth0", isUnreachable(icmpProhibited), func() { raw(t, h.host, ipv4(unix.IPPROTO_UDP, hostAddr, udp(port))) })
}

// TestExhaustionIsAnswered: the connection to one destination that there is no
// port for is refused at once; others go on.
func TestExhaustionIsAnswered(t *testing.T) {
	h := newHome(t)
	s := set(t, 0, 12, 1000)
	h.install(t, h.config(s))
	connect := func(from, to int) {
		for port := from; port < to; port++ {
			for _, p := range [][]byte{
				ipv4(unix.IPPROTO_TCP, hostAddr, syn(hostAddr, uint16(port))), ipv4(unix.IPPROTO_UDP, hostAddr, udp(uint16(port))),
			} {
				// Nobody is there, so that no connection ends. The address has the same
				// checksum as the server's.
				copy(p[16:], []byte{113, 1, 203, 0})
				raw(t, h.host, p)
			}
		}
	}
	connect(5000, 5000+s.Count())
	if got := h.packets(t); len(got) != 2*s.Count() {
		t.Errorf("%d packets left, want 2 of each of %d ports", len(got), s.Count())
	}
	h.await(t, "eth0", isReset, func() { connect(6000, 6001) })
	h.await(t, "eth0", isUnreachable(icmpProhibited), func() { connect(6001, 6002) })
	if n := h.counts(t).Exhausted; n != 4 {
		t.Errorf("%d packets are counted, want 4", n)
	}
	if got := h.packets(t); len(got) != 0 {
		t.Errorf("left: %+v", got)
	}
	elsewhere := ipv4(unix.IPPROTO_UDP, hostAddr, udp(6000))
	binary.BigEndian.PutUint16(elsewhere[22:], 10)
	raw(t, h.host, elsewhere)
	if got := h.packets(t); len(got) != 1 || !s.Contains(got[0].port) {
		t.Errorf("to another destination left %+v", got)
	}
}

// TestMapping: a port of a host has its port outside in both directions, for
// everybody or for one peer, and the counters outlast a change of mappings.
func TestMapping(t *testing.T) {
	h := newHome(t)
	c := h.config(set(t, 0, 6, 1))
	h.install(t, c)
	const gre = 47
	raw(t, h.host, ipv4(gre, hostAddr, make([]byte, 8)))
	dropped := h.counts(t).Dropped
	if dropped == 0 {
		t.Error("nothing is counted as dropped")
	}
	host := netip.AddrPortFrom(hostAddr, 5000)
	c.Mappings = []Mapping{
		{Protocol: UDP, Host: host, Port: 1500},
		{Protocol: UDP, Host: netip.AddrPortFrom(hostAddr, 5001), Port: 1501, Peer: netip.AddrPortFrom(serverAddr, 9)},
		{Protocol: UDP, Host: netip.AddrPortFrom(hostAddr, 5002), Port: 1502, Peer: netip.AddrPortFrom(serverAddr, 10)},
	}
	h.install(t, c)
	raw(t, h.host, ipv4(unix.IPPROTO_UDP, hostAddr, udp(5000)), ipv4(unix.IPPROTO_UDP, hostAddr, udp(5001)))
	got := h.packets(t)
	if len(got) != 2 || got[0].port != 1500 || got[1].port != 1501 {
		t.Errorf("left: %+v", got)
	}
	if n := h.counts(t).Dropped; n != dropped {
		t.Errorf("%d are counted as dropped, it was %d", n, dropped)
	}
	arrives := func(port uint16) func([]byte) bool {
		return func(b []byte) bool {
			return b[9] == unix.IPPROTO_UDP && binary.BigEndian.Uint16(b[22:]) == port && bytes.HasSuffix(b, []byte("asked"))
		}
	}
	ask := func(port uint16) {
		message := append(udp(9), "asked"...)
		binary.BigEndian.PutUint16(message[2:], port)
		binary.BigEndian.PutUint16(message[4:], uint16(len(message)))
		packet := ipv4(unix.IPPROTO_UDP, serverAddr, message)
		copy(packet[16:], shared.AsSlice())
		raw(t, h.internet, packet)
	}
	must(t, h.cpe.Do(func() error { _, err := ForgetPort(shared, UDP, 1500); return err }))
	must(t, h.cpe.Do(func() error { _, err := ForgetPort(shared, UDP, 1501); return err }))
	h.await(t, "eth0", arrives(5000), func() { ask(1500) })
	inside, err := h.host.Capture("eth0")
	must(t, err)
	defer inside.Close()
	h.await(t, "eth0", arrives(5001), func() { ask(1502); ask(1501) })
	frames, err := inside.Drain()
	must(t, err)
	for _, f := range frames {
		if b := f.Packet(); len(b) >= 28 && arrives(5002)(b) {
			t.Error("another than the peer was let in")
		}
	}
}
