package bgp

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// awaitRoutes waits until BIRD has exactly these routes with these attributes.
func (b upstreamBIRD) awaitRoutes(t *testing.T, want table) {
	t.Helper()
	eventually(t, "BIRD's routes", func() error {
		got, err := b.routes()
		if err != nil {
			return err
		}
		if diff := cmp.Diff(want, got); diff != "" {
			return errors.New("-want +got:\n" + diff)
		}
		return nil
	})
}

// ebgp is BIRD's side of a session over addresses of one family.
func ebgp(local, neighbor, more, channels string) string {
	return fmt.Sprintf("protocol bgp lwaftr { local %s as 64501; neighbor %s as 64500; %s\n%s }\n", local, neighbor, more, channels)
}

const (
	channel4  = "ipv4 { import all; export none; };\n"
	channel6  = "ipv6 { import all; export none; };\n"
	extended4 = "ipv4 { import all; export none; extended next hop; };\n"
)

// attrs are attributes as BIRD names them; eBGP routes have all but what is given
// in common.
func attrs(nextHop string, more ...string) map[string]string {
	all := map[string]string{"origin": "IGP", "as_path": "64500", "next_hop": nextHop, "local_pref": "100"}
	for i := 0; i < len(more); i += 2 {
		all[more[i]] = more[i+1]
	}
	return all
}

// table is a table of routes.
type table = map[string]map[string]string

// TestAttributes: BIRD has each route with exactly the attributes configured, over
// sessions of either family.
func TestAttributes(t *testing.T) {
	t.Parallel()
	const (
		home, work = "192.0.2.0/24", "203.0.113.0/24"
		br         = "2001:db8:ffff::1/128"
	)
	tests := []struct {
		name, bird string
		as         int
		peer       string
		want       table
	}{
		{"all attributes, by peer and by pool", ebgp(upstream4, router4, "", channel4+channel6), 64500, `
      address: 198.51.100.2
      as: 64501
      next-hop-ipv6: 2001:db8:1::1
      communities: ["64500:1", no-export]
      large-communities: ["64500:1:2"]
      med: 10
  pools:
    - {pool: work, med: 20, prepend: 2, communities: ["64500:2"], large-communities: ["64500:3:4294967295"]}`,
			table{
				home: attrs(router4, "med", "10", "community", "(64500,1) (65535,65281)", "large_community", "(64500, 1, 2)"),
				work: attrs(router4, "as_path", "64500 64500 64500", "med", "20",
					"community", "(64500,1) (64500,2) (65535,65281)", "large_community", "(64500, 1, 2) (64500, 3, 4294967295)"),
				br: attrs(router6, "med", "10", "community", "(64500,1) (65535,65281)", "large_community", "(64500, 1, 2)"),
			}},
		{"IPv4 over IPv4", ebgp(upstream4, router4, "", channel4), 64500, `
      address: 198.51.100.2
      as: 64501
      families: [ipv4]`,
			table{home: attrs(router4), work: attrs(router4)}},
		{"IPv6 over IPv6", ebgp(upstream6, router6, "", channel6), 64500, `
      address: 2001:db8:1::2
      as: 64501
      families: [ipv6]`,
			table{br: attrs(router6)}},
		{"IPv4 over IPv6 with IPv6 next hops", ebgp(upstream6, router6, "", extended4+channel6), 64500, `
      address: 2001:db8:1::2
      as: 64501
      next-hop-ipv4: 2001:db8:1::1`,
			table{home: attrs(router6), work: attrs(router6), br: attrs(router6)}},
		{"IPv4 over IPv6 with IPv4 next hops", ebgp(upstream6, router6, "", channel4+channel6), 64500, `
      address: 2001:db8:1::2
      as: 64501
      next-hop-ipv4: 198.51.100.1`,
			table{home: attrs(router4), work: attrs(router4), br: attrs(router6)}},
		{"a next hop that is a third party", ebgp(upstream4, router4, "", channel4), 64500, `
      address: 198.51.100.2
      as: 64501
      families: [ipv4]
      next-hop-ipv4: 198.51.100.77`,
			table{home: attrs("198.51.100.77"), work: attrs("198.51.100.77")}},
		{"within the AS", strings.Replace(ebgp(upstream4, router4, "direct;", channel4), "64501", "64500", 1), 64500, `
      address: 198.51.100.2
      as: 64500
      families: [ipv4]
      local-preference: 200
  pools:
    - {pool: work, local-preference: 50}`,
			table{
				home: attrs(router4, "as_path", "", "local_pref", "200"),
				work: attrs(router4, "as_path", "", "local_pref", "50"),
			}},
		{"AS numbers of four octets", strings.NewReplacer("64501", "4200000001", "64500", "4200000000").Replace(
			ebgp(upstream4, router4, "", channel4)), 4200000000, `
      address: 198.51.100.2
      as: 4200000001
      families: [ipv4]
      prepend: 1`,
			table{home: attrs(router4, "as_path", "4200000000 4200000000"), work: attrs(router4, "as_path", "4200000000 4200000000")}},
		{"one pool only", ebgp(upstream4, router4, "", channel4+channel6), 64500, `
      address: 198.51.100.2
      as: 64501
      next-hop-ipv6: 2001:db8:1::1
      pools: [work]`,
			table{work: attrs(router4)}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			here, there := twoNodes(t)
			b := startBIRD(t, there, tt.bird)
			r := startRouter(t, here, upstream(tt.as, tt.peer))
			r.announce(t, route(home, "home"), route(work, "work"), route(br, "home"))
			b.awaitRoutes(t, tt.want)
			r.announce(t)
			b.awaitRoutes(t, table{})
		})
	}
}

// upstream is a configuration with one peer, or more.
func upstream(as int, peer string) string {
	return pools + fmt.Sprintf("bgp:\n  router-id: 198.51.100.1\n  as: %d\n  peers:\n    - name: upstream\n      connect-retry: 1s", as) + peer + "\n"
}

// TestNoExtendedNextHop: a peer that does not understand IPv6 next hops of IPv4
// routes gets none, which is reported, and everything else.
func TestNoExtendedNextHop(t *testing.T) {
	t.Parallel()
	here, there := twoNodes(t)
	b := startBIRD(t, there, ebgp(upstream6, router6, "", channel4+channel6))
	r := startRouter(t, here, upstream(64500, `
      address: 2001:db8:1::2
      as: 64501
      next-hop-ipv4: 2001:db8:1::1`))
	r.announce(t, route("192.0.2.0/24", "home"), route("2001:db8:ffff::1/128", "home"))
	b.awaitRoutes(t, table{"2001:db8:ffff::1/128": attrs(router6)})
	is := r.await(t, "upstream", established)
	if diff := cmp.Diff(addresses("192.0.2.0/24"), is.Withheld, cmp.Comparer(samePrefix)); diff != "" {
		t.Errorf("withheld: -want +got:\n%s", diff)
	}
	if diff := cmp.Diff(addresses("2001:db8:ffff::1/128"), is.Announced, cmp.Comparer(samePrefix)); diff != "" {
		t.Errorf("announced: -want +got:\n%s", diff)
	}
	if is.ExtendedNextHop || !strings.Contains(r.process.Output(), "does not understand IPv6 next hops") {
		t.Errorf("extended next hop: %t, and nothing in the log", is.ExtendedNextHop)
	}
	if log := b.Output(); strings.Contains(log, "Invalid") {
		t.Errorf("BIRD was sent what it does not understand:\n%s", log)
	}
}

func samePrefix(a, b netip.Prefix) bool { return a == b }

// TestDrain: routes that are draining ask for traffic to leave.
func TestDrain(t *testing.T) {
	t.Parallel()
	here, there := twoNodes(t)
	b := startBIRD(t, there, ebgp(upstream4, router4, "", channel4)+
		"protocol bgp inner { local "+upstream6+" as 64500; neighbor "+router6+" as 64500; direct;\n"+channel6+" }\n")
	r := startRouter(t, here, upstream(64500, `
      address: 198.51.100.2
      as: 64501
      families: [ipv4]
      med: 10
      communities: ["64500:1"]
    - name: inner
      address: 2001:db8:1::2
      as: 64500
      families: [ipv6]
      connect-retry: 1s
  drain: {med: 1000, prepend: 1}`))
	home, br := route("192.0.2.0/24", "home"), route("2001:db8:ffff::1/128", "home")
	r.announce(t, home, br)
	usual := table{
		"192.0.2.0/24":         attrs(router4, "med", "10", "community", "(64500,1)"),
		"2001:db8:ffff::1/128": attrs(router6, "as_path", ""),
	}
	b.awaitRoutes(t, usual)
	home.Drain, br.Drain = true, true
	r.announce(t, home, br)
	b.awaitRoutes(t, table{
		"192.0.2.0/24":         attrs(router4, "med", "1000", "as_path", "64500 64500", "community", "(64500,1) (65535,0)"),
		"2001:db8:ffff::1/128": attrs(router6, "med", "1000", "as_path", "", "local_pref", "0", "community", "(65535,0)"),
	})
	home.Drain, br.Drain = false, false
	r.announce(t, home, br)
	b.awaitRoutes(t, usual)
}
