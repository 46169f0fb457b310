package netio

import (
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/lwaftr/lw4o6/plugin/dataplane"
)

// packetEnds is three namespaces: left is a host, right has a tunnel end with
// TUN devices, and middle is to get the other tunnel end with packet devices.
func packetEnds(t *testing.T) (left, middle, right *namespace) {
	left, middle, right = newNamespace(t), newNamespace(t), newNamespace(t)
	connect(left, "middle", middle, "inet", 1500)
	connect(middle, "access", right, "middle", 1600)
	left.do(func() {
		left.address("lo", leftIPv4+"/32")
		left.address("middle", "198.51.100.2/24")
		left.routeFrom(rightIPv4+"/32", "198.51.100.1", leftIPv4)
	})
	middle.do(func() {
		// The worst case: the kernel would forward too, and knows where to.
		middle.forward("1")
		middle.address("inet", "198.51.100.1/24")
		middle.address("access", "2001:db8::1/64")
		middle.route("0.0.0.0/0", "198.51.100.2")
		middle.route("::/0", "2001:db8::2")
	})
	right.do(func() {
		right.forward("1")
		right.address("middle", "2001:db8::2/64")
		right.route(leftIPv6+"/128", "2001:db8::1")
	})
	return left, middle, right
}

func packetConfig() Config {
	c := DefaultConfig()
	c.IPv4 = DeviceConfig{
		Kind: KindPacket, Name: "inet",
		Routes:  []netip.Prefix{netip.MustParsePrefix(rightIPv4 + "/32")},
		NextHop: netip.MustParseAddr("198.51.100.2"),
	}
	c.IPv6 = DeviceConfig{
		Kind: KindPacket, Name: "access",
		Routes:  []netip.Prefix{netip.MustParsePrefix(leftIPv6 + "/128")},
		NextHop: netip.MustParseAddr("2001:db8::2"),
	}
	return c
}

// snmp reads one counter of /proc/net/snmp6 or, as "Icmp: OutMsgs", of
// /proc/net/snmp.
func (n *namespace) snmp(name string) (value int) {
	n.t.Helper()
	n.do(func() {
		path := "/proc/thread-self/net/snmp6"
		protocol, field, isIPv4 := strings.Cut(name, " ")
		if isIPv4 {
			path = "/proc/thread-self/net/snmp"
		}
		text, err := os.ReadFile(path)
		n.check(err, "read %s", path)
		found := false
		var names []string
		for line := range strings.Lines(string(text)) {
			fields := strings.Fields(line)
			switch {
			case !isIPv4 && fields[0] == name:
				value, err = strconv.Atoi(fields[1])
				found = true
			case isIPv4 && fields[0] == protocol && names == nil:
				names = fields
			case isIPv4 && fields[0] == protocol:
				for i := range names {
					if names[i] == field {
						value, err = strconv.Atoi(fields[i])
						found = true
					}
				}
			}
		}
		n.check(err, "counter %s", name)
		if !found {
			n.t.Errorf("no counter %s", name)
		}
	})
	return value
}

func TestPacketTunnel(t *testing.T) {
	for _, test := range []struct {
		name   string
		change func(*Config)
		gro    bool // whether the kernel joins what comes in from the tunnel
	}{
		{"one queue", func(*Config) {}, false},
		{"four queues", func(c *Config) { c.Queues = 4 }, false},
		{"default gateway", func(c *Config) { c.IPv4.NextHop, c.IPv6.NextHop = netip.Addr{}, netip.Addr{} }, false},
		{"no offload", func(c *Config) { c.NoOffload = true }, false},
		{"receive offload", func(*Config) {}, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			left, middle, right := packetEnds(t)
			config := packetConfig()
			test.change(&config)
			if test.gro {
				middle.do(func() { middle.receiveOffload("access") })
				// A veth pair does not join what its other end could have sent
				// joined.
				right.do(func() {
					right.check(ethtool("middle", &ethtoolValue{command: unix.ETHTOOL_STSO}), "send offload")
				})
			}
			seen := &watch{}
			port, stop := middle.start(config, func(queue int) Processor {
				p := leftTunnel(queue).(*tunnel)
				p.look = seen.look
				return p
			})
			right.start(tunConfig(rightIPv4, leftIPv4, rightIPv6), rightTunnel)

			ping(t, left, rightIPv4)
			transfer(t, left, right, rightIPv4, 8<<20)

			seen.check(t)
			stats := port.Stats()
			if d := deviceOf(stats, dataplane.SideIPv4); d.SupersReceived == 0 || (d.SupersSent == 0) != config.NoOffload {
				t.Errorf("super-packets: %d received, %d sent", d.SupersReceived, d.SupersSent)
			}
			if d := deviceOf(stats, dataplane.SideIPv6); (d.SupersReceived > 0) != test.gro {
				t.Errorf("%d super-packets received from the tunnel", d.SupersReceived)
			}
			// The kernel was to keep quiet about packets that are not its own.
			for _, name := range []string{"Ip6OutForwDatagrams", "Icmp6OutDestUnreachs", "Ip: ForwDatagrams", "Icmp: OutDestUnreachs", "Icmp: OutTimeExcds"} {
				if n := middle.snmp(name); n != 0 {
					t.Errorf("kernel counted %s: %d", name, n)
				}
			}
			stop()
			middle.do(func() {
				if left := blackholes(middle); left != 0 {
					t.Errorf("%d routes into nothing stay behind", left)
				}
			})
		})
	}
}

// receiveOffload has the kernel join what comes in by an interface.
func (n *namespace) receiveOffload(name string) {
	on := &ethtoolValue{command: unix.ETHTOOL_SGRO, data: 1}
	n.check(ethtool(name, on), "receive offload")
	// On a veth pair packets come one by one; to be joined they must wait for
	// one another. Only sysfs can say so, and it is about one namespace.
	directory := n.t.TempDir()
	n.check(unix.Unshare(unix.CLONE_NEWNS), "new mount namespace")
	n.check(unix.Mount("none", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""), "private mounts")
	n.check(unix.Mount("sysfs", directory, "sysfs", 0, ""), "mount sysfs")
	file := filepath.Join(directory, "class/net", name, "gro_flush_timeout")
	n.check(os.WriteFile(file, []byte("1000000"), 0o644), "receive offload")
}

// blackholes counts the routes into nothing that are ours.
func blackholes(n *namespace) int {
	handle, err := OpenNetlink()
	n.check(err, "netlink")
	defer handle.Close()
	count := 0
	for _, side := range []dataplane.Side{dataplane.SideIPv4, dataplane.SideIPv6} {
		r, err := newRoutes(handle, side, 0)
		n.check(err, "routes")
		count += len(r.have)
	}
	return count
}
