package netio

import (
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"

	"github.com/lwaftr/lw4o6/plugin/dataplane"
)

// packetTo is the headers of an IP packet to a destination.
func packetTo(a netip.Addr) []byte {
	if a.Is4() {
		packet := make([]byte, ipv4HeaderLen)
		packet[0] = 4<<4 | ipv4HeaderLen/4
		copy(packet[16:], a.AsSlice())
		return packet
	}
	packet := make([]byte, ipv6HeaderLen)
	packet[0] = 6 << 4
	copy(packet[24:], a.AsSlice())
	return packet
}

func TestDestinations(t *testing.T) {
	parse := func(texts ...string) (prefixes []netip.Prefix) {
		for _, text := range texts {
			prefixes = append(prefixes, netip.MustParsePrefix(text))
		}
		return prefixes
	}
	pools := parse("198.51.100.0/24", "192.0.2.0/25", "192.0.2.0/26", "192.0.2.64/32", "192.0.0.8/32")
	brs := parse("2001:db8:ffff::1/128", "2001:db8:ffff::3/128")
	for _, test := range []struct {
		name     string
		prefixes []netip.Prefix
		to       string
		want     bool
	}{
		{"first of a pool", pools, "192.0.2.0", true},
		{"behind a prefix within a pool", pools, "192.0.2.100", true},
		{"last of a pool", pools, "192.0.2.127", true},
		{"behind a pool", pools, "192.0.2.128", false},
		{"before a pool", pools, "198.51.99.255", false},
		{"one address", pools, "192.0.0.8", true},
		{"beside one address", pools, "192.0.0.9", false},
		{"before all", pools, "0.0.0.0", false},
		{"behind all", pools, "255.255.255.255", false},
		{"multicast", pools, "224.0.0.1", false},
		{"BR address", brs, "2001:db8:ffff::3", true},
		{"between BR addresses", brs, "2001:db8:ffff::2", false},
		{"neighbour discovery", brs, "ff02::1:ff00:1", false},
		{"the other version", brs, "192.0.2.1", false},
		{"everything", parse("0.0.0.0/0"), "203.0.113.1", true},
		{"nothing", nil, "192.0.2.1", false},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := newDestinations(test.prefixes).take(packetTo(netip.MustParseAddr(test.to))); got != test.want {
				t.Errorf("take is %v", got)
			}
		})
	}
	for name, packet := range map[string][]byte{
		"no IP": make([]byte, 100), "short IPv4": packetTo(netip.MustParseAddr("192.0.2.200"))[:19],
		"short IPv6": packetTo(netip.MustParseAddr("2001:db8::"))[:39], "nothing": nil,
	} {
		if !newDestinations(pools).take(packet) {
			t.Errorf("%s is not taken, so nobody counts it", name)
		}
	}
}

// TestDestinationsRandomly holds a set against a walk over its prefixes.
func TestDestinationsRandomly(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	address := func() netip.Addr { return netip.AddrFrom4([4]byte{192, 0, byte(rng.IntN(4)), byte(rng.Uint32())}) }
	taken, left := 0, 0
	for range 200 {
		var prefixes []netip.Prefix
		for range rng.IntN(8) {
			prefixes = append(prefixes, netip.PrefixFrom(address(), 20+rng.IntN(13)).Masked())
		}
		d := newDestinations(prefixes)
		for range 100 {
			a := address()
			want := slices.ContainsFunc(prefixes, func(p netip.Prefix) bool { return p.Contains(a) })
			if got := d.take(packetTo(a)); got != want {
				t.Fatalf("%s in %v: %v", a, prefixes, got)
			}
			if want {
				taken++
			} else {
				left++
			}
		}
	}
	if taken < 1000 || left < 1000 {
		t.Fatalf("%d taken, %d left: too few to mean anything", taken, left)
	}
}

func TestTakeDoesNotAllocate(t *testing.T) {
	d := newDestinations([]netip.Prefix{netip.MustParsePrefix("192.0.2.0/24"), netip.MustParsePrefix("198.51.100.0/24")})
	packet := packetTo(netip.MustParseAddr("198.51.100.1"))
	if n := testing.AllocsPerRun(100, func() { d.take(packet) }); n != 0 {
		t.Errorf("%g allocations", n)
	}
}

// TestPacketLeavesTheHostItsOwn: what is for the host, and for nobody here,
// passes a packet device by: it is neither processed nor counted.
func TestPacketLeavesTheHostItsOwn(t *testing.T) {
	for _, test := range []struct {
		name   string
		queues int
	}{{"one queue", 1}, {"two queues", 2}} {
		t.Run(test.name, func(t *testing.T) {
			middle, inet, access := packetPair(t)
			config := packetConfig()
			config.Queues = test.queues
			seen := newCalls()
			port, _ := middle.start(config, func(int) Processor { return seen })

			// Connections of the host, with super-packets; the last packet is
			// for the tunnel, and comes behind all others of its side.
			transfer(t, inet, middle, "198.51.100.1", 1<<20)
			ping(t, inet, "198.51.100.1")
			ping(t, access, "2001:db8::1")
			inet.do(func() { inet.route("203.0.113.0/24", "198.51.100.1"); inet.route(rightIPv4+"/32", "198.51.100.1") })
			access.do(func() { access.route(leftIPv6+"/128", "2001:db8::1") })
			for _, p := range []struct {
				from        *namespace
				network, to string
			}{{inet, "udp4", "203.0.113.1:9"}, {inet, "udp4", rightIPv4 + ":9"}, {access, "udp6", "[" + leftIPv6 + "]:9"}} {
				if _, err := p.from.dial(p.network, p.to).Write([]byte("packet")); err != nil {
					t.Fatal(err)
				}
			}
			seen.wait(t, func() bool { return seen.frames.Load() >= 2 })
			stats := port.Stats()
			for side, want := range map[dataplane.Side]uint64{dataplane.SideIPv4: 1, dataplane.SideIPv6: 1} {
				if d := deviceOf(stats, side); d.Received.Packets != want {
					t.Errorf("%d packets of the %s side were counted, want %d", d.Received.Packets, side, want)
				}
			}
			for _, d := range stats.Devices {
				for _, drop := range d.Drops {
					if drop.Packets > 0 {
						t.Errorf("%s counts %d as %s", d.Name, drop.Packets, drop.Cause)
					}
				}
			}
		})
	}
}
