package bgp

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/lwaftr/lw4o6/plugin/config/element"
	"github.com/lwaftr/lw4o6/plugin/pool"
)

// good is a Config with one peer that is fine.
func good() Config {
	p := Peer{Name: "up", Address: netip.MustParseAddr("192.0.2.254"), AS: 64501, NextHopIPv6: netip.MustParseAddr("2001:db8::1")}
	p.SetDefaults()
	return Config{RouterID: netip.MustParseAddr("192.0.2.1"), AS: 64500, Peers: []Peer{p}}
}

// TestValidate: what is contradictory is refused where it stands.
func TestValidate(t *testing.T) {
	addr := netip.MustParseAddr
	peer := func(change func(*Peer)) func(*Config) { return func(c *Config) { change(&c.Peers[0]) } }
	second := func(change func(*Peer)) func(*Config) {
		return func(c *Config) {
			p := c.Peers[0]
			p.Name, p.Address = "other", addr("192.0.2.253")
			change(&p)
			c.Peers = append(c.Peers, p)
		}
	}
	tests := []struct {
		name   string
		change func(*Config)
		want   []string // the beginnings
	}{
		{"good", func(*Config) {}, nil},
		{"no peers", func(c *Config) { *c = Config{} }, nil},
		{"two peers", second(func(*Peer) {}), nil},
		{"no router ID and no AS", func(c *Config) { c.RouterID, c.AS = netip.Addr{}, 0 }, []string{
			"router-id: invalid IP is not an IPv4 address", "as: 0 is not the number of an AS"}},
		{"a router ID of IPv6", func(c *Config) { c.RouterID = addr("2001:db8::1") }, []string{"router-id: 2001:db8::1 is not an IPv4"}},
		{"AS_TRANS", peer(func(p *Peer) { p.AS = 23456 }), []string{"peers[0].as: 23456 is not"}},
		{"too many peers", func(c *Config) {
			for i := range maxPeers {
				p := c.Peers[0]
				p.Name, p.Address = fmt.Sprint("p", i), netip.AddrFrom4([4]byte{10, 0, 0, byte(i)})
				c.Peers = append(c.Peers, p)
			}
		}, []string{"peers: 65 peers; at most 64"}},
		{"the same peer twice", second(func(p *Peer) { p.Name, p.Address = "up", addr("192.0.2.254") }), []string{
			`peers[1].name: "up" is the name of another`, `peers[1].address: 192.0.2.254 is the address of peer "up"`}},
		{"a name that is none", peer(func(p *Peer) { p.Name = "a b" }), []string{`peers[0].name: "a b" is not a name`}},
		{"a link-local peer", peer(func(p *Peer) { p.Address = addr("fe80::1") }), []string{"peers[0].address: fe80::1 is not", "peers[0].next-hop-ipv4: is missing"}},
		{"port 0", peer(func(p *Peer) { p.Port = 0 }), []string{"peers[0].port: 0 is not"}},
		{"a source of the other family", peer(func(p *Peer) { p.Source = addr("2001:db8::1") }), []string{"peers[0].source-address: 2001:db8::1 is not an address to reach"}},
		{"the peer as the source", peer(func(p *Peer) { p.Source = p.Address }), []string{"peers[0].source-address: 192.0.2.254 is the peer's"}},
		{"two passwords", peer(func(p *Peer) { p.Password, p.PasswordFile = "a", "/b" }), []string{"peers[0].password-file: there is a password besides"}},
		{"a long password", peer(func(p *Peer) { p.Password = strings.Repeat("x", 81) }), []string{"peers[0].password: has 81 octets"}},
		{"GTSM and multihop", peer(func(p *Peer) { p.TTLSecurity, p.Multihop = 1, 3 }), []string{"peers[0].multihop: does not go with ttl-security"}},
		{"GTSM and a password", peer(func(p *Peer) { p.TTLSecurity, p.Password = 1, "x" }), nil},
		{"GTSM for any distance", peer(func(p *Peer) { p.TTLSecurity = 255 }), []string{"peers[0].ttl-security: 255 hops"}},
		{"multihop in the AS", peer(func(p *Peer) { p.AS, p.Multihop = 64500, 3 }), []string{"peers[0].multihop: is for peers of another AS"}},
		{"multihop of 1", peer(func(p *Peer) { p.Multihop = 1 }), []string{"peers[0].multihop: 1 is for neighbours"}},
		{"passive without a source", peer(func(p *Peer) { p.Passive = true }), []string{"peers[0].source-address: is missing: a passive"}},
		{"two passive on an address", func(c *Config) {
			c.Peers[0].Passive, c.Peers[0].Source = true, addr("192.0.2.1")
			second(func(*Peer) {})(c)
		}, []string{`peers[1].passive: peer "up" listens on 192.0.2.1`}},
		{"times", peer(func(p *Peer) {
			p.HoldTime, p.ConnectRetry, p.GracefulRestart = 2*time.Second, 0, 4096*time.Second
		}), []string{"peers[0].hold-time: 2s: want", "peers[0].connect-retry: 0s: want", "peers[0].graceful-restart: 1h8m16s: want"}},
		{"parts of a second", peer(func(p *Peer) { p.HoldTime = 3500 * time.Millisecond }), []string{"peers[0].hold-time: 3.5s: want whole"}},
		{"prefix limit", peer(func(p *Peer) { p.PrefixLimit = 0 }), []string{"peers[0].prefix-limit: 0: want"}},
		{"families", peer(func(p *Peer) { p.Families = []Family{"ipv6", "ipx", "ipv6"} }), []string{
			`peers[0].families[1]: "ipx" is neither`, "peers[0].families[2]: ipv6 is there twice"}},
		{"IPv4 routes over IPv6 without a next hop", peer(func(p *Peer) { p.Address = addr("2001:db8::fe") }), []string{
			"peers[0].next-hop-ipv4: is missing: the session with 2001:db8::fe"}},
		{"no IPv4 routes over IPv6", peer(func(p *Peer) { p.Address, p.Families = addr("2001:db8::fe"), []Family{IPv6} }), nil},
		{"IPv6 routes over IPv4 without a next hop", peer(func(p *Peer) { p.NextHopIPv6 = netip.Addr{} }), []string{
			"peers[0].next-hop-ipv6: is missing"}},
		{"a next hop of no family", peer(func(p *Peer) { p.Families = []Family{IPv4} }), []string{"peers[0].next-hop-ipv6: the families of this peer are without ipv6"}},
		{"an IPv4 next hop of IPv6 routes", peer(func(p *Peer) { p.NextHopIPv6 = addr("192.0.2.1") }), []string{"peers[0].next-hop-ipv6: 192.0.2.1 cannot be"}},
		{"unknown pools", func(c *Config) {
			c.Peers[0].Pools = []string{"home", "away"}
			c.Pools = []PoolAttributes{{Pool: "away"}, {Pool: "home"}, {Pool: "home"}}
		}, []string{`peers[0].pools[1]: there is no pool "away"`, `pools[0].pool: there is no pool "away"`, `pools[2].pool: "home" has attributes above`}},
		{"local preference in eBGP", func(c *Config) {
			c.Peers[0].LocalPreference = new(uint32(1))
			c.Pools = []PoolAttributes{{Pool: "home", Attributes: Attributes{LocalPreference: new(uint32(1))}}}
		}, []string{"peers[0].local-preference: is only sent", "pools[0].local-preference: is only sent"}},
		{"prepends in iBGP", func(c *Config) {
			c.Peers[0].AS, c.Peers[0].Prepend = 64500, new(uint8(1))
		}, []string{"peers[0].prepend: is for peers of other ASes"}},
		{"too much", func(c *Config) {
			c.Peers[0].Communities = make([]Community, 33)
			c.Peers[0].LargeCommunities = make([]LargeCommunity, 33)
			c.Peers[0].Prepend = new(uint8(17))
			c.Drain.Prepend = 17
		}, []string{"peers[0].communities: 33; at most 32", "peers[0].large-communities: 33; at most 32", "peers[0].prepend: 17: want", "drain.prepend: 17: want"}},
	}
	pools := pool.Pools{{Name: "home"}, {Name: "work"}}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := good()
			tt.change(&c)
			got := element.Each(c.Validate(pools))
			if len(got) != len(tt.want) {
				t.Fatalf("got %v, want %q", got, tt.want)
			}
			for i, e := range got {
				if !strings.HasPrefix(e.Error(), tt.want[i]) {
					t.Errorf("got %q, want %q", e, tt.want[i])
				}
			}
		})
	}
}

// TestCommunities: their texts, and what is refused.
func TestCommunities(t *testing.T) {
	for text, want := range map[string]string{
		"64500:1": "64500:1", "1:65535": "1:65535", "no-export": "65535:65281", "no-advertise": "65535:65282",
		"no-export-subconfed": "65535:65283", "no-peer": "65535:65284", "65535:65281": "65535:65281",
		"65535:0": "refused", "65535:666": "refused", "0:1": "refused", "64500": "refused", "64500:1:2": "refused",
		"65536:1": "refused", "64500:-1": "refused", "064500:1": "refused", "blackhole": "refused", "": "refused",
	} {
		var c Community
		got := "refused"
		if c.UnmarshalText([]byte(text)) == nil {
			got = c.String()
		}
		if got != want {
			t.Errorf("%q: got %s, want %s", text, got, want)
		}
	}
	for text, want := range map[string]string{
		"64500:1:2": "64500:1:2", "4200000000:4294967295:0": "4200000000:4294967295:0",
		"0:1:2": "refused", "65535:1:2": "refused", "4294967295:1:2": "refused", "64500:1": "refused",
		"64500:1:4294967296": "refused", "64500:01:2": "refused",
	} {
		var c LargeCommunity
		got := "refused"
		if c.UnmarshalText([]byte(text)) == nil {
			got = c.String()
		}
		if got != want {
			t.Errorf("%q: got %s, want %s", text, got, want)
		}
	}
}

// FuzzCommunity: what is read has a text that is read as the same.
func FuzzCommunity(f *testing.F) {
	f.Add("64500:1")
	f.Add("no-export")
	f.Add("64500:1:2")
	f.Fuzz(func(t *testing.T, text string) {
		var c, c2 Community
		if c.UnmarshalText([]byte(text)) == nil && (c2.UnmarshalText([]byte(c.String())) != nil || c != c2) {
			t.Errorf("%q is %s, which is %s", text, c, c2)
		}
		var l, l2 LargeCommunity
		if l.UnmarshalText([]byte(text)) == nil && (l2.UnmarshalText([]byte(l.String())) != nil || l != l2) {
			t.Errorf("%q is %s, which is %s", text, l, l2)
		}
	})
}

// TestSession: what a speaker is told of its peer.
func TestSession(t *testing.T) {
	for hops, want := range map[uint8]uint8{0: 0, 1: 255, 2: 254, 254: 2} {
		c := good()
		c.Peers[0].TTLSecurity = hops
		if got := newPeer(c, c.Peers[0], speakerOf("none"), nil).session.MinTTL; got != want {
			t.Errorf("%d hops: packets have TTL %d at least, want %d", hops, got, want)
		}
	}
}
