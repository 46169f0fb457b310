package vppdrv

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"maps"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/gopacket/gopacket/layers"

	"github.com/lwaftr/lw4o6/plugin/dataplane"
	"github.com/lwaftr/lw4o6/plugin/softwire"
)

const pcpPort = 5351

// TestExchange: a lwB4 that no softwire knows talks PCP with a process of ours,
// in a softwire and over plain IPv6.
func TestExchange(t *testing.T) {
	b := newParties(t, nil)
	stop := b.answer(t)
	defer stop()
	inner := [2]netip.AddrPort{netip.MustParseAddrPort("192.0.0.2:40000"), netip.AddrPortFrom(addr("192.0.0.1"), pcpPort)}
	outer := [2]netip.AddrPort{netip.AddrPortFrom(b4Nobody, 40000), netip.AddrPortFrom(br2, pcpPort)}
	for name, way := range map[string]func(from, to int, payload []byte) []byte{
		"softwire": func(from, to int, payload []byte) []byte {
			ip := ip4(inner[from].Addr(), inner[to].Addr(), layers.IPProtocolUDP)
			return tunnelled(outer[from].Addr(), outer[to].Addr(), withTransport(ip, &layers.UDP{
				SrcPort: layers.UDPPort(inner[from].Port()), DstPort: layers.UDPPort(inner[to].Port()),
			}, payload))
		},
		"IPv6": func(from, to int, payload []byte) []byte { return udp6(outer[from], outer[to], payload) },
	} {
		t.Run(name, func(t *testing.T) {
			const rounds = 200
			for i := range rounds {
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				defer cancel()
				payload := binary.BigEndian.AppendUint32([]byte{2, 0, 0, 0}, uint32(i)) // ANNOUNCE, RFC 6887 section 7.1
				if err := b.ports[side6].Send(way(0, 1, payload)); err != nil {
					t.Fatal(err)
				}
				got, err := b.ports[side6].Receive(ctx)
				if err != nil {
					t.Fatalf("answer %d: %v", i, err)
				}
				// A hop is taken off where VPP routes the answer, and the IPv4
				// identification is ours.
				want := dissect(way(1, 0, append(payload, "answer"...)))
				if !bytes.Equal(dissect(got).ApplicationLayer().Payload(), want.ApplicationLayer().Payload()) ||
					dissect(got).NetworkLayer().NetworkFlow() != want.NetworkLayer().NetworkFlow() ||
					dissect(got).TransportLayer().TransportFlow() != want.TransportLayer().TransportFlow() {
					t.Fatalf("answer %d is %x, want %x", i, got, want.Data())
				}
			}
		})
	}
}

// answer answers every exception until stop.
func (b *bench) answer(t testing.TB) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- b.answerAll(ctx) }()
	return func() {
		cancel()
		if err := <-done; err != nil && !errors.Is(err, context.Canceled) {
			t.Errorf("answering: %v", err)
		}
	}
}

func (b *bench) answerAll(ctx context.Context) error {
	batch := make([]dataplane.Exception, 16)
	for {
		n, err := b.Exceptions(ctx, batch)
		if err != nil {
			return err
		}
		for _, e := range batch[:n] {
			if err := b.Inject(ctx, side6, reply(e.Packet)); err != nil {
				return err
			}
		}
	}
}

// reply is a UDP packet with more payload, sent back.
func reply(request []byte) []byte {
	p := dissect(request)
	outer, udp := layer[*layers.IPv6](p), layer[*layers.UDP](p)
	outer.SrcIP, outer.DstIP = outer.DstIP, outer.SrcIP
	udp.SrcPort, udp.DstPort = udp.DstPort, udp.SrcPort
	payload := append(bytes.Clone(udp.Payload), "answer"...)
	inner := layer[*layers.IPv4](p)
	if inner == nil {
		return withTransport(outer, udp, payload)
	}
	inner.SrcIP, inner.DstIP = inner.DstIP, inner.SrcIP
	return tunnelled(netip.AddrFrom16([16]byte(outer.SrcIP)), netip.AddrFrom16([16]byte(outer.DstIP)), withTransport(inner, udp, payload))
}

// TestFlood: with more exceptions than anybody takes, softwires are programmed
// as ever, what waits is bounded, and softwires forward.
func TestFlood(t *testing.T) {
	b := newParties(t, nil)
	lot := table(8000)
	calm := b.load(t, lot[:4000])
	stop := b.flood(t)
	flooded := b.load(t, lot[4000:])
	sent := stop()

	taken, waiting := b.slow.taken.Load(), b.waiting(t)
	t.Logf("%d softwires took %s, and %s while %d packets were sent, of which %d were taken", len(lot)/2, calm, flooded, sent, taken)
	if most := b.config.Forwarding.ExceptionQueue; taken == 0 || waiting == 0 || waiting > most {
		t.Errorf("%d exceptions were taken and %d waited, at most %d may", taken, waiting, most)
	}
	if got := read(t, b); !maps.Equal(got, byKey(append(lot, parties(t)...))) {
		t.Errorf("read back %d softwires, want %d", len(got), len(lot)+len(parties(t)))
	}
	b.forwards(t)
}

// forwards requires that a packet gets through, sooner or later.
func (b *bench) forwards(t testing.TB) {
	t.Helper()
	const unlike = 777 // octets, as nothing in a flood
	packet := udp4(netip.AddrPortFrom(host, 53), netip.AddrPortFrom(shared, portShared), unlike)
	const attempts = 10
	for range attempts {
		if err := b.ports[side4].Send(packet); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		for ctx.Err() == nil {
			if out, err := b.ports[side6].Receive(ctx); err == nil && len(out) > unlike {
				cancel()
				return
			}
		}
		cancel()
	}
	t.Error("nothing is forwarded after the flood")
}

// flood sends packets that VPP does not forward itself, of every kind, until
// stop. That returns how many there were.
func (b *bench) flood(t testing.TB) (stop func() (sent int)) {
	known := udp4(netip.AddrPortFrom(host, 53), netip.AddrPortFrom(shared, portShared), 10)
	kinds := [...]struct {
		side   dataplane.Side
		packet []byte
	}{
		{side6, udp6(netip.AddrPortFrom(b4Nobody, 40000), netip.AddrPortFrom(br1, pcpPort), make([]byte, 24))},
		{side6, icmp6(addr(far6), br1, layers.ICMPv6TypeDestinationUnreachable, 0, append(make([]byte, 4), tunnelled(br1, b4Shared, known)...))},
		{side4, udp4(netip.AddrPortFrom(host, 53), netip.AddrPortFrom(shared, portNobody), 10)},
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan int, 1)
	go func() {
		sent := 0
		for ; ctx.Err() == nil; sent++ {
			k := kinds[sent%len(kinds)]
			_ = b.ports[k.side].Send(k.packet) // the link may be full: it is a flood
		}
		done <- sent
	}()
	return func() int {
		cancel()
		return <-done
	}
}

// load programs softwires and returns how long that took.
func (b *bench) load(t testing.TB, all []softwire.Softwire) time.Duration {
	t.Helper()
	start := time.Now()
	apply(t, b, puts(all))
	return time.Since(start)
}

// waiting is how many exceptions there are to take.
func (b *bench) waiting(t testing.TB) (n int) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for batch := make([]dataplane.Exception, 64); ; {
		got, err := b.Exceptions(ctx, batch)
		if n += got; err != nil || got == 0 {
			return n
		}
	}
}

// TestPoliced: VPP hands over as many packets as it may, of each kind, and drops
// the others itself.
func TestPoliced(t *testing.T) {
	const rate = 100
	b := newParties(t, func(c *Config) { c.ExceptionRate = rate })
	b.vpp.RequirePlugin(t, "policer")
	const many, most = 5000, 500 // there is a burst, and it takes a moment
	for range many {
		if err := b.ports[side4].Send(udp4(netip.AddrPortFrom(host, 53), netip.AddrPortFrom(shared, portNobody), 10)); err != nil {
			t.Fatal(err)
		}
	}
	// A kind that is rare comes through.
	if err := b.send(t.Context(), side6, udp6(netip.AddrPortFrom(b4Nobody, 40000), netip.AddrPortFrom(br1, pcpPort), make([]byte, 24))); err != nil {
		t.Fatal(err)
	}
	if taken := b.slow.taken.Load(); taken == 0 || taken > most {
		t.Errorf("%d packets were handed over, at most %d may be", taken, most)
	}
	if n := b.waiting(t); n != 1 {
		t.Errorf("%d exceptions wait, want that of PCP", n)
	}
	counters, err := b.Counters(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(counters.Events, func(e dataplane.Event) bool { return e.Name == "drop-exception-rate" })
	if dropped := counters.Events[i].Packets; dropped < many/2 || !counters.Events[i].Drop {
		t.Errorf("%d of %d packets were dropped for their rate", dropped, many)
	}
}
