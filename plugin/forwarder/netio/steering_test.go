package netio

import (
	"fmt"
	"net"
	"net/netip"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/lwaftr/lw4o6/plugin/dataplane"
)

// record keeps what a port's processors are given, by queue.
type record struct {
	*calls
	mu      sync.Mutex
	packets map[int][]string
}

func newRecord() *record {
	return &record{calls: newCalls(), packets: make(map[int][]string)}
}

// kept is how many packets are kept.
func (r *record) kept() (n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, packets := range r.packets {
		n += len(packets)
	}
	return n
}

// processor records UDP packets of side and their fragments, and nothing else.
func (r *record) processor(queue int, side dataplane.Side) Processor {
	return processorFunc(func(now time.Time, got dataplane.Side, in []Frame, out []Output) []Output {
		if got != side {
			in = nil
		}
		r.mu.Lock()
		for _, f := range in {
			next := f.Packet()[9]
			if side == dataplane.SideIPv6 {
				next = f.Packet()[6]
			}
			if next == protocolUDP || next == 44 { // IPv6 fragment header
				r.packets[queue] = append(r.packets[queue], string(f.Packet()))
			}
		}
		r.mu.Unlock()
		return r.Process(now, got, in, out)
	})
}

type processorFunc func(time.Time, dataplane.Side, []Frame, []Output) []Output

func (f processorFunc) Process(now time.Time, side dataplane.Side, in []Frame, out []Output) []Output {
	return f(now, side, in, out)
}

// TestSteering: all packets between two IPv4 addresses, fragments or not, come
// on one queue, and so do all from one IPv6 address.
func TestSteering(t *testing.T) {
	const hosts = 64
	tun, one := DefaultConfig(), DefaultConfig()
	tun.IPv4.Addresses = []netip.Prefix{netip.MustParsePrefix("198.51.100.2/24")}
	tun.IPv4.Routes = []netip.Prefix{netip.MustParsePrefix("203.0.113.0/24")}
	tun.IPv6.Routes = []netip.Prefix{netip.MustParsePrefix(leftIPv6 + "/128")}
	one = tun
	one.IPv6.Name = one.IPv4.Name
	packet := packetConfig()
	packet.IPv4.Routes = tun.IPv4.Routes
	for _, test := range []struct {
		name   string
		side   dataplane.Side
		config Config
	}{
		{"tun, IPv4", dataplane.SideIPv4, tun},
		{"tun, IPv6", dataplane.SideIPv6, tun},
		{"one tun, IPv4", dataplane.SideIPv4, one},
		{"one tun, IPv6", dataplane.SideIPv6, one},
		{"packet, IPv4", dataplane.SideIPv4, packet},
		{"packet, IPv6", dataplane.SideIPv6, packet},
	} {
		t.Run(test.name, func(t *testing.T) {
			middle, inet, access := packetPair(t)
			host := map[dataplane.Side]*namespace{dataplane.SideIPv4: inet, dataplane.SideIPv6: access}[test.side]
			if test.config.IPv4.Kind == KindTUN {
				host = newNamespace(t) // the sender is the kernel behind the TUN device
				middle = host
			}
			test.config.Queues = 4
			r := newRecord()
			middle.start(test.config, func(queue int) Processor { return r.processor(queue, test.side) })
			host.do(func() {
				switch {
				case test.side == dataplane.SideIPv6:
					for i := range hosts {
						host.address("lo", fmt.Sprintf("2001:db8:5::%x/128", i+1))
					}
					if host == access {
						host.route(leftIPv6+"/128", "2001:db8::1")
					}
				case host == inet:
					host.route("203.0.113.0/24", "198.51.100.1")
				}
			})
			for i := range hosts {
				for range 3 {
					host.datagrams(test.side, i)
				}
			}
			r.wait(t, func() bool { return r.kept() >= 3*4*hosts })

			r.mu.Lock()
			defer r.mu.Unlock()
			queueOf := make(map[string]int)
			for queue, packets := range r.packets {
				for _, packet := range packets {
					flow := packet[12:20]
					if test.side == dataplane.SideIPv6 {
						flow = packet[8:24]
					}
					if before, ok := queueOf[flow]; ok && before != queue {
						t.Errorf("packets of one flow came on queues %d and %d", before, queue)
					}
					queueOf[flow] = queue
				}
			}
			if len(queueOf) != hosts || len(r.packets) < 2 {
				t.Errorf("%d flows on %d queues", len(queueOf), len(r.packets))
			}
		})
	}
}

// datagrams sends one of 4000 bytes, which is three fragments, and one of 100
// bytes, from a new port.
func (n *namespace) datagrams(side dataplane.Side, host int) {
	n.t.Helper()
	n.do(func() {
		network, to, dialer := "udp4", fmt.Sprintf("203.0.113.%d:9", host+1), &net.Dialer{}
		if side == dataplane.SideIPv6 {
			network, to = "udp6", net.JoinHostPort(leftIPv6, "9")
			dialer.LocalAddr = &net.UDPAddr{IP: net.ParseIP(fmt.Sprintf("2001:db8:5::%x", host+1))}
		}
		conn, err := dialer.DialContext(n.t.Context(), network, to)
		n.check(err, "dial %s", to)
		defer conn.Close()
		if side == dataplane.SideIPv4 {
			n.check(control(conn, func(fd int) error {
				return unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_MTU_DISCOVER, unix.IP_PMTUDISC_DONT)
			}), "let the kernel fragment")
		}
		for _, size := range []int{4000, 100} {
			_, err := conn.Write(bytesUpTo(size))
			n.check(err, "send to %s", to)
		}
	})
}
