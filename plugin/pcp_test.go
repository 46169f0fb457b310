package plugin

import (
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/lwaftr/lw4o6/pcp"
	"github.com/lwaftr/lw4o6/pcp/client"
	"github.com/lwaftr/lw4o6/pcp/datagram"
	"github.com/lwaftr/lw4o6/pcp/pcpmsg"
	"github.com/lwaftr/lw4o6/plugin/control/api"
	"github.com/lwaftr/lw4o6/plugin/dataplane"
	"github.com/lwaftr/lw4o6/plugin/pool"
)

// pcpConfig is leaseConfig with a PCP server.
func pcpConfig(dir string) Config {
	c := leaseConfig(dir)
	c.PCP.Enabled = true
	return c
}

// lwb4 is a lwB4 that speaks PCP with a router on a fake data plane.
type lwb4 struct {
	*testing.T
	dp      *testDataplane
	address netip.Addr
	want    client.Want
}

func newLwB4(t *testing.T, dp *testDataplane, address string) *lwb4 {
	return &lwb4{t, dp, netip.MustParseAddr(address), client.Want{
		Nonce: pcpmsg.Nonce{1, 2, 3}, InternalPort: 1, Ports: pcpmsg.AllPorts, Lifetime: time.Hour,
	}}
}

// ask asks over plain IPv6 and returns the answer.
func (b *lwb4) ask() pcpmsg.Response {
	b.Helper()
	d := datagram.Datagram{
		From:    netip.AddrPortFrom(b.address, 40000),
		To:      netip.MustParseAddrPort("[2001:db8:ffff::1]:5351"),
		Payload: b.want.AppendRequest(nil, b.address),
	}
	before := len(b.dp.Injected())
	b.dp.Divert(dataplane.Exception{Side: dataplane.SideIPv6, Reason: dataplane.ReasonPCP, Packet: d.Packet()})
	b.awaitPacket(before)
	injected := b.dp.Injected()[before]
	answer, err := datagram.Parse(injected.Packet)
	if err != nil || injected.Side != dataplane.SideIPv6 || answer.To != d.From || answer.From != d.To {
		b.Fatalf("answered %+v, %v", answer, err)
	}
	r, err := pcpmsg.ParseResponse(answer.Payload)
	if err != nil || !b.want.Matches(&r) {
		b.Fatalf("answered %+v, %v", r, err)
	}
	return r
}

// awaitPacket waits for one more than so many packets to lwB4s.
func (b *lwb4) awaitPacket(before int) {
	b.Helper()
	deadline := time.Now().Add(patience)
	for len(b.dp.Injected()) == before {
		if time.Now().After(deadline) {
			b.Fatal("no answer")
		}
		time.Sleep(time.Millisecond)
	}
}

func (b *lwb4) granted() pcpmsg.Response {
	b.Helper()
	r := b.ask()
	if r.Result != pcpmsg.Success {
		b.Fatalf("got %s", r.Result)
	}
	return r
}

func (b *lwb4) refused(want pcpmsg.ResultCode) {
	b.Helper()
	if r := b.ask(); r.Result != want {
		b.Fatalf("got %s, want %s", r.Result, want)
	}
}

// TestPCPServer: a lwB4 gets a port set, which is a lease of its nonce, and keeps
// it over a restart, as the epoch does.
func TestPCPServer(t *testing.T) {
	c, dp := pcpConfig(testFolder(t)), newTestDataplane()
	p, stop := runWith(t, c, dp)
	b := newLwB4(t, dp, "2001:db8:1::b4")
	first := b.granted()
	if first.Lifetime < 3599 || first.Lifetime > 3600 || first.Mapping.ExternalPort < 1024 || first.Epoch > 60 {
		t.Fatalf("%+v", first)
	}
	leases, err := p.Leases()
	if err != nil {
		t.Fatal(err)
	}
	held := leases.Subscriber(b.address)
	if len(held) != 1 || held[0].Mechanism != pool.PCP || held[0].Softwire.IPv4 != first.Mapping.External || dp.Held()[held[0].Key()] != held[0].Softwire {
		t.Fatalf("%+v, in the data plane %v", held, dp.Held())
	}
	stop()
	p, stop = runWith(t, c, dp)
	if again := b.granted(); again.Mapping != first.Mapping || again.Epoch < first.Epoch || again.Epoch > first.Epoch+60 {
		t.Fatalf("after a restart %+v, before %+v", again, first)
	}
	b.want.Nonce[0]++
	b.refused(pcpmsg.NotAuthorized)
	b.want.Nonce[0]--

	static := newLwB4(t, dp, "2001:db8::1")
	if r := static.granted(); r.Lifetime != 1<<32-1 || r.Mapping.External.String() != "192.0.2.1" || r.Mapping.ExternalPort != 1024 {
		t.Fatalf("a softwire of the configuration: %+v", r)
	}
	if stats := p.Stats(); stats.PCP == nil || stats.PCP.Answered[pcpmsg.Success] != 2 || stats.PCP.Answered[pcpmsg.NotAuthorized] != 1 {
		t.Errorf("counted %+v", stats.PCP)
	}
	next := c
	next.PCP.AnyProtocol = true
	if _, err := p.Reload(t.Context(), next); err == nil || err.Error() != "pcp.any-protocol: cannot change while the router runs; restart it" {
		t.Errorf("%v", err)
	}
	stop()
}

// TestPCPGrants: which port sets are given for what is asked for.
func TestPCPGrants(t *testing.T) {
	c, dp := pcpConfig(testFolder(t)), newTestDataplane()
	whole := c.Pools[0]
	whole.Name, whole.PSIDLen, whole.Prefixes = "whole", 0, []netip.Prefix{netip.MustParsePrefix("198.51.100.0/31")}
	small := c.Pools[0]
	small.Name, small.PSIDLen, small.Prefixes = "small", 10, []netip.Prefix{netip.MustParsePrefix("203.0.113.0/31")}
	c.Pools = pool.Pools{c.Pools[0], small, whole}
	_, stop := runWith(t, c, dp)
	defer stop()

	subscriber := func(n string) *lwb4 { return newLwB4(t, dp, "2001:db8:"+n+"::b4") }
	set := func(r pcpmsg.Response) (size uint16) {
		if o, ok := r.Options.Find(pcpmsg.CodePortSet); ok {
			p, err := pcpmsg.ParsePortSet(o.Data)
			if err != nil || p.FirstInternal != r.Mapping.ExternalPort {
				t.Fatalf("%+v, %v", p, err)
			}
			size = p.Size
		}
		return size
	}
	if r := subscriber("1").granted(); set(r) != 1024 {
		t.Errorf("as many as there are: %d", set(r))
	}
	b := subscriber("2")
	b.want.Suggested = netip.MustParseAddrPort("192.0.2.77:5000")
	b.want.Ports = 2000
	b.want.InternalPort = 4096
	if r := b.granted(); set(r) != 1024 || r.Mapping.External.String() != "192.0.2.77" || r.Mapping.ExternalPort != 4096 {
		t.Errorf("suggested: %+v", r)
	}
	b = subscriber("3")
	b.want.Suggested, b.want.InternalPort, b.want.Ports = netip.MustParseAddrPort("203.0.113.1:50048"), 50000, 200
	if r := b.granted(); set(r) != 64 || r.Mapping.ExternalPort != 50048 {
		t.Errorf("few: %+v", r)
	}
	b = subscriber("4")
	b.want.InternalPort, b.want.Ports = 50000, 120
	if r := b.granted(); set(r) != 64 || r.Mapping.ExternalPort != 50048 {
		t.Errorf("few, where nothing was given yet: %+v", r)
	}
	b = subscriber("5")
	b.want.InternalPort, b.want.Ports = 50000, 50
	b.refused(pcpmsg.NoResources) // less than any set has
	b = subscriber("6")
	b.want.InternalPort, b.want.Ports = 0, 0
	if r := b.granted(); set(r) != 0 || r.Mapping.ExternalPort != 0 || r.Mapping.External.String() != "198.51.100.0" {
		t.Errorf("a whole address: %+v", r)
	}
	b = subscriber("7")
	b.want.InternalPort, b.want.Ports = 0, 0
	b.want.OnlySuggested, b.want.Suggested = true, netip.MustParseAddrPort("198.51.100.9:1")
	b.refused(pcpmsg.CannotProvideExternal)
	b.want.Suggested = netip.MustParseAddrPort("198.51.100.1:1")
	b.granted()
	b = subscriber("8")
	b.want.InternalPort, b.want.Ports = 0, 0
	b.refused(pcpmsg.NoResources) // both are given
	b = newLwB4(t, dp, "2001:db8:ffff::1")
	b.refused(pcpmsg.NotAuthorized) // the BR address itself
}

// TestPCPQuota: RFC 7753 section 6.1: a subscriber gets as many port sets as its
// pool allows, on one address, by asking for the ports on either side of what it
// has. Section 4.4.1: who asks for all ports extends all of them.
func TestPCPQuota(t *testing.T) {
	c, dp := pcpConfig(testFolder(t)), newTestDataplane()
	c.Pools[0].Quota = 3
	_, stop := runWith(t, c, dp)
	defer stop()
	b := newLwB4(t, dp, "2001:db8:1::b4")
	b.want.Suggested = netip.MustParseAddrPort("192.0.2.9:32768")
	first := b.granted()
	if first.Mapping.ExternalPort != 32768 {
		t.Fatalf("%+v", first)
	}
	b.want.Suggested = netip.AddrPort{}
	either := func(internal, ports uint16) pcpmsg.Response {
		b.want.InternalPort, b.want.Ports = internal, ports
		return b.ask()
	}
	above, below := either(33792, 65535-33792), either(1, 32767)
	for name, r := range map[string]pcpmsg.Response{"above": above, "below": below} {
		if r.Result != pcpmsg.Success || r.Mapping.External != first.Mapping.External {
			t.Errorf("%s: %+v", name, r)
		}
	}
	if above.Mapping.ExternalPort < 33792 || below.Mapping.ExternalPort > 31744 || len(dp.Held()) != 5 {
		t.Errorf("above %d, below %d, %d in the data plane", above.Mapping.ExternalPort, below.Mapping.ExternalPort, len(dp.Held()))
	}
	if r := either(40000, 20000); r.Result != pcpmsg.UserExQuota {
		t.Errorf("a fourth one: %s", r.Result)
	}

	before := len(dp.Injected())
	either(1, pcpmsg.AllPorts)
	for len(dp.Injected()) < before+3 {
		b.awaitPacket(len(dp.Injected()))
	}
	var ports []uint16
	for _, packet := range dp.Injected()[before:] {
		d, err := datagram.Parse(packet.Packet)
		if err != nil {
			t.Fatal(err)
		}
		r, err := pcpmsg.ParseResponse(d.Payload)
		if err != nil || r.Result != pcpmsg.Success || r.Lifetime < 3599 {
			t.Errorf("%+v, %v", r, err)
		}
		ports = append(ports, r.Mapping.ExternalPort)
	}
	slices.Sort(ports)
	if want := []uint16{below.Mapping.ExternalPort, 32768, above.Mapping.ExternalPort}; !slices.Equal(ports, want) {
		t.Errorf("extended %d, want %d", ports, want)
	}

	// One of them goes alone.
	d := datagram.Datagram{
		From: netip.AddrPortFrom(b.address, 40000), To: netip.MustParseAddrPort("[2001:db8:ffff::1]:5351"),
	}
	b.want.InternalPort, b.want.Ports = above.Mapping.ExternalPort, 1024
	d.Payload = b.want.AppendRequest(nil, b.address)
	clear(d.Payload[4:8]) // the lifetime
	before = len(dp.Injected())
	dp.Divert(dataplane.Exception{Side: dataplane.SideIPv6, Reason: dataplane.ReasonPCP, Packet: d.Packet()})
	b.awaitPacket(before)
	if len(dp.Held()) != 4 {
		t.Errorf("%d in the data plane", len(dp.Held()))
	}
}

func TestPCPNotLent(t *testing.T) {
	c, dp := pcpConfig(testFolder(t)), newTestDataplane()
	c.Pools[0].Mechanisms = []pool.Mechanism{pool.DHCPv6}
	c.Softwires.Static = nil
	p, stop := runWith(t, c, dp)
	defer stop()
	b := newLwB4(t, dp, "2001:db8:1::b4")
	b.refused(pcpmsg.NotAuthorized)
	// RFC 7596 section 7: what came another way is told as a static mapping.
	leases, err := p.Leases()
	if err != nil {
		t.Fatal(err)
	}
	q := lessee("2001:db8:1::b4")
	q.Mechanism = pool.DHCPv6
	l, err := leases.Acquire(t.Context(), q)
	if err != nil {
		t.Fatal(err)
	}
	if r := b.granted(); r.Lifetime != 1<<32-1 || r.Mapping.External != l.Softwire.IPv4 {
		t.Errorf("%+v", r)
	}
}

func TestPCPConfig(t *testing.T) {
	c := pcpConfig(testFolder(t))
	c.Store.Path, c.Pools[0].Mechanisms = "", nil
	if err := c.Validate(); err == nil || err.Error() != "pcp.enabled: leases need a file: set store.path" {
		t.Errorf("%v", err)
	}
	c = pcpConfig(testFolder(t))
	c.Pools[0].PSIDOffset = 6
	c.Softwires.Static = nil
	if err := c.Validate(); err == nil || err.Error() != "pools[0].psid-offset: 6: PCP gives ports that follow each other: set it to 0" {
		t.Errorf("%v", err)
	}
	c = pcpConfig(testFolder(t))
	c.PCP.SoftwireNonce = "maybe"
	if err := c.Validate(); err == nil || err.Error() != `pcp.softwire-nonce: "maybe" is not a rule; use replace or strict` {
		t.Errorf("%v", err)
	}
}

// TestPCPListen: sockets are for addresses of the host on the access network.
func TestPCPListen(t *testing.T) {
	for address, want := range map[string]string{
		"192.0.2.9":         `pcp.listen[0].address: 192.0.2.9 is in pool "p": nothing answers on the IPv4 side`,
		"2001:db8:ffff::1":  "pcp.listen[0].address: 2001:db8:ffff::1 is a BR address, which the data plane serves anyway",
		"2001:db8:ffff::53": "",
	} {
		c := pcpConfig(testFolder(t))
		c.PCP.ThirdParties = []netip.Prefix{netip.MustParsePrefix("198.51.100.0/24")}
		c.PCP.Listen = []pcp.Listener{{Address: netip.MustParseAddr(address), Interface: "lo"}}
		if err := c.Validate(); err == nil && want != "" || err != nil && err.Error() != want {
			t.Errorf("%s: %v", address, err)
		}
	}
}

// TestPCPSocket: a router serves an address of its host.
func TestPCPSocket(t *testing.T) {
	c, dp := pcpConfig(testFolder(t)), newTestDataplane()
	// Another process may have the port at another address.
	address := netip.AddrFrom4([4]byte{127, 53, byte(os.Getpid() >> 8), byte(os.Getpid())})
	c.PCP.ThirdParties = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}
	c.PCP.Listen = []pcp.Listener{{Address: address, Interface: "lo"}}
	_, stop := runWith(t, c, dp)
	defer stop()
	b := newLwB4(t, dp, "2001:db8:1::b4")
	b.want.ThirdParty = b.address
	conn, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(netip.AddrPortFrom(address, pcpmsg.ServerPort)))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := conn.Write(b.want.AppendRequest(nil, conn.LocalAddr().(*net.UDPAddr).AddrPort().Addr())); err != nil {
		t.Fatal(err)
	}
	if err := conn.SetReadDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	answer := make([]byte, pcpmsg.MaxLength)
	n, err := conn.Read(answer)
	if err != nil {
		t.Fatal(err)
	}
	if r, err := pcpmsg.ParseResponse(answer[:n]); err != nil || r.Result != pcpmsg.Success || !b.want.Matches(&r) {
		t.Errorf("answered %+v, %v", r, err)
	}

	// The same address cannot be served twice.
	again := pcpConfig(testFolder(t))
	again.PCP = c.PCP
	other := newPlugin(t, again, newTestDataplane())
	if err := other.Start(t.Context()); err == nil || !strings.Contains(err.Error(), "pcp.listen[0]: PCP on lo: ") {
		t.Errorf("served twice: %v", err)
	}
}

func TestPCPEvents(t *testing.T) {
	got := pcpEvents(pcp.Counts{
		Answered: map[pcpmsg.ResultCode]uint64{pcpmsg.NoResources: 2, pcpmsg.Success: 5}, Dropped: 3, Unsent: 1,
	})
	want := []api.Event{
		{Name: "pcp-success", Meaning: "PCP requests answered SUCCESS", Packets: 5},
		{Name: "pcp-no-resources", Meaning: "PCP requests answered NO_RESOURCES", Packets: 2},
		{Name: "pcp-dropped", Meaning: "PCP requests not answered", Drop: true, Packets: 3},
		{Name: "pcp-unsent", Meaning: "PCP answers that could not be sent", Drop: true, Packets: 1},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}
