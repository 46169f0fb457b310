package bgp

import (
	"net/netip"
	"regexp"
	"testing"

	"github.com/lwaftr/lw4o6/integration/bird"
	"github.com/lwaftr/lw4o6/integration/netlab"
)

// The two ends of the link between a router and its upstream.
const (
	router4, router6     = "198.51.100.1", "2001:db8:1::1"
	upstream4, upstream6 = "198.51.100.2", "2001:db8:1::2"
)

// newLab is a lab with a node for a router.
func newLab(t *testing.T) (*netlab.Lab, *netlab.Namespace) {
	t.Helper()
	netlab.Require(t)
	lab := netlab.New()
	t.Cleanup(func() {
		if err := lab.Close(); err != nil {
			t.Error(err)
		}
	})
	here, err := lab.Namespace("router")
	must(t, err)
	return lab, here
}

// twoNodes are a router and its upstream.
func twoNodes(t *testing.T) (here, there *netlab.Namespace) {
	t.Helper()
	lab, here := newLab(t)
	there, err := lab.Namespace("upstream")
	must(t, err)
	must(t, lab.Connect(end(here, "up", router4+"/24", router6+"/64"), end(there, "down", upstream4+"/24", upstream6+"/64")))
	return here, there
}

func end(node *netlab.Namespace, name string, addrs ...string) netlab.End {
	return netlab.End{Node: node, Name: name, Addrs: addresses(addrs...)}
}

func addresses(texts ...string) []netip.Prefix {
	var all []netip.Prefix
	for _, text := range texts {
		all = append(all, netip.MustParsePrefix(text))
	}
	return all
}

// upstreamBIRD is BIRD as the upstream.
type upstreamBIRD struct{ *bird.BIRD }

// startBIRD runs BIRD with protocols as given.
func startBIRD(t *testing.T, in *netlab.Namespace, protocols string) upstreamBIRD {
	t.Helper()
	netlab.RequireProgram(t, bird.Program, bird.Package)
	b, err := bird.Start(t.Context(), in, t.TempDir(), netip.MustParseAddr(upstream4), protocols)
	must(t, err)
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("BIRD wrote:\n%s", b.Output())
		}
	})
	return upstreamBIRD{b}
}

var attribute = regexp.MustCompile(`(?m)^\tBGP\.([a-z_0-9]+): ?(.*)$`)

// routes are BIRD's routes by prefix, each with its attributes by name.
func (b upstreamBIRD) routes() (table, error) {
	texts, err := b.Routes()
	all := make(table)
	for prefix, text := range texts {
		of := make(map[string]string)
		for _, m := range attribute.FindAllStringSubmatch(text, -1) {
			of[m[1]] = m[2]
		}
		all[prefix.String()] = of
	}
	return all, err
}
