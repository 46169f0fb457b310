package bgp

import (
	"maps"
	"os"
	"strings"
	"testing"

	"github.com/lwaftr/lw4o6/plugin/announce"
)

// pageBlock is the first block of docs/bgp.md with an info string.
func pageBlock(t *testing.T, info string) string {
	t.Helper()
	page, err := os.ReadFile("../../docs/bgp.md")
	must(t, err)
	_, block, found := strings.Cut(string(page), "```"+info+"\n")
	block, _, closed := strings.Cut(block, "```")
	if !found || !closed {
		t.Fatalf("docs/bgp.md has no block %q", info)
	}
	return block
}

// pageRoutes are what the page's router has to announce, and what its peer must
// not accept from it.
func pageRoutes(drain bool) []announce.Announcement {
	all := []announce.Announcement{
		route("192.0.2.0/24", "residential"), route("2001:db8:ffff::1/128", "residential"),
		route("192.0.2.0/25", "residential"), route("2001:db8:ffff::2/128", "residential"),
	}
	for i := range all {
		all[i].Drain = drain
	}
	return all
}

// TestPageBIRD: the router and BIRD of the page get on.
func TestPageBIRD(t *testing.T) {
	t.Parallel()
	here, there := twoNodes(t)
	b := startBIRD(t, there, pageBlock(t, "bird upstream.conf"))
	r := startRouter(t, here, pageBlock(t, "yaml lwaftr"))
	r.announce(t, pageRoutes(false)...)
	usual := attrs(router6, "community", "(64500,100)")
	b.awaitRoutes(t, table{"192.0.2.0/24": usual, "2001:db8:ffff::1/128": usual})
	r.announce(t, pageRoutes(true)...)
	draining := maps.Clone(usual)
	draining["community"], draining["local_pref"] = "(64500,100) (65535,0)", "0"
	b.awaitRoutes(t, table{"192.0.2.0/24": draining, "2001:db8:ffff::1/128": draining})
}

// TestPageFRR: the router and FRR of the page get on.
func TestPageFRR(t *testing.T) {
	t.Parallel()
	here, there := twoNodes(t)
	f := startFRR(t, there, pageBlock(t, "frr"))
	r := startRouter(t, here, pageBlock(t, "yaml lwaftr"))
	r.announce(t, pageRoutes(false)...)
	f.await(t, map[string]string{
		"ipv4 unicast 192.0.2.0/24":         "64500 0 [64500:100] [] 2001:db8:1::1",
		"ipv6 unicast 2001:db8:ffff::1/128": "64500 0 [64500:100] [] 2001:db8:1::1",
		"ipv4 unicast 192.0.2.0/25":         "",
		"ipv6 unicast 2001:db8:ffff::2/128": "",
	})
	r.announce(t, pageRoutes(true)...)
	f.await(t, map[string]string{
		"ipv4 unicast 192.0.2.0/24":         "64500 0 [64500:100 graceful-shutdown] [] 2001:db8:1::1 preference 0",
		"ipv6 unicast 2001:db8:ffff::1/128": "64500 0 [64500:100 graceful-shutdown] [] 2001:db8:1::1 preference 0",
	})
}
