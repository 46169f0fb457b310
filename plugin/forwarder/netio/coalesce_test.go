package netio

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"slices"
	"testing"

	"golang.org/x/sys/unix"
)

// supers writes out the parcels of packets as the kernel gets them.
func supers(c *coalescer, packets [][]byte) (all [][]byte, vnets []vnetHeader) {
	parcels := c.coalesce(packets)
	for i := range parcels {
		p := &parcels[i]
		super, skip, vnet := []byte{}, 0, vnetHeader{}
		if p.count > 1 {
			var headers [maxHeaders]byte
			skip, vnet = c.writeHeaders(headers[:], p, 0)
			super = append(super, headers[:skip]...)
		}
		vectors := c.appendVectors(nil, p, skip)
		if len(vectors) != int(p.count) {
			return nil, nil
		}
		for j := p.first; j >= 0; j = c.following[j] {
			super = append(super, packets[j][skip:]...)
		}
		all, vnets = append(all, super), append(vnets, vnet)
	}
	return all, vnets
}

// burst is n packets of one flow with size bytes of payload each, the last one
// with last bytes.
func burst(spec flowSpec, n, size, last int) (packets [][]byte) {
	payload := bytesUpTo(n * size)
	for i := range n {
		part := payload[i*size : (i+1)*size]
		if i == n-1 {
			part = part[:last]
		}
		packets = append(packets, spec.build(part))
		spec.id++
		spec.sequence += uint32(size)
	}
	return packets
}

// noChecksum takes the checksums of UDP datagrams away.
func noChecksum(packets [][]byte) [][]byte {
	for _, packet := range packets {
		packet[26], packet[27] = 0, 0
	}
	return packets
}

func TestCoalesce(t *testing.T) {
	tcp, udp := tcpSpec(), udpSpec()
	with := func(spec flowSpec, change func(*flowSpec)) flowSpec {
		change(&spec)
		return spec
	}
	// pair is two packets of which the second is changed.
	pair := func(spec flowSpec, change func(*flowSpec)) [][]byte {
		next := spec
		next.id++
		next.sequence += 100
		change(&next)
		return [][]byte{spec.build(bytesUpTo(100)), next.build(bytesUpTo(100))}
	}
	broken := func(packets [][]byte, which, at int) [][]byte {
		packets[which][at] ^= 1
		return packets
	}
	noDF := with(tcp, func(s *flowSpec) { s.df = false })
	other := with(tcp, func(s *flowSpec) { s.sport++ })
	mixed := slices.Concat(burst(tcp, 2, 100, 100), burst(other, 2, 100, 100))
	mixed[1], mixed[2] = mixed[2], mixed[1]

	for _, test := range []struct {
		name    string
		packets [][]byte
		want    []int // packets in each parcel
	}{
		{"TCP", burst(tcp, 10, 1448, 1448), []int{10}},
		{"TCP with a short end", burst(tcp, 10, 1448, 1), []int{10}},
		{"TCP after a short one", append(burst(tcp, 3, 100, 99), burst(with(tcp, func(s *flowSpec) { s.sequence += 299 }), 2, 100, 100)...), []int{3, 2}},
		{"TCP as long as can be", burst(tcp, 50, 1448, 1448), []int{45, 5}},
		{"TCP, tiny", burst(tcp, maxSegments+1, 1, 1), []int{maxSegments, 1}},
		{"TCP across the end of sequence numbers", burst(with(tcp, func(s *flowSpec) { s.sequence = 1<<32 - 50 }), 3, 100, 100), []int{3}},
		{"TCP without DF", burst(noDF, 3, 100, 100), []int{3}},
		{"TCP without DF, same identification", pair(noDF, func(s *flowSpec) { s.id = noDF.id }), []int{1, 1}},
		{"TCP with DF, same identification", pair(tcp, func(s *flowSpec) { s.id = tcp.id }), []int{2}},
		{"flows mixed", mixed, []int{2, 2}},
		{"push at the end", pair(tcp, func(s *flowSpec) { s.flags |= tcpPSH }), []int{2}},
		{"push before", pair(with(tcp, func(s *flowSpec) { s.flags |= tcpPSH }), func(s *flowSpec) { s.flags = tcpACK }), []int{1, 1}},
		{"FIN", pair(tcp, func(s *flowSpec) { s.flags |= tcpFIN }), []int{1, 1}},
		{"sequence gap", pair(tcp, func(s *flowSpec) { s.sequence++ }), []int{1, 1}},
		{"other acknowledgement", pair(tcp, func(s *flowSpec) { s.ack++ }), []int{1, 1}},
		{"other window", pair(tcp, func(s *flowSpec) { s.window++ }), []int{1, 1}},
		{"other timestamps", pair(tcp, func(s *flowSpec) { s.options = []byte{1, 1, 8, 10, 0, 0, 0, 9, 0, 0, 0, 2} }), []int{1, 1}},
		{"other options", pair(tcp, func(s *flowSpec) { s.options = nil }), []int{1, 1}},
		{"congestion experienced", pair(tcp, func(s *flowSpec) { s.tos = 3 }), []int{1, 1}},
		{"other time to live", pair(tcp, func(s *flowSpec) { s.ttl-- }), []int{1, 1}},
		{"DF and not", pair(tcp, func(s *flowSpec) { s.df = false }), []int{1, 1}},
		{"acknowledgements", burst(tcp, 3, 0, 0), []int{1, 1, 1}},
		{"first TCP checksum wrong", broken(burst(tcp, 3, 100, 100), 0, 60), []int{1, 2}},
		{"second TCP checksum wrong", broken(burst(tcp, 3, 100, 100), 1, 60), []int{1, 1, 1}},
		{"IPv4 checksum wrong", broken(burst(tcp, 2, 100, 100), 1, 10), []int{1, 1}},
		{"UDP", burst(udp, 10, 1200, 3), []int{10}},
		{"UDP, many", burst(udp, maxDatagrams+1, 10, 10), []int{maxDatagrams, 1}},
		{"UDP checksum wrong", broken(burst(udp, 2, 100, 100), 1, 26), []int{1, 1}},
		{"UDP without checksum", noChecksum(burst(udp, 2, 100, 100)), []int{1, 1}},
		{"UDP and TCP", append(burst(udp, 2, 100, 100), burst(tcp, 2, 100, 100)...), []int{2, 2}},
		{"IPv6", [][]byte{inTunnel(tcp.build(nil), 4), inTunnel(tcp.build(nil), 4)}, []int{1, 1}},
		{"junk", [][]byte{{0x45}, {}, make([]byte, 100)}, []int{1, 1, 1}},
		{"bytes after the packet", [][]byte{append(tcp.build(bytesUpTo(100)), 0)}, []int{1}},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := newCoalescer(8, true)
			var got []int
			for _, p := range c.coalesce(test.packets) {
				got = append(got, int(p.count))
			}
			if !slices.Equal(got, test.want) {
				t.Fatalf("parcels of %v packets instead of %v", got, test.want)
			}
			checkCut(t, c, test.packets)
		})
	}
	c := newCoalescer(8, false)
	if got := len(c.coalesce(burst(udp, 5, 100, 100))); got != 5 {
		t.Errorf("%d parcels of 5 datagrams for a kernel that cannot cut them", got)
	}
}

// checkCut has packets joined and cut again. All of them must come back, those
// of one flow in order.
func checkCut(t *testing.T, c *coalescer, packets [][]byte) {
	t.Helper()
	before := make([][]byte, len(packets))
	for i, packet := range packets {
		before[i] = bytes.Clone(packet)
	}
	all, vnets := supers(c, packets)
	var after [][]byte
	for i, super := range all {
		if !vnets[i].super() {
			after = append(after, super)
			continue
		}
		if len(super) > maxSuper || int(binary.BigEndian.Uint16(super[2:])) != len(super) {
			t.Fatalf("super-packet of %d bytes says %d", len(super), binary.BigEndian.Uint16(super[2:]))
		}
		// The kernel relies on the field holding the pseudo-header's sum.
		h := bytes.Clone(super)
		if !completeChecksum(h, int(vnets[i].checksumStart), int(vnets[i].checksumOffset)) {
			t.Fatal("checksum field outside the super-packet")
		}
		if err := checkPacket(h); err != nil {
			t.Fatalf("super-packet: %v", err)
		}
		cut, err := segments(super, vnets[i])
		if err != nil {
			t.Fatalf("super-packet of %d bytes: %v", len(super), err)
		}
		after = append(after, cut...)
	}
	if len(after) != len(before) {
		t.Fatalf("%d packets became %d", len(before), len(after))
	}
	if a, b := byFlow(before), byFlow(after); !slices.EqualFunc(a, b, bytes.Equal) {
		t.Fatal("packets changed, or their order in a flow")
	}
}

// byFlow sorts packets by flow, keeping the order in each, and removes what may
// change: with DF the Identification, and so the header's checksum.
func byFlow(packets [][]byte) [][]byte {
	sorted := make([][]byte, len(packets))
	for i, packet := range packets {
		b := bytes.Clone(packet)
		if len(b) >= 20 && b[0]>>4 == 4 && b[6]&0x40 != 0 {
			header := min(len(b), int(b[0]&15)*4)
			if header >= 20 && slowSum(b[:header]) == 0 {
				b[4], b[5], b[10], b[11] = 0, 0, 0, 0
			}
		}
		sorted[i] = b
	}
	slices.SortStableFunc(sorted, func(a, b []byte) int {
		ka, oka := flowOf(a)
		kb, okb := flowOf(b)
		if !oka || !okb {
			// Others have no order; bring them to the same one.
			if oka != okb {
				return map[bool]int{true: 1, false: -1}[oka]
			}
			return bytes.Compare(a, b)
		}
		var ba, bb [13]byte
		for _, k := range []struct {
			key flowKey
			to  *[13]byte
		}{{ka, &ba}, {kb, &bb}} {
			binary.BigEndian.PutUint64(k.to[:], k.key.addresses)
			binary.BigEndian.PutUint32(k.to[8:], k.key.ports)
			k.to[12] = k.key.protocol
		}
		return bytes.Compare(ba[:], bb[:])
	})
	return sorted
}

// TestCoalesceRandomly joins and cuts random traffic of a few flows.
func TestCoalesceRandomly(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	c := newCoalescer(128, true)
	joined := 0
	for range 500 {
		flows := make([]flowSpec, 1+random.IntN(5))
		for i := range flows {
			flows[i] = tcpSpec()
			flows[i].udp = random.IntN(3) == 0
			flows[i].df = random.IntN(2) == 0
			flows[i].sport = uint16(random.IntN(3))
		}
		size := 1 + random.IntN(1448)
		var packets [][]byte
		for range random.IntN(200) {
			f := &flows[random.IntN(len(flows))]
			spec, n := *f, size
			switch random.IntN(20) {
			case 0:
				n = random.IntN(size + 1)
			case 1:
				spec.flags |= 1 << random.IntN(8)
			case 2:
				spec.sequence++
			case 3:
				spec.ttl--
			case 4:
				spec.id--
			}
			packet := spec.build(bytesUpTo(n))
			if random.IntN(30) == 0 {
				packet[random.IntN(len(packet))] ^= 1 << random.IntN(8)
			}
			packets = append(packets, packet)
			f.sequence += uint32(n)
			f.id++
		}
		for _, p := range c.coalesce(packets) {
			joined += int(p.count) - 1
		}
		checkCut(t, c, packets)
	}
	if joined < 1000 {
		t.Errorf("only %d packets were joined to others", joined)
	}
}

// FuzzCoalesce joins and cuts any bytes: packets of size bytes each.
func FuzzCoalesce(f *testing.F) {
	f.Add(uint16(100), slices.Concat(burst(tcpSpec(), 5, 48, 48)...))
	f.Add(uint16(100), slices.Concat(burst(udpSpec(), 5, 72, 72)...))
	f.Fuzz(func(t *testing.T, size uint16, all []byte) {
		if len(all) > 1<<17 {
			t.Skip("more than a batch")
		}
		checkCut(t, newCoalescer(8, true), slices.Collect(slices.Chunk(all, int(max(size, 1)))))
	})
}

func TestVnetHeader(t *testing.T) {
	h := vnetHeader{flags: 1, gsoType: 4, headerLen: 0x102, gsoSize: 0x304, checksumStart: 0x506, checksumOffset: 0x708}
	var b [vnetHeaderLen]byte
	h.put(b[:])
	if got := parseVnetHeader(b[:]); got != h {
		t.Errorf("%+v became %+v", h, got)
	}
	// From linux/virtio_net.h, for the byte order of this machine.
	if b[1] != 4 || binary.NativeEndian.Uint16(b[4:]) != 0x304 || !h.super() || !h.needsChecksum() {
		t.Errorf("% x", b)
	}
	if (vnetHeader{flags: unix.VIRTIO_NET_HDR_F_DATA_VALID}).needsChecksum() || (vnetHeader{}).super() {
		t.Error("an empty header asks for something")
	}
}
