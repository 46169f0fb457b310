package edge

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/lwaftr/lw4o6/integration/bird"
	"github.com/lwaftr/lw4o6/integration/netlab"
	"github.com/lwaftr/lw4o6/plugin/control/api"
)

// pair is two lwAFTRs with the same softwire, between an access router and one to
// the Internet, who both speak BGP and route as they learn:
//
//	                   / aftr1 \
//	host - cpe - access         internet
//	                   \ aftr2 /
type pair struct {
	*testing.T
	lab              *netlab.Lab
	host, cpe        *netlab.Namespace
	access, internet *netlab.Namespace
	upstream, down   *bird.BIRD // on the Internet's and the access router
	aftrs            [2]*node
}

// node is one of the lwAFTRs.
type node struct {
	in      *netlab.Namespace
	process *netlab.Process
	socket  string
	client  *api.Client
}

// The addresses of the pair; those of the links to a lwAFTR have its number.
const (
	server    = "203.0.113.1"
	sharedBR  = "2001:db8:ffff::1"
	link4     = "198.51.10%d.%d/24"     // aftr 1, internet 2
	link6     = "2001:db8:fe:%d::%d/64" // aftr 1, access 2
	wan       = "2001:db8:fd::%d/64"    // access 1, cpe 2
	lan       = "192.168.1.%d/24"       // cpe 1, host 2
	delegated = "2001:db8:1:100::/56"
	b4        = "2001:db8:1:100::1"
)

var (
	pool4              = netip.MustParsePrefix("192.0.2.0/24")
	poolBR             = netip.MustParsePrefix(sharedBR + "/128")
	default4, default6 = netip.MustParsePrefix("0.0.0.0/0"), netip.MustParsePrefix("::/0")
)

func at(link string, numbers ...any) netip.Prefix { return prefix(fmt.Sprintf(link, numbers...)) }

// routed is BIRD's side: it routes as it learns, and follows RFC 8326 section 4.1.
func routed(family, address string) string {
	return fmt.Sprintf(`
filter calmly { if (65535, 0) ~ bgp_community then bgp_local_pref = 0; accept; }
protocol kernel { %s { export all; import none; }; }
protocol bgp one { local as 64501; neighbor %s as 64500; %s { import filter calmly; export none; }; }
protocol bgp two { local as 64501; neighbor %s as 64500; %s { import filter calmly; export none; }; }
`, family, at(address, 1, 1).Addr(), family, at(address, 2, 1).Addr(), family)
}

func newPair(t *testing.T) *pair {
	t.Helper()
	netlab.Require(t)
	netlab.RequireProgram(t, bird.Program, bird.Package)
	p := &pair{T: t, lab: netlab.New()}
	t.Cleanup(func() { must(t, p.lab.Close()) })
	for name, to := range map[string]**netlab.Namespace{"host": &p.host, "cpe": &p.cpe, "access": &p.access, "internet": &p.internet} {
		*to = p.node(name)
	}
	p.link(p.cpe, "lan", at(lan, 1), p.host, "eth0", at(lan, 2))
	p.link(p.access, "cpe", at(wan, 1), p.cpe, "wan", at(wan, 2))
	must(t, p.host.Route(default4, at(lan, 1).Addr()))
	must(t, p.cpe.Route(default6, at(wan, 1).Addr()))
	must(t, p.access.Route(prefix(delegated), at(wan, 2).Addr()))
	must(t, p.internet.Address("lo", prefix(server+"/32")))
	must(t, p.access.Forward())
	must(t, p.internet.Forward())
	for i := range p.aftrs {
		n := &node{in: p.node(fmt.Sprintf("aftr%d", i+1))}
		p.aftrs[i] = n
		name := fmt.Sprintf("aftr%d", i+1)
		p.link(n.in, "up", at(link4, i+1, 1), p.internet, name, at(link4, i+1, 2))
		p.link(n.in, "down", at(link6, i+1, 1), p.access, name, at(link6, i+1, 2))
		must(t, n.in.Route(default4, at(link4, i+1, 2).Addr()))
		must(t, n.in.Route(default6, at(link6, i+1, 2).Addr()))
		must(t, n.in.Forward())
	}
	var err error
	p.upstream, err = bird.Start(within(t), p.internet, p.folder(), at(link4, 1, 2).Addr(), routed("ipv4", link4))
	must(t, err)
	p.down, err = bird.Start(within(t), p.access, p.folder(), at(link4, 2, 2).Addr(), routed("ipv6", link6))
	must(t, err)
	for i, n := range p.aftrs {
		p.run(n, i+1)
	}
	p.runCPE()
	return p
}

func (p *pair) node(name string) *netlab.Namespace {
	p.Helper()
	ns, err := p.lab.Namespace(name)
	must(p.T, err)
	return ns
}

func (p *pair) link(a *netlab.Namespace, nameA string, addrA netip.Prefix, b *netlab.Namespace, nameB string, addrB netip.Prefix) {
	p.Helper()
	must(p.T, p.lab.Connect(
		netlab.End{Node: a, Name: nameA, Addrs: []netip.Prefix{addrA}},
		netlab.End{Node: b, Name: nameB, Addrs: []netip.Prefix{addrB}}))
}

// folder is one whose path is short enough for a socket.
func (p *pair) folder() string {
	p.Helper()
	folder, err := os.MkdirTemp("", "lw4o6-pair-")
	must(p.T, err)
	p.Cleanup(func() { os.RemoveAll(folder) })
	return folder
}

const pairFile = `
pools:
  - {name: home, prefixes: [192.0.2.0/24], psid-len: 6, br-ipv6-addr: "%s"}
softwires:
  static:
    - {binding-ipv4-addr: 192.0.2.1, psid: 5, binding-ipv6info: "%s"}
bgp:
  router-id: %s
  as: 64500
  peers:
    - {name: internet, address: %s, as: 64501, connect-retry: 1s, families: [ipv4]}
    - {name: access, address: "%s", as: 64501, connect-retry: 1s, families: [ipv6]}
  announce:
    state-file: %s/state.json
    drain: {min: 2s, max: 40s, idle: 5}
control:
  socket: %[6]s/control.sock
`

// run starts a lwAFTR and waits until both neighbours have its routes.
func (p *pair) run(n *node, number int) {
	p.Helper()
	folder := p.folder()
	four, six := at(link4, number, 1).Addr(), at(link6, number, 1).Addr()
	text := fmt.Sprintf(pairFile, sharedBR, b4, four, at(link4, number, 2).Addr(), at(link6, number, 2).Addr(), folder)
	path := filepath.Join(folder, "lwaftr.yaml")
	must(p.T, os.WriteFile(path, []byte(text), 0o600))
	n.socket = filepath.Join(folder, "control.sock")
	n.client = api.NewClient(n.socket)
	p.Cleanup(n.client.Close)
	var err error
	n.process, err = n.in.Start(binaries.Lwaftr, "run", "-c", path)
	must(p.T, err)
	p.Cleanup(func() {
		if p.Failed() {
			p.Logf("lwaftr %d wrote:\n%s", number, n.process.Output())
		}
	})
	p.has(p.upstream, pool4, four)
	p.has(p.down, poolBR, six)
}

// has waits until one of BIRD's routes to prefix leads to next.
func (p *pair) has(b *bird.BIRD, prefix netip.Prefix, next netip.Addr) {
	p.Helper()
	_, err := b.Await(within(p.T), func(routes map[netip.Prefix]string) bool { return leadsTo(routes[prefix], next) })
	must(p.T, err)
}

// runCPE starts the subscriber's CPE.
func (p *pair) runCPE() {
	p.Helper()
	path := filepath.Join(p.folder(), "lwb4.yaml")
	text := fmt.Sprintf("softwire: {b4-ipv6-addr: %q, br-ipv6-addr: %q, ipv4-addr: 192.0.2.1, psid-offset: 0, psid-len: 6, psid: 5}\n"+
		"lan: {interface: lan, prefix: 192.168.1.0/24}\n", b4, sharedBR)
	must(p.T, os.WriteFile(path, []byte(text), 0o600))
	cpe, err := p.cpe.Start(binaries.Lwb4, "run", "-c", path)
	must(p.T, err)
	ready := func() bool { return contains(cpe.Output(), "softwire is up") }
	must(p.T, await(within(p.T), cpe, "lwb4", ready))
}

// carried is how many packets a lwAFTR has moved.
func (p *pair) carried(n *node) uint64 {
	p.Helper()
	ctx, cancel := context.WithTimeout(p.Context(), 10*time.Second)
	defer cancel()
	c, err := n.client.Counters(ctx)
	must(p.T, err)
	return c.Encapsulated.Packets + c.Decapsulated.Packets
}
