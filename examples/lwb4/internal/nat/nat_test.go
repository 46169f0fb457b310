package nat

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/google/nftables"
	"golang.org/x/sys/unix"

	"github.com/lwaftr/lw4o6/plugin/portset"
)

func TestEveryFlowLeavesFromThePortSet(t *testing.T) {
	for _, params := range []struct {
		a, k   uint8
		psid   uint16
		ranges int // that must be used at least
	}{
		{0, 0, 0, 1},
		{0, 1, 1, 1},
		{0, 6, 52, 1},
		{0, 14, 9000, 1},
		{0, 16, 40000, 1},
		{1, 3, 5, 1},
		{2, 6, 9, 3},
		{4, 8, 0, 10},
		{6, 8, 52, 40},
		{6, 10, 1023, 40},
		{12, 4, 3, 100},
	} {
		t.Run(fmt.Sprintf("a=%d k=%d psid=%d", params.a, params.k, params.psid), func(t *testing.T) {
			s := set(t, params.a, params.k, params.psid)
			h := newHome(t)
			h.install(t, h.config(s))
			var out [][]byte
			for i := range uint16(300) {
				out = append(out, ipv4(unix.IPPROTO_UDP, hostAddr, udp(1025+i*211)),
					ipv4(unix.IPPROTO_TCP, hostAddr, syn(hostAddr, 1025+i*211)),
					ipv4(unix.IPPROTO_ICMP, hostAddr, echo(1025+i*211)))
			}
			raw(t, h.host, out...)
			seen := map[uint8]int{}
			ranges := map[portset.Range]bool{}
			for _, p := range h.packets(t) {
				if p.source != shared || !s.Contains(p.port) {
					t.Errorf("protocol %d left from %s port %d, which is not in %s", p.protocol, p.source, p.port, s)
				}
				seen[p.protocol]++
				for r := range s.Ranges() {
					if r.First <= p.port && p.port <= r.Last {
						ranges[r] = true
					}
				}
			}
			for _, protocol := range []uint8{unix.IPPROTO_TCP, unix.IPPROTO_UDP, unix.IPPROTO_ICMP} {
				if least := min(300, s.Count()) / 3; seen[protocol] < max(least, 1) {
					t.Errorf("%d of 300 packets of protocol %d left through %d ports", seen[protocol], protocol, s.Count())
				}
			}
			if len(ranges) < params.ranges {
				t.Errorf("%d ranges are in use, want at least %d", len(ranges), params.ranges)
			}
		})
	}
}

func TestOneSourceKeepsItsPort(t *testing.T) {
	h := newHome(t)
	h.install(t, h.config(set(t, 6, 8, 52)))
	must(t, h.internet.Address("lo", netip.MustParsePrefix("203.0.113.2/32")))
	first := ipv4(unix.IPPROTO_UDP, hostAddr, udp(5000))
	second := slices.Clone(first)
	second[19] = 2
	raw(t, h.host, first, second)
	got := h.packets(t)
	if len(got) != 2 || got[0].port != got[1].port {
		t.Errorf("one source left to two destinations as %+v, want the same port", got)
	}
}

func TestExhaustedSetLeaksNothing(t *testing.T) {
	h := newHome(t)
	s := set(t, 0, 14, 9000)
	h.install(t, h.config(s))
	var out [][]byte
	for port := uint16(10000); port < 10100; port++ {
		out = append(out, ipv4(unix.IPPROTO_UDP, hostAddr, udp(port)))
	}
	raw(t, h.host, out...)
	got := h.packets(t)
	if len(got) != s.Count() {
		t.Errorf("%d packets left, want one for each of %d ports", len(got), s.Count())
	}
	for _, p := range got {
		if p.source != shared || !s.Contains(p.port) {
			t.Errorf("a packet left from %s port %d", p.source, p.port)
		}
	}
}

func TestProtocolsWithoutPortsNeedWholeAddress(t *testing.T) {
	const gre = 47
	for name, row := range map[string]struct {
		set  portset.PortSet
		want int
	}{
		"shared": {set(t, 0, 6, 1), 0},
		"whole":  {portset.PortSet{}, 1},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHome(t)
			h.install(t, h.config(row.set))
			raw(t, h.host, ipv4(gre, hostAddr, make([]byte, 8)))
			if got := h.packets(t); len(got) != row.want {
				t.Errorf("%d packets left, want %d", len(got), row.want)
			}
		})
	}
}

// TestVerifyStandsAlone takes the translation away: what verify lets through
// must be right whatever happened before it.
func TestVerifyStandsAlone(t *testing.T) {
	h := newHome(t)
	for _, s := range []portset.PortSet{set(t, 0, 6, 52), set(t, 6, 8, 52), set(t, 1, 15, 7), {}} {
		t.Run(s.String(), func(t *testing.T) {
			c := h.config(s)
			only := slices.DeleteFunc(chains(c), func(ch chain) bool { return ch.kind == nftables.ChainTypeNAT })
			must(t, h.cpe.Do(func() error { return errors.Join(Remove(), install(c, only)) }))
			var r portset.Range
			for r = range s.Ranges() {
			}
			ports := []uint16{r.First, r.Last, r.First - 1, r.Last + 1, 0, 1, 1023, 1024, 65535}
			var out [][]byte
			want := map[string]int{}
			for _, port := range ports {
				for protocol, message := range map[uint8][]byte{
					unix.IPPROTO_UDP: udp(port), unix.IPPROTO_TCP: syn(shared, port), unix.IPPROTO_ICMP: echo(port),
				} {
					out = append(out, ipv4(protocol, shared, message), ipv4(protocol, hostAddr, message))
					if s.Contains(port) {
						want[fmt.Sprint(protocol, port)]++
					}
				}
			}
			raw(t, h.cpe, out...)
			got := map[string]int{}
			for _, p := range h.packets(t) {
				if p.source != shared {
					t.Errorf("a packet left from %s", p.source)
				}
				got[fmt.Sprint(p.protocol, p.port)]++
			}
			if fmt.Sprint(got) != fmt.Sprint(want) {
				t.Errorf("left by protocol and port: %v, want %v", got, want)
			}
		})
	}
}

func TestICMPErrorsLeaveTranslated(t *testing.T) {
	h := newHome(t)
	s := set(t, 6, 8, 52)
	h.install(t, h.config(s))
	// The host asks from a port that it then closes, so that the answer makes
	// it send port unreachable.
	raw(t, h.host, ipv4(unix.IPPROTO_UDP, hostAddr, udp(6000)))
	out := h.packets(t)
	if len(out) == 0 {
		t.Fatal("nothing left")
	}
	answer := udp(9)
	binary.BigEndian.PutUint16(answer[2:], out[0].port)
	packet := ipv4(unix.IPPROTO_UDP, serverAddr, answer)
	copy(packet[16:], shared.AsSlice())
	raw(t, h.internet, packet)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	for {
		f, err := h.wire.Next(ctx)
		must(t, err)
		b := f.Packet()
		if f.Outgoing || len(b) < 56 || b[9] != unix.IPPROTO_ICMP {
			continue
		}
		source, port := netip.AddrFrom4([4]byte(b[12:])), binary.BigEndian.Uint16(b[20+embedded+2:])
		if source != shared || b[20] != 3 || port != out[0].port {
			t.Errorf("an ICMP type %d left from %s about port %d, want type 3 from %s about %d", b[20], source, port, shared, out[0].port)
		}
		return
	}
}

func TestMSSIsClamped(t *testing.T) {
	h := newHome(t)
	h.install(t, h.config(set(t, 0, 6, 1)))
	raw(t, h.host, ipv4(unix.IPPROTO_TCP, hostAddr, syn(hostAddr, 7000)))
	got := h.packets(t)
	if len(got) != 1 || binary.BigEndian.Uint16(got[0].payload[22:]) != 1300 {
		t.Fatalf("left %+v, want one SYN with MSS 1300", got)
	}
}

func TestForwardReachesHostAndNothingElseDoes(t *testing.T) {
	h := newHome(t)
	s := set(t, 0, 6, 1)
	c := h.config(s)
	c.Forwards = []Forward{{Protocol: UDP, Port: 1500, To: netip.AddrPortFrom(hostAddr, 7)}}
	h.install(t, c)
	var service net.PacketConn
	must(t, h.host.Do(func() (err error) {
		service, err = net.ListenPacket("udp4", "192.168.1.2:7")
		return err
	}))
	defer service.Close()
	inside, err := h.host.Capture("eth0")
	must(t, err)
	defer inside.Close()
	for _, port := range []uint16{1501, 1499, 7} { // the forwarded one comes last
		sendTo(t, h, port)
	}
	sendTo(t, h, 1500)
	must(t, service.SetReadDeadline(time.Now().Add(20*time.Second)))
	buf := make([]byte, 10)
	n, from, err := service.ReadFrom(buf)
	must(t, err)
	if string(buf[:n]) != "1500" || !from.(*net.UDPAddr).IP.Equal(serverAddr.AsSlice()) {
		t.Errorf("received %q from %s, want 1500 from %s", buf[:n], from, serverAddr)
	}
	frames, err := inside.Drain()
	must(t, err)
	udpPackets := 0
	for _, f := range frames {
		if b := f.Packet(); len(b) > 20 && b[9] == unix.IPPROTO_UDP {
			udpPackets++
		}
	}
	if udpPackets != 1 {
		t.Errorf("%d datagrams reached the LAN, want 1", udpPackets)
	}
}

func TestInstallTwiceAndRemove(t *testing.T) {
	h := newHome(t)
	c := h.config(set(t, 0, 6, 1))
	h.install(t, c)
	h.install(t, c)
	must(t, h.cpe.Do(Remove))
	must(t, h.cpe.Do(Remove))
	must(t, h.cpe.Do(func() error {
		conn, err := nftables.New()
		if err != nil {
			return err
		}
		tables, err := conn.ListTables()
		if len(tables) != 0 {
			t.Errorf("%d tables are left", len(tables))
		}
		return err
	}))
}
