package forwarder

import (
	"encoding/binary"
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"

	"github.com/lwaftr/lw4o6/plugin/dataplane"
	"github.com/lwaftr/lw4o6/plugin/forwarder/checksum"
	"github.com/lwaftr/lw4o6/plugin/portset"
	"github.com/lwaftr/lw4o6/plugin/softwire"
)

var benchBR = netip.MustParseAddr("2001:db8:ffff::1")

// benchForwarder has addresses x 63 softwires of psid-len 6.
func benchForwarder(b testing.TB, addresses int) (*Forwarder, []softwire.Softwire) {
	f, err := New(DefaultConfig(), newMemory())
	if err != nil {
		b.Fatal(err)
	}
	if err := f.Configure(b.Context(), dataplane.Network{
		Pools: []netip.Prefix{netip.MustParsePrefix("100.64.0.0/10")}, BRs: []netip.Addr{benchBR},
	}); err != nil {
		b.Fatal(err)
	}
	var all []softwire.Softwire
	var ops []dataplane.Op
	for a := range addresses {
		var ip [4]byte
		binary.BigEndian.PutUint32(ip[:], 100<<24|64<<16+uint32(a))
		for psid := uint16(1); psid < 64; psid++ {
			set, err := portset.Of(0, 6, psid)
			if err != nil {
				b.Fatal(err)
			}
			b4 := [16]byte{0x20, 0x01, 0x0d, 0xb8, 1}
			binary.BigEndian.PutUint32(b4[5:], uint32(len(all)))
			b4[15] = 1
			s := softwire.Softwire{IPv4: netip.AddrFrom4(ip), PortSet: set, B4: netip.AddrFrom16(b4), BR: benchBR}
			all = append(all, s)
			ops = append(ops, dataplane.Op{Kind: dataplane.Put, Softwire: s})
		}
	}
	results, err := f.Apply(b.Context(), ops)
	if err != nil {
		b.Fatal(err)
	}
	for _, r := range results {
		if r.Outcome != dataplane.Programmed {
			b.Fatal(r.Err)
		}
	}
	return f, all
}

// udp64 is an IPv4 UDP packet that makes a 64-octet Ethernet frame: 46 octets.
func udp64(src, dst netip.AddrPort) []byte {
	p := make([]byte, 46)
	p[0], p[8], p[9] = 0x45, 64, protoUDP
	binary.BigEndian.PutUint16(p[2:], uint16(len(p)))
	copy(p[12:16], src.Addr().AsSlice())
	copy(p[16:20], dst.Addr().AsSlice())
	binary.BigEndian.PutUint16(p[10:], checksum.Of(p[:20]))
	binary.BigEndian.PutUint16(p[20:], src.Port())
	binary.BigEndian.PutUint16(p[22:], dst.Port())
	binary.BigEndian.PutUint16(p[24:], 26)
	return p
}

func BenchmarkMillion(b *testing.B) {
	f, all := benchForwarder(b, 16384)
	b.Run("encapsulate", func(b *testing.B) { benchmark(b, f, all, dataplane.SideIPv4) })
	b.Run("decapsulate", func(b *testing.B) { benchmark(b, f, all, dataplane.SideIPv6) })
}

func benchmark(b *testing.B, f *Forwarder, all []softwire.Softwire, side dataplane.Side) {
	const batch, flows = 64, 1 << 16
	w := f.NewWorker()
	host := netip.MustParseAddrPort("198.51.100.7:443")
	packets := make([][]byte, flows)
	var memory []byte // together, as a ring of a network card's is
	for range packets {
		s := all[rand.IntN(len(all))]
		own := netip.AddrPortFrom(s.IPv4, s.PortSet.PSID()<<10|uint16(rand.IntN(1024)))
		if side == dataplane.SideIPv4 {
			memory = append(memory, udp64(host, own)...)
			continue
		}
		inner := udp64(own, host)
		p := make([]byte, header6Len, header6Len+len(inner))
		src, dst := s.B4.As16(), s.BR.As16()
		put6(p, 0, 0, len(inner), protoIPv4, 64, &src, &dst)
		memory = append(memory, append(p, inner...)...)
	}
	size := len(memory) / flows
	for i := range packets {
		packets[i] = memory[i*size : (i+1)*size]
	}
	var bufs [batch][2048]byte
	now := time.Now()
	b.ReportAllocs()
	b.ResetTimer()
	for n := 0; n < b.N; n += batch {
		w.Begin(now)
		for i := range batch {
			copy(bufs[i][headroom:], packets[(n+i)%flows])
			w.Expect(side, bufs[i][headroom:headroom+size])
		}
		for i := range batch {
			w.Packet(side, bufs[i][:], headroom, headroom+size)
		}
		if out := w.End(); len(out) != batch {
			b.Fatalf("%d of %d packets came out", len(out), batch)
		}
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds()/1e6, "Mpps")
}
