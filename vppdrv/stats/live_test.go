package stats

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"

	"github.com/lwaftr/lw4o6/plugin/dataplane"
	"github.com/lwaftr/lw4o6/vppdrv/vpptest"
)

// patience is how long a reading may fail to show what VPP has done already.
const patience = 30 * time.Second

// lab is a VPP with one softwire and both sides of it.
type lab struct {
	*vpptest.VPP
	t        *testing.T
	ip4, ip6 *vpptest.Port
	reader   *Reader
}

func newLab(t *testing.T, c vpptest.Config) *lab {
	v := vpptest.Start(t, c)
	l := &lab{VPP: v, t: t, ip4: v.AddPort(), ip6: v.AddPort(), reader: New(v.Stats)}
	l.configure()
	return l
}

func (l *lab) configure() {
	l.Lines(fmt.Sprintf(`
		set interface ip address %[1]s 192.0.2.1/24
		set interface ip address %[2]s 2001:db8:f::1/64
		set ip neighbor %[1]s 192.0.2.2 %[3]s
		set ip neighbor %[2]s 2001:db8:f::2 %[4]s
		ip route add 198.51.100.0/24 via 192.0.2.2 %[1]s
		ip route add 203.0.113.0/24 via drop
		ip route add 2001:db8:1::/48 via 2001:db8:f::2 %[2]s
		map params security-check enable fragments on
		map params icmp6 unreachables on
		map interface %[1]s
		map interface %[2]s`, l.ip4.Interface, l.ip6.Interface, l.ip4.MAC, l.ip6.MAC))
	l.addDomain()
}

func (l *lab) addDomain() {
	l.Lines(`
		map add domain tag test ip4-pfx 100.64.0.1/32 ip6-pfx ::/128 ip6-src 2001:db8::1/128 ea-bits-len 0 psid-offset 0 psid-len 6 mtu 1500
		map add rule index 0 psid 5 ip6-dst 2001:db8:1::5`)
}

func (l *lab) read() *Reading {
	l.t.Helper()
	r, err := l.reader.Read(l.t.Context())
	if err != nil {
		l.t.Fatal(err)
	}
	return r
}

// until reads until something is to be seen.
func (l *lab) until(what string, seen func(*Reading) bool) *Reading {
	l.t.Helper()
	deadline := time.Now().Add(patience)
	for {
		r := l.read()
		if seen(r) {
			return r
		}
		if time.Now().After(deadline) {
			l.t.Fatalf("%s: not seen; domains %+v, interfaces %+v", what, r.Domains, r.Interfaces)
		}
	}
}

func count(r *Reading, event string) uint64 {
	for _, e := range r.Events {
		if e.Name == event {
			return e.Packets
		}
	}
	return 0
}

// udp is an IPv4 packet with some octets of payload.
func udp(src, dst string, from, to uint16, ttl uint8, df bool, payload int) []byte {
	ip := &layers.IPv4{
		Version: 4, TTL: ttl, Protocol: layers.IPProtocolUDP,
		SrcIP: netip.MustParseAddr(src).AsSlice(), DstIP: netip.MustParseAddr(dst).AsSlice(),
	}
	if df {
		ip.Flags = layers.IPv4DontFragment
	}
	u := &layers.UDP{SrcPort: layers.UDPPort(from), DstPort: layers.UDPPort(to)}
	_ = u.SetNetworkLayerForChecksum(ip) // only fails for other layers
	return serialized(ip, u, gopacket.Payload(make([]byte, payload)))
}

func tunnelled(src string, inner []byte) []byte {
	return serialized(&layers.IPv6{
		Version: 6, HopLimit: 64, NextHeader: layers.IPProtocolIPv4,
		SrcIP: netip.MustParseAddr(src).AsSlice(), DstIP: netip.MustParseAddr("2001:db8::1").AsSlice(),
	}, gopacket.Payload(inner))
}

func serialized(all ...gopacket.SerializableLayer) []byte {
	b := gopacket.NewSerializeBuffer()
	if err := gopacket.SerializeLayers(b, gopacket.SerializeOptions{FixLengths: true, ComputeChecksums: true}, all...); err != nil {
		panic(err)
	}
	return b.Bytes()
}

// TestLiveNames: VPP has every counter that is read, so none is misspelt.
func TestLiveNames(t *testing.T) {
	l := newLab(t, vpptest.Config{})
	m, err := fetch(t.Context(), l.Stats)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	h, err := readHeader(m)
	if err != nil {
		t.Fatal(err)
	}
	want := wanted(events())
	d, err := (&segment{memory: m, size: m.size, header: h}).open(want)
	if err != nil {
		t.Fatal(err)
	}
	var missing []string
	for name := range want {
		if strings.HasPrefix(name, errorPrefix+"policer-input/") && !l.Has("policer") {
			continue // the driver does without
		}
		if _, ok := d.names[name]; !ok {
			missing = append(missing, name)
		}
	}
	slices.Sort(missing)
	t.Logf("%d names, missing: %q", len(want), missing)
	if len(missing) > 0 {
		t.Errorf("VPP has no counters %q", missing)
	}
}

// TestLiveEvents sends packets, each of which is counted once.
func TestLiveEvents(t *testing.T) {
	l := newLab(t, vpptest.Config{})
	const peer, shared, b4, stranger = "198.51.100.7", "100.64.0.1", "2001:db8:1::5", "2001:db8:1::6"
	const port = 5200 // of PSID 5
	wrongSum := udp(peer, shared, 80, port, 64, false, 20)
	wrongSum[10] ^= 1
	unknownProtocol := serialized(&layers.IPv6{
		Version: 6, HopLimit: 64, NextHeader: 253,
		SrcIP: netip.MustParseAddr(b4).AsSlice(), DstIP: netip.MustParseAddr("2001:db8:f::1").AsSlice(),
	}, gopacket.Payload(make([]byte, 8)))
	before := l.read()
	for _, c := range []struct {
		name   string
		from   *vpptest.Port
		packet []byte
		counts []string
	}{
		{"unbound port", l.ip4, udp(peer, shared, 80, 6200, 64, false, 20), []string{"drop-unbound-port"}},
		{"TTL", l.ip4, udp(peer, shared, 80, port, 1, false, 20), []string{"drop-ttl"}},
		{"too big", l.ip4, udp(peer, shared, 80, port, 64, true, 1450), []string{"drop-too-big", "sent-icmpv4-destination"}},
		{"checksum", l.ip4, wrongSum, []string{"drop-ipv4-checksum"}},
		{"null route", l.ip4, udp(peer, "203.0.113.1", 80, port, 64, false, 20), []string{"drop-no-route"}},
		{"no neighbour", l.ip4, udp(peer, "192.0.2.77", 80, port, 64, false, 20), []string{"drop-no-neighbor"}},
		{"other lwB4", l.ip6, tunnelled(stranger, udp(shared, peer, port, 80, 64, false, 20)),
			[]string{"drop-softwire-check", "sent-icmpv6-destination"}},
		{"other port", l.ip6, tunnelled(stranger, udp(shared, peer, 9999, 80, 64, false, 20)), []string{"drop-softwire-check"}},
		{"unbound source", l.ip6, tunnelled(b4, udp("100.64.0.9", peer, port, 80, 64, false, 20)), []string{"drop-inner-source"}},
		{"for VPP itself", l.ip6, unknownProtocol, []string{"drop-local"}},
	} {
		if err := c.from.Send(c.packet); err != nil {
			t.Fatal(err)
		}
		after := l.until(c.name, func(r *Reading) bool { return count(r, c.counts[0]) > count(before, c.counts[0]) })
		drops := 0
		for i, e := range after.Events {
			if d := e.Packets - before.Events[i].Packets; e.Drop && d > 0 {
				drops += int(d)
				t.Logf("%s: %s %d", c.name, e.Name, d)
			}
		}
		if drops != 1 {
			t.Errorf("%s: %d drops", c.name, drops)
		}
		for _, event := range c.counts {
			if count(after, event) != count(before, event)+1 {
				t.Errorf("%s: %s went from %d to %d", c.name, event, count(before, event), count(after, event))
			}
		}
		before = after
	}
	// An operator who clears the errors that VPP shows takes nothing back.
	l.Lines("clear errors\nclear interfaces\nclear runtime")
	after := l.read()
	for i, e := range after.Events {
		if e.Packets < before.Events[i].Packets {
			t.Errorf("%s went from %d to %d when cleared", e.Name, before.Events[i].Packets, e.Packets)
		}
	}
}

// TestLiveTraffic: traffic of a domain, in packets and octets of the packet in
// the softwire, goes on when VPP makes the domain anew.
func TestLiveTraffic(t *testing.T) {
	l := newLab(t, vpptest.Config{Workers: 1})
	var ledger Ledger[string]
	places := map[string]uint32{"address": 0}
	in := udp("198.51.100.7", "100.64.0.1", 80, 5200, 64, false, 20)
	out := tunnelled("2001:db8:1::5", udp("100.64.0.1", "198.51.100.7", 5200, 80, 64, false, 100))
	out4 := uint64(len(out) - tunnelHeader)
	exchange := func(round uint64) *Reading {
		if err := errors.Join(l.ip4.Send(in), l.ip6.Send(out)); err != nil {
			t.Fatal(err)
		}
		r := l.until("traffic", func(r *Reading) bool {
			ledger.Enter(r, r.Domains, maps.All(places))
			now := ledger.Of("address")
			return now.Rx.Packets >= round && now.Tx.Packets >= round
		})
		want := Row{
			Rx: dataplane.Traffic{Packets: round, Bytes: round * out4},
			Tx: dataplane.Traffic{Packets: round, Bytes: round * uint64(len(in))},
		}
		if got := ledger.Of("address"); got != want {
			t.Errorf("round %d: %+v, want %+v", round, got, want)
		}
		return r
	}
	exchange(1)
	l.CLI("map del domain index 0")
	l.addDomain()
	now := l.read()
	if now.Domains[0] != (Row{}) {
		t.Errorf("VPP did not zero the domain that it made: %+v", now.Domains[0])
	}
	ledger.Enter(now, now.Domains, maps.All(places))
	r := exchange(2)
	if ledger.Total() != ledger.Of("address") {
		t.Errorf("total %+v", ledger.Total())
	}
	if len(r.Threads) != 2 {
		t.Errorf("threads of a VPP with one worker: %+v", r.Threads)
	}
	if received := r.Interfaces[1].Rx.Packets + r.Interfaces[2].Rx.Packets; received != 4 {
		t.Errorf("%d packets received: %+v", received, r.Interfaces)
	}
	if r.Heap.Total < 512<<20 || r.Heap.Used == 0 || r.Statistics.Used == 0 {
		t.Errorf("memory: %+v, %+v", r.Heap, r.Statistics)
	}
	if r.Started.IsZero() || r.Heartbeat == 0 {
		t.Errorf("started %s, heartbeat %d", r.Started, r.Heartbeat)
	}
}

// TestLiveRestart: a VPP that died is not read, one that hangs holds nobody up,
// and the next one is another incarnation.
func TestLiveRestart(t *testing.T) {
	l := newLab(t, vpptest.Config{})
	first := l.read()
	for range 3 {
		if r := l.read(); r.Incarnation != first.Incarnation {
			t.Errorf("incarnation %d became %d by itself", first.Incarnation, r.Incarnation)
		}
	}

	l.Pause()
	full := false
	for range 12 {
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
		_, err := l.reader.Read(ctx)
		cancel()
		if !errors.Is(err, ErrNoAnswer) {
			t.Errorf("reading from a VPP that hangs: %v", err)
		}
		full = full || strings.Contains(err.Error(), "temporarily unavailable")
	}
	if !full {
		t.Error("VPP's queue of connections was never full")
	}
	l.Resume()
	// Its queue is full of connections that were given up.
	again, err := l.reader.Read(t.Context())
	for deadline := time.Now().Add(patience); errors.Is(err, ErrNoAnswer) && time.Now().Before(deadline); {
		again, err = l.reader.Read(t.Context())
	}
	if err != nil || again.Incarnation != first.Incarnation {
		t.Errorf("VPP after it hung: %+v, %v", again, err)
	}

	l.Kill()
	if r, err := l.reader.Read(t.Context()); err == nil {
		t.Errorf("a dead VPP was read: %+v", r)
	}
	l.Restart()
	l.Reattach(l.ip4)
	l.Reattach(l.ip6)
	l.configure()
	second := l.read()
	if second.Incarnation == first.Incarnation {
		t.Errorf("another VPP is incarnation %d, too", second.Incarnation)
	}
	if err := os.Remove(l.Stats); err != nil {
		t.Fatal(err)
	}
	if _, err := l.reader.Read(t.Context()); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("reading without a stats socket: %v", err)
	}
}
