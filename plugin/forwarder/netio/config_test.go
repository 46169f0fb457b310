package netio

import (
	"net/netip"
	"strings"
	"testing"
)

func TestConfig(t *testing.T) {
	prefix := netip.MustParsePrefix
	for _, test := range []struct {
		name   string
		change func(*Config)
		want   []string // parts of the error, one per line; none if it is valid
	}{
		{"default", func(*Config) {}, nil},
		{"packet", func(c *Config) { *c = packetConfig() }, nil},
		{"tun", func(c *Config) { *c = tunConfig(leftIPv4, rightIPv4, leftIPv6) }, nil},
		{"one tun", func(c *Config) { c.IPv6.Name = c.IPv4.Name }, nil},
		{"one packet interface", func(c *Config) { *c = packetConfig(); c.IPv6.Name = c.IPv4.Name }, nil},
		{"no queues", func(c *Config) { c.Queues = 0 }, []string{"queues: 0 is not in 1 to 256"}},
		{"batch", func(c *Config) { c.Batch = 1025 }, []string{"batch: 1025"}},
		{"no name", func(c *Config) { c.IPv4.Name = "" }, []string{`ipv4 device: name ""`}},
		{"long name", func(c *Config) { c.IPv6.Name = "sixteen-letters-" }, []string{"ipv6 device: name"}},
		{"kind", func(c *Config) { c.IPv4.Kind = KindMemory }, []string{"cannot be configured: memory"}},
		{"MTU of IPv6", func(c *Config) { c.IPv6.MTU = 1279 }, []string{"MTU 1279 is not in 1280"}},
		{"MTU of a packet interface", func(c *Config) { *c = packetConfig(); c.IPv4.MTU = 1500 }, []string{"operator's"}},
		{"next hop of a tun", func(c *Config) { c.IPv4.NextHop = netip.MustParseAddr("192.0.2.1") }, []string{"next hop"}},
		{"next hop of the other side", func(c *Config) { *c = packetConfig(); c.IPv4.NextHop = c.IPv6.NextHop }, []string{"next hop 2001:db8::2"}},
		{"multicast next hop", func(c *Config) { *c = packetConfig(); c.IPv4.NextHop = netip.MustParseAddr("224.0.0.1") }, []string{"next hop 224.0.0.1"}},
		{"address of the other side", func(c *Config) { c.IPv4.Addresses = []netip.Prefix{prefix("2001:db8::/64")} }, []string{"address 2001:db8::/64"}},
		{"route of the other side", func(c *Config) { c.IPv6.Routes = []netip.Prefix{prefix("192.0.2.0/24")} }, []string{"route 192.0.2.0/24"}},
		{"mapped route", func(c *Config) { c.IPv6.Routes = []netip.Prefix{prefix("::ffff:192.0.2.0/120")} }, []string{"route ::ffff:192.0.2.0/120"}},
		{"route with host bits", func(c *Config) { c.IPv4.Routes = []netip.Prefix{prefix("192.0.2.1/24")} }, []string{"route 192.0.2.1/24"}},
		{"zero route", func(c *Config) { c.IPv4.Routes = make([]netip.Prefix, 1) }, []string{"route invalid Prefix"}},
		{"two MTUs", func(c *Config) { c.IPv6.Name, c.IPv6.MTU = c.IPv4.Name, 1540 }, []string{"two MTUs"}},
		{"two kinds", func(c *Config) { *c = packetConfig(); c.IPv4 = DeviceConfig{Name: "access"} }, []string{"both a tun and a packet device"}},
		{"several", func(c *Config) { c.Queues, c.Batch = -1, -1 }, []string{"queues: -1", "batch: -1"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := DefaultConfig()
			test.change(&c)
			err := c.Validate()
			if len(test.want) == 0 {
				if err != nil {
					t.Fatal(err)
				}
				return
			}
			if err == nil {
				t.Fatal("no error")
			}
			lines := strings.Split(err.Error(), "\n")
			if len(lines) != len(test.want) {
				t.Fatalf("errors %q", lines)
			}
			for i, want := range test.want {
				if !strings.Contains(lines[i], want) {
					t.Errorf("error %q", lines[i])
				}
			}
		})
	}
}

func TestKind(t *testing.T) {
	for _, k := range []Kind{KindTUN, KindPacket} {
		if got, err := ParseKind(k.String()); err != nil || got != k {
			t.Errorf("%s: %s, error %v", k, got, err)
		}
	}
	for _, text := range []string{"", "TUN", "memory", "tap"} {
		if _, err := ParseKind(text); err == nil {
			t.Errorf("%q is a kind", text)
		}
	}
}
