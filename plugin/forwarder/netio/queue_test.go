package netio

import (
	"bytes"
	"errors"
	"net/netip"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/lwaftr/lw4o6/plugin/dataplane"
)

// script is a device that hands over packets from a list and keeps what is sent.
type script struct {
	arrivals []arriving
	sent     [][]byte
	fails    error // of receive, once nothing is left
	counters counters
}

type arriving struct {
	packet []byte
	vnet   vnetHeader
}

func (s *script) descriptor() int     { return -1 }
func (s *script) count() *counters    { return &s.counters }
func (s *script) inject([]byte) error { return nil }
func (s *script) transmit(packets [][]byte) error {
	for _, packet := range packets {
		s.sent = append(s.sent, bytes.Clone(packet))
	}
	return nil
}

func (s *script) receive(slots []slot) (int, error) {
	n := min(len(slots), len(s.arrivals))
	for i, a := range s.arrivals[:n] {
		slots[i].start, slots[i].end = Headroom, Headroom+len(a.packet)
		slots[i].vnet = a.vnet
		copy(slots[i].buf[Headroom:], a.packet)
	}
	s.arrivals = s.arrivals[n:]
	if n == 0 {
		return 0, s.fails
	}
	return n, nil
}

// batches is a Processor that sends every packet on to the other side, and
// notes how many came at a time.
type batches struct {
	sizes []int
}

func (b *batches) Process(_ time.Time, side dataplane.Side, in []Frame, out []Output) []Output {
	b.sizes = append(b.sizes, len(in))
	for _, f := range in {
		if f.Start < Headroom || len(f.Buf) < f.End {
			panic("a frame outside its buffer")
		}
		clear(f.Buf[f.Start-Headroom : f.Start]) // all of it may be written to
		out = append(out, Output{Side: 1 - side, Packet: f.Packet()})
	}
	return out
}

func TestQueueCutsAndBatches(t *testing.T) {
	const batch = 16
	tcp := tcpSpec()
	super := tcp.build(bytesUpTo(60000))
	var want [][]byte
	v4, v6 := &script{}, &script{}
	for range 10 {
		// 600 segments are many batches, and more than the arena holds.
		cut, err := segments(super, gso(unix.VIRTIO_NET_HDR_GSO_TCPV4, 1000))
		if err != nil {
			t.Fatal(err)
		}
		plain := tcp.build(bytesUpTo(100))
		v4.arrivals = append(v4.arrivals, arriving{super, gso(unix.VIRTIO_NET_HDR_GSO_TCPV4, 1000)}, arriving{packet: plain})
		want = append(append(want, cut...), plain)
	}
	q := newQueue(v4, v6, -1, batch)
	b := &batches{}
	q.processor = b
	for len(v4.arrivals) > 0 {
		if err := q.drain(v4, q.intakes[0]); err != nil {
			t.Fatal(err)
		}
	}
	if len(v6.sent) != len(want) {
		t.Fatalf("%d packets instead of %d", len(v6.sent), len(want))
	}
	for i := range want {
		if !bytes.Equal(v6.sent[i], want[i]) {
			t.Fatalf("packet %d: % x instead of % x", i, v6.sent[i][:60], want[i][:60])
		}
	}
	for _, n := range b.sizes {
		if n > batch {
			t.Errorf("batch of %d", n)
		}
	}
	if got := v4.counters.rxPackets.Load(); got != uint64(len(want)) || v4.counters.rxSupers.Load() != 10 {
		t.Errorf("counted %d packets and %d super-packets", got, v4.counters.rxSupers.Load())
	}
}

func TestQueueDropsAndSides(t *testing.T) {
	packet4, packet6 := tcpSpec().build(nil), inTunnel(tcpSpec().build(nil), protocolIPv4)
	partial := vnetHeader{flags: unix.VIRTIO_NET_HDR_F_NEEDS_CSUM, checksumStart: 60000, checksumOffset: 16}
	wrong := []arriving{
		{packet: nil}, {packet: []byte{0x50, 0}}, {packet: packet6},
		{packet: packet4, vnet: partial}, {packet: packet4, vnet: gso(99, 100)},
	}
	v4, v6 := &script{arrivals: append(wrong, arriving{packet: packet4})}, &script{}
	q := newQueue(v4, v6, -1, 8)
	q.processor = &batches{}
	if err := q.drain(v4, q.intakes[0]); err != nil {
		t.Fatal(err)
	}
	if len(v6.sent) != 1 || len(v4.sent) != 0 {
		t.Errorf("%d packets sent", len(v6.sent))
	}
	for why, want := range map[cause]uint64{rxVersion: 3, rxOffload: 2} {
		if got := v4.counters.drops[why].Load(); got != want {
			t.Errorf("%s: %d instead of %d", why, got, want)
		}
	}

	both := &script{arrivals: []arriving{{packet: packet4}, {packet: packet6}, {packet: packet4}}}
	q = newQueue(both, both, -1, 8)
	b := &batches{}
	q.processor = b
	if err := q.drain(both, q.intakes[0]); err != nil {
		t.Fatal(err)
	}
	if len(b.sizes) != 2 || b.sizes[0] != 2 || b.sizes[1] != 1 || len(both.sent) != 3 {
		t.Errorf("batches of %v, %d sent", b.sizes, len(both.sent))
	}
	both.fails = ErrGone
	if err := q.drain(both, q.intakes[0]); !errors.Is(err, ErrGone) {
		t.Errorf("error %v", err)
	}

	empty := processorFunc(func(_ time.Time, _ dataplane.Side, _ []Frame, out []Output) []Output {
		return append(out, Output{Side: dataplane.SideIPv6}, Output{Side: dataplane.SideIPv6, Packet: make([]byte, MaxPacket+1)})
	})
	q = newQueue(v4, v6, -1, 8)
	q.processor = empty
	if err := q.process(dataplane.SideIPv4, nil); err != nil || v6.counters.drops[txTooLong].Load() != 2 || len(v6.sent) != 1 {
		t.Errorf("impossible packets are sent: error %v", err)
	}
}

// FuzzIntake gives a queue any packet with any vnetHeader.
func FuzzIntake(f *testing.F) {
	h := gso(unix.VIRTIO_NET_HDR_GSO_TCPV4, 100)
	f.Add(h.flags, h.gsoType, h.gsoSize, uint16(20), uint16(16), tcpSpec().build(bytesUpTo(500)))
	f.Add(h.flags, uint8(0), uint16(0), uint16(20), uint16(6), udpSpec().build(bytesUpTo(500)))
	f.Add(uint8(0), uint8(0), uint16(0), uint16(0), uint16(0), inTunnel(tcpSpec().build(nil), protocolIPv4))
	f.Fuzz(func(t *testing.T, flags, kind uint8, size, start, offset uint16, packet []byte) {
		if len(packet) > MaxPacket {
			t.Skip("longer than what netio receives")
		}
		vnet := vnetHeader{flags: flags, gsoType: kind, gsoSize: size, checksumStart: start, checksumOffset: offset}
		d := &script{arrivals: []arriving{{packet, vnet}}}
		q := newQueue(d, d, -1, 4)
		b := &batches{}
		q.processor = b
		if err := q.drain(d, q.intakes[0]); err != nil {
			t.Fatal(err)
		}
		dropped := d.counters.drops[rxVersion].Load() + d.counters.drops[rxOffload].Load()
		if received := d.counters.rxPackets.Load(); (received == 0) != (dropped == 1) || int(received) != len(d.sent) {
			t.Fatalf("%d packets received, %d dropped, %d sent", received, dropped, len(d.sent))
		}
	})
}

// TestNoAllocation moves packets through real devices and counts allocations.
func TestNoAllocation(t *testing.T) {
	middle, host, _ := packetPair(t)
	host.do(func() { host.route(rightIPv4+"/32", "198.51.100.1") })
	tun := tunConfig(leftIPv4, rightIPv4, leftIPv6)
	for _, test := range []struct {
		name   string
		config Config
		from   *namespace
	}{
		{"tun", tun, middle},
		{"packet", packetConfig(), host},
	} {
		t.Run(test.name, func(t *testing.T) {
			port, err := middle.open(test.config)
			if err != nil {
				t.Fatal(err)
			}
			defer port.Close()
			for _, hop := range port.hops {
				hop.hop.destination.Store(1) // nobody's
			}
			q := port.queues[0]
			q.processor = leftTunnel(0)
			conn := test.from.dial("udp4", netip.AddrPortFrom(netip.MustParseAddr(rightIPv4), 9).String())
			if err := control(conn, func(fd int) error {
				return unix.SetsockoptInt(fd, unix.IPPROTO_UDP, unix.UDP_SEGMENT, 500)
			}); err != nil {
				t.Skipf("needs UDP_SEGMENT: %v", err)
			}
			payload := bytesUpTo(1800) // a super-packet of four datagrams
			v4 := port.bySide[dataplane.SideIPv4].devices[0]
			var failed error
			move := func() {
				if _, err := conn.Write(payload); err != nil {
					failed = err
				}
				poll := q.polled[1:2]
				if _, err := unix.Poll(poll, 1000); err != nil {
					failed = err
				}
				if err := q.drain(v4, q.intakes[0]); err != nil {
					failed = err
				}
			}
			allocations := testing.AllocsPerRun(500, move)
			stats := port.Stats()
			if in, out := deviceOf(stats, dataplane.SideIPv4), deviceOf(stats, dataplane.SideIPv6); in.Received.Packets < 4*500 || out.Sent.Packets != in.Received.Packets || failed != nil {
				t.Fatalf("too little was moved: %+v, error %v", stats, failed)
			}
			if allocations != 0 {
				t.Errorf("%v allocations for four packets", allocations)
			}
		})
	}

	// The way back, where packets are joined.
	c := newCoalescer(64, true)
	packets := burst(tcpSpec(), 40, 1000, 1000)
	var headers [maxHeaders]byte
	vectors := make([]unix.Iovec, 0, 64)
	if n := testing.AllocsPerRun(100, func() {
		parcels := c.coalesce(packets)
		if len(parcels) != 1 {
			t.Error("not joined")
		}
		c.writeHeaders(headers[:], &parcels[0], 0)
		vectors = c.appendVectors(vectors[:0], &parcels[0], 52)
	}); n != 0 {
		t.Errorf("%v allocations for joining", n)
	}
}
