package bgp

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"testing"

	"github.com/lwaftr/lw4o6/bgp"
)

// home is a route, and homeRoute is how BIRD has it.
const home = "192.0.2.0/24"

var homeRoute = table{home: attrs(router4)}

// TestTransport: sessions that are secured or made in special ways come up when
// both sides agree, and not otherwise.
func TestTransport(t *testing.T) {
	t.Parallel()
	password := filepath.Join(t.TempDir(), "password")
	must(t, os.WriteFile(password, []byte("secret\n"), 0o600))
	tests := []struct {
		name, wrong, right, peer string
	}{
		{"MD5", `password "other";`, `password "secret";`, "password: secret"},
		{"MD5 from a file", ``, `password "secret";`, "password-file: " + password},
		{"no MD5", `password "secret";`, ``, "port: 179"},
		{"GTSM", ``, `ttl security on;`, "ttl-security: 1"},
		{"MD5 and GTSM", `ttl security on;`, `ttl security on; password "secret";`, "ttl-security: 1\n      password: secret"},
	}
	for _, tt := range tests {
		start := func(t *testing.T, options string) (upstreamBIRD, *router) {
			t.Parallel()
			here, there := twoNodes(t)
			b := startBIRD(t, there, ebgp(upstream4, router4, options, channel4))
			r := startRouter(t, here, upstream(64500, "\n      address: 198.51.100.2\n      as: 64501\n      families: [ipv4]\n      "+tt.peer))
			r.announce(t, route(home, "home"))
			return b, r
		}
		t.Run(tt.name, func(t *testing.T) {
			b, _ := start(t, tt.right)
			b.awaitRoutes(t, homeRoute)
		})
		t.Run("not "+tt.name, func(t *testing.T) {
			_, r := start(t, tt.wrong)
			r.await(t, "upstream", func(s bgp.PeerStats) error {
				// With GTSM a connection is made, and what follows is not heard.
				if s.Error == "" && s.State != "opensent" {
					return fmt.Errorf("is %s", s.State)
				}
				return nil
			})
			if s := r.await(t, "upstream", func(bgp.PeerStats) error { return nil }); s.Sessions != 0 {
				t.Errorf("a session with the wrong peer: %+v", s)
			}
		})
	}
}

// TestPassive: a speaker that waits for its peer.
func TestPassive(t *testing.T) {
	t.Parallel()
	here, there := twoNodes(t)
	b := startBIRD(t, there, ebgp(upstream4, router4, `connect delay time 1; connect retry time 1; password "secret";`, channel4))
	r := startRouter(t, here, upstream(64500, `
      address: 198.51.100.2
      as: 64501
      source-address: 198.51.100.1
      passive: true
      password: secret
      families: [ipv4]`))
	r.announce(t, route(home, "home"))
	b.awaitRoutes(t, homeRoute)
}

// TestMultihop: a peer behind another router, at an address that is on no link.
func TestMultihop(t *testing.T) {
	t.Parallel()
	lab, here := newLab(t)
	middle, err := lab.Namespace("middle")
	must(t, err)
	there, err := lab.Namespace("upstream")
	must(t, err)
	must(t, lab.Connect(end(here, "up", router4+"/24"), end(middle, "down", "198.51.100.3/24")))
	must(t, lab.Connect(end(middle, "up", "10.0.0.1/24"), end(there, "down", "10.0.0.2/24")))
	must(t, middle.Forward())
	must(t, here.Route(netip.MustParsePrefix("10.0.0.0/24"), netip.MustParseAddr("198.51.100.3")))
	must(t, there.Route(netip.MustParsePrefix("198.51.100.0/24"), netip.MustParseAddr("10.0.0.1")))
	b := startBIRD(t, there, "protocol direct { ipv4 { import where net = 10.0.0.0/24; }; }\nprotocol static { ipv4; route 198.51.100.0/24 via 10.0.0.1; }\n"+
		ebgp("10.0.0.2", router4, "multihop 2;", channel4))
	r := startRouter(t, here, upstream(64500, `
      address: 10.0.0.2
      as: 64501
      multihop: 2
      families: [ipv4]`))
	r.announce(t, route(home, "home"))
	eventually(t, "the route", func() error {
		routes, err := b.routes()
		if err == nil && routes[home]["next_hop"] != router4 {
			err = fmt.Errorf("BIRD has %v", routes)
		}
		return err
	})
}
