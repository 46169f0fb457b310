package speaker

import (
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/lwaftr/lw4o6/bgp/feed"
)

// told records what a peer is told.
type told struct{ lines []string }

func (p *told) announce(r feed.Route) error {
	p.lines = append(p.lines, "+"+r.Prefix.String())
	return nil
}

func (p *told) withdraw(prefix netip.Prefix) error {
	p.lines = append(p.lines, "-"+prefix.String())
	return nil
}

func (p *told) since() []string {
	lines := p.lines
	p.lines = nil
	return lines
}

func routes(texts ...string) []feed.Route {
	var all []feed.Route
	for _, text := range texts {
		all = append(all, feed.Route{Prefix: netip.MustParsePrefix(text)})
	}
	return all
}

func check(t *testing.T, p *told, err error, want ...string) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, p.since()); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// TestOrder: only differences are told, IPv6 goes first and comes last.
func TestOrder(t *testing.T) {
	p := &told{}
	table := newTable(feed.Session{Peer: netip.MustParseAddr("192.0.2.254")}, p)
	check(t, p, table.set(routes("2001:db8::1/128", "198.51.100.0/24", "192.0.2.0/24")),
		"+192.0.2.0/24", "+198.51.100.0/24", "+2001:db8::1/128")
	check(t, p, table.set(routes("2001:db8::1/128", "198.51.100.0/24", "192.0.2.0/24")))
	check(t, p, table.set(routes("2001:db8::2/128", "203.0.113.0/24", "192.0.2.0/24")),
		"-2001:db8::1/128", "-198.51.100.0/24", "+203.0.113.0/24", "+2001:db8::2/128")
	changed := routes("2001:db8::2/128", "203.0.113.0/24", "192.0.2.0/24")
	changed[1].Prepend = 1
	check(t, p, table.set(changed), "+203.0.113.0/24")
	check(t, p, table.set(nil), "-2001:db8::2/128", "-203.0.113.0/24", "-192.0.2.0/24")
}

// TestExtendedNextHop: IPv4 routes with IPv6 next hops wait for a peer that
// understands them, and go when it does not any more.
func TestExtendedNextHop(t *testing.T) {
	p := &told{}
	peer := netip.MustParseAddr("2001:db8::fe")
	table := newTable(feed.Session{Peer: peer}, p)
	check(t, p, table.set(routes("2001:db8::1/128", "192.0.2.0/24")), "+2001:db8::1/128")
	if diff := cmp.Diff([]string{"192.0.2.0/24"}, texts(table.withheld())); diff != "" {
		t.Errorf("withheld: -want +got:\n%s", diff)
	}
	check(t, p, table.understands(false))
	check(t, p, table.understands(true), "+192.0.2.0/24")
	if diff := cmp.Diff([]string{"192.0.2.0/24", "2001:db8::1/128"}, texts(table.announced())); diff != "" {
		t.Errorf("announced: -want +got:\n%s", diff)
	}
	check(t, p, table.understands(true))
	check(t, p, table.understands(false), "-192.0.2.0/24")

	// One that keeps routes from before is told them at once.
	table = newTable(feed.Session{Peer: peer, Restarting: true}, p)
	check(t, p, table.set(routes("192.0.2.0/24")), "+192.0.2.0/24")
}

func texts(all []netip.Prefix) []string {
	var texts []string
	for _, p := range all {
		texts = append(texts, p.String())
	}
	return texts
}
