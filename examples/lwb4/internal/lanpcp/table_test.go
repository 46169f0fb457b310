package lanpcp

import (
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/lwaftr/lw4o6/examples/lwb4/internal/assign"
	"github.com/lwaftr/lw4o6/examples/lwb4/internal/nat"
	"github.com/lwaftr/lw4o6/pcp/pcpmsg"
	"github.com/lwaftr/lw4o6/plugin/portset"
)

var (
	begin  = time.Unix(1_000_000, 0)
	host   = netip.MustParseAddrPort("192.168.1.2:40000")
	remote = netip.MustParseAddrPort("203.0.113.9:4500")
	nonce  = pcpmsg.Nonce{1, 2, 3}
)

func ports(t testing.TB, address string, psids ...uint16) assign.Ports {
	t.Helper()
	p := assign.Ports{IPv4: netip.MustParseAddr(address)}
	for _, psid := range psids {
		s, err := portset.Of(0, 6, psid)
		if err != nil {
			t.Fatal(err)
		}
		p.Sets = append(p.Sets, s)
	}
	return p
}

func newTable(t testing.TB) *Table {
	table := NewTable(Config{
		LAN: netip.MustParsePrefix("192.168.1.0/24"), Lifetime: time.Hour, PerHost: 4, Total: 6, Reserved: map[uint16]bool{1500: true},
	}, begin, func(n int) int { return n / 2 })
	table.Use(begin, ports(t, "192.0.2.1", 1), time.Time{}) // 1024 to 2047
	return table
}

// request is a MAP of a port of the host for ten minutes, changed.
func request(change func(*pcpmsg.Request)) []byte {
	r := pcpmsg.Request{
		Opcode: pcpmsg.Map, Lifetime: 600, Client: host.Addr(),
		Body: pcpmsg.Body{Mapping: pcpmsg.Mapping{
			Nonce: nonce, Protocol: uint8(nat.TCP), InternalPort: 80, External: netip.IPv4Unspecified(),
		}},
	}
	if change != nil {
		change(&r)
	}
	return r.Append(nil)
}

func peer(r *pcpmsg.Request) { r.Opcode, r.Remote = pcpmsg.Peer, remote }

func answer(t testing.TB, table *Table, now time.Time, payload []byte) (pcpmsg.Response, Answer) {
	t.Helper()
	a := table.Answer(now, host, payload)
	if a.Payload == nil {
		t.Fatal("no answer")
	}
	r, err := pcpmsg.ParseResponse(a.Payload)
	if err != nil {
		t.Fatal(err)
	}
	return r, a
}

// result answers a changed MAP.
func result(t testing.TB, table *Table, change func(*pcpmsg.Request)) pcpmsg.Response {
	t.Helper()
	r, _ := answer(t, table, begin, request(change))
	return r
}

func TestMap(t *testing.T) {
	table := newTable(t)
	r, a := answer(t, table, begin, request(nil))
	if r.Result != pcpmsg.Success || r.Lifetime != 600 || r.Mapping.External.String() != "192.0.2.1" || r.Mapping.Nonce != nonce || !a.Changed {
		t.Fatalf("%+v", r)
	}
	port := r.Mapping.ExternalPort
	if !table.ports.Contains(port) {
		t.Fatalf("port %d is not ours", port)
	}
	want := nat.Mapping{Protocol: nat.TCP, Host: netip.AddrPortFrom(host.Addr(), 80), Port: port}
	if m := table.Mappings(); len(m) != 1 || m[0] != want {
		t.Errorf("the NAT is to have %+v", m)
	}
	r, a = answer(t, table, begin.Add(time.Minute), request(func(r *pcpmsg.Request) { r.Mapping.ExternalPort = 1999 }))
	if r.Mapping.ExternalPort != port || a.Changed || r.Epoch != 60 {
		t.Errorf("extended: %+v", r)
	}
	r, a = answer(t, table, begin.Add(2*time.Minute), request(func(r *pcpmsg.Request) { r.Lifetime = 0 }))
	if r.Result != pcpmsg.Success || r.Lifetime != 0 || len(a.Freed) != 1 || a.Freed[0].Port != port || table.Len() != 0 {
		t.Errorf("deleted: %+v, %+v", r, a)
	}
	if r = result(t, table, func(r *pcpmsg.Request) { r.Lifetime = 0 }); r.Result != pcpmsg.Success {
		t.Errorf("deleted once more: %s", r.Result)
	}
}

func TestSuggestions(t *testing.T) {
	for _, row := range []struct {
		name      string
		suggested uint16
		internal  uint16
		want      uint16 // 0 is any
	}{
		{"to be had", 1100, 80, 1100},
		{"not ours", 8080, 80, 0},
		{"reserved", 1500, 80, 0},
		{"the internal port", 0, 1700, 1700},
		{"none", 0, 80, 0},
	} {
		t.Run(row.name, func(t *testing.T) {
			r := result(t, newTable(t), func(r *pcpmsg.Request) { r.Mapping.ExternalPort, r.Mapping.InternalPort = row.suggested, row.internal })
			if r.Result != pcpmsg.Success || row.want != 0 && r.Mapping.ExternalPort != row.want ||
				r.Mapping.ExternalPort < 1024 || r.Mapping.ExternalPort > 2047 || r.Mapping.ExternalPort == 1500 {
				t.Errorf("got %s port %d", r.Result, r.Mapping.ExternalPort)
			}
		})
	}
}

func TestRefusals(t *testing.T) {
	option := func(code pcpmsg.OptionCode, data []byte) func(*pcpmsg.Request) {
		return func(r *pcpmsg.Request) { r.Options = r.Options.Append(pcpmsg.Option{Code: code, Data: data}) }
	}
	for _, row := range []struct {
		name   string
		change func(*pcpmsg.Request)
		want   pcpmsg.ResultCode
	}{
		{"another client", func(r *pcpmsg.Request) { r.Client = remote.Addr() }, pcpmsg.AddressMismatch},
		{"opcode", func(r *pcpmsg.Request) { r.Opcode = 77 }, pcpmsg.UnsuppOpcode},
		{"all protocols", func(r *pcpmsg.Request) { r.Mapping.Protocol, r.Mapping.InternalPort = 0, 0 }, pcpmsg.UnsuppProtocol},
		{"a port of all protocols", func(r *pcpmsg.Request) { r.Mapping.Protocol = 0 }, pcpmsg.MalformedRequest},
		{"all ports", func(r *pcpmsg.Request) { r.Mapping.InternalPort = 0 }, pcpmsg.UnsuppProtocol},
		{"SCTP", func(r *pcpmsg.Request) { r.Mapping.Protocol = 132 }, pcpmsg.UnsuppProtocol},
		{"THIRD_PARTY", option(pcpmsg.CodeThirdParty, make([]byte, 16)), pcpmsg.UnsuppOption},
		{"FILTER", option(pcpmsg.CodeFilter, make([]byte, 20)), pcpmsg.UnsuppOption},
		{"PREFER_FAILURE without a port", option(pcpmsg.CodePreferFailure, nil), pcpmsg.MalformedOption},
		{"PREFER_FAILURE with data", option(pcpmsg.CodePreferFailure, []byte{1, 2, 3, 4}), pcpmsg.MalformedOption},
		{"only a port that is not ours", func(r *pcpmsg.Request) {
			r.Mapping.ExternalPort = 80
			r.Options = pcpmsg.PreferFailure{}.Append(nil)
		}, pcpmsg.CannotProvideExternal},
		{"only another address", func(r *pcpmsg.Request) {
			r.Mapping.External, r.Mapping.ExternalPort = remote.Addr(), 1100
			r.Options = pcpmsg.PreferFailure{}.Append(nil)
		}, pcpmsg.CannotProvideExternal},
		{"PEER of nobody", func(r *pcpmsg.Request) { r.Opcode, r.Remote = pcpmsg.Peer, netip.AddrPort{} }, pcpmsg.MalformedRequest},
		{"PEER of IPv6", func(r *pcpmsg.Request) {
			r.Opcode, r.Remote = pcpmsg.Peer, netip.MustParseAddrPort("[2001:db8::1]:1")
		}, pcpmsg.MalformedRequest},
	} {
		t.Run(row.name, func(t *testing.T) {
			table := newTable(t)
			if r := result(t, table, row.change); r.Result != row.want || r.Lifetime == 0 {
				t.Errorf("got %s for %d s, want %s", r.Result, r.Lifetime, row.want)
			}
			if table.Len() != 0 || len(table.taken) != 0 {
				t.Error("something is mapped")
			}
		})
	}
}

func TestPreferFailure(t *testing.T) {
	r := result(t, newTable(t), func(r *pcpmsg.Request) {
		r.Mapping.ExternalPort = 1100
		r.Options = pcpmsg.PreferFailure{}.Append(nil)
	})
	if _, ok := r.Options.Find(pcpmsg.CodePreferFailure); r.Result != pcpmsg.Success || r.Mapping.ExternalPort != 1100 || !ok {
		t.Errorf("%+v", r)
	}
}

func TestNonce(t *testing.T) {
	table := newTable(t)
	result(t, table, nil)
	for name, lifetime := range map[string]uint32{"extend": 600, "delete": 0} {
		r := result(t, table, func(r *pcpmsg.Request) { r.Mapping.Nonce[0], r.Lifetime = 9, lifetime })
		if r.Result != pcpmsg.NotAuthorized || r.Lifetime != 600 {
			t.Errorf("%s: %s for %d s", name, r.Result, r.Lifetime)
		}
	}
}

func TestStrangersAndSilence(t *testing.T) {
	table := newTable(t)
	if a := table.Answer(begin, netip.MustParseAddrPort("192.168.2.2:4000"), request(nil)); a.Payload != nil {
		t.Error("a host of another network is answered")
	}
	for _, payload := range [][]byte{nil, {2}, {2, 0x81, 0, 0}} {
		if a := table.Answer(begin, host, payload); a.Payload != nil {
			t.Errorf("%x is answered", payload)
		}
	}
	a := table.Answer(begin, host, []byte{0, 0})
	if len(a.Payload) < 4 || a.Payload[3] != byte(pcpmsg.UnsuppVersion) {
		t.Errorf("NAT-PMP is answered %x", a.Payload)
	}
}

func TestAnnounce(t *testing.T) {
	r, a := answer(t, newTable(t), begin.Add(time.Minute), (&pcpmsg.Request{Opcode: pcpmsg.Announce, Client: host.Addr()}).Append(nil))
	if r.Opcode != pcpmsg.Announce || r.Result != pcpmsg.Success || r.Epoch != 60 || a.Changed {
		t.Errorf("%+v", r)
	}
}

// TestPeer: an outbound mapping has the port of the same endpoint's MAP, whichever
// was first, and only lets its peer in.
func TestPeer(t *testing.T) {
	for _, first := range []func(*pcpmsg.Request){peer, nil} {
		table := newTable(t)
		one := result(t, table, first)
		second := peer
		if first != nil {
			second = nil
		}
		two := result(t, table, second)
		if one.Result != pcpmsg.Success || two.Result != pcpmsg.Success || one.Mapping.ExternalPort != two.Mapping.ExternalPort {
			t.Fatalf("%+v, %+v", one, two)
		}
		m := table.Mappings()
		if len(m) != 2 || !slices.ContainsFunc(m, func(m nat.Mapping) bool { return m.Peer == remote }) {
			t.Errorf("the NAT is to have %+v", m)
		}
	}
	table := newTable(t)
	r := result(t, table, peer)
	if r.Opcode != pcpmsg.Peer || r.Remote != remote {
		t.Errorf("%+v", r)
	}
	if r = result(t, table, func(r *pcpmsg.Request) { peer(r); r.Lifetime = 120 }); r.Lifetime != 600 {
		t.Errorf("a PEER shortens to %d s", r.Lifetime)
	}
	if r = result(t, table, func(r *pcpmsg.Request) { peer(r); r.Lifetime = 0 }); r.Lifetime != 600 || table.Len() != 1 {
		t.Errorf("a PEER deletes: %+v", r)
	}
}

func TestLifetimes(t *testing.T) {
	table := newTable(t)
	lifetime := func(port uint16, wanted uint32) uint32 {
		return result(t, table, func(r *pcpmsg.Request) { r.Mapping.InternalPort, r.Lifetime = port, wanted }).Lifetime
	}
	if got := lifetime(1, 1); got != 120 {
		t.Errorf("1 s became %d", got)
	}
	if got := lifetime(2, 1<<31); got != 3600 {
		t.Errorf("for ever became %d", got)
	}
	table.Use(begin, table.ports, begin.Add(5*time.Minute))
	if got := lifetime(3, 3600); got != 300 {
		t.Errorf("longer than the ports are ours: %d", got)
	}
	if next := table.Next(); !next.Equal(begin.Add(2 * time.Minute)) {
		t.Errorf("next at %s", next)
	}
	if freed := table.Expire(begin.Add(2 * time.Minute)); len(freed) != 1 || table.Len() != 2 {
		t.Errorf("freed %v, %d left", freed, table.Len())
	}
}

func TestQuotas(t *testing.T) {
	table := newTable(t)
	mapPort := func(from netip.Addr, port uint16) pcpmsg.ResultCode {
		a := table.Answer(begin, netip.AddrPortFrom(from, 4000), request(func(r *pcpmsg.Request) { r.Client, r.Mapping.InternalPort = from, port }))
		return pcpmsg.ResultCode(a.Payload[3])
	}
	for port := uint16(1); port <= 4; port++ {
		if got := mapPort(host.Addr(), port); got != pcpmsg.Success {
			t.Fatal(got)
		}
	}
	if got := mapPort(host.Addr(), 5); got != pcpmsg.UserExQuota {
		t.Errorf("fifth of a host: %s", got)
	}
	if got := mapPort(host.Addr(), 4); got != pcpmsg.Success {
		t.Errorf("one that is there: %s", got)
	}
	other := netip.MustParseAddr("192.168.1.3")
	for port := uint16(1); port <= 2; port++ {
		if got := mapPort(other, port); got != pcpmsg.Success {
			t.Fatal(got)
		}
	}
	if got := mapPort(other, 3); got != pcpmsg.NoResources {
		t.Errorf("seventh of all: %s", got)
	}
}

func TestWithoutPorts(t *testing.T) {
	table := newTable(t)
	port := result(t, table, nil).Mapping.ExternalPort
	if u := table.Use(begin, assign.Ports{}, time.Time{}); u != nil {
		t.Errorf("told %v", u)
	}
	if r := result(t, table, func(r *pcpmsg.Request) { r.Mapping.InternalPort = 81 }); r.Result != pcpmsg.NetworkFailure {
		t.Error(r.Result)
	}
	// The same ports come back.
	if u := table.Use(begin, ports(t, "192.0.2.1", 1), time.Time{}); u != nil || table.Mappings()[0].Port != port {
		t.Errorf("told %v, mapped %+v", u, table.Mappings())
	}
}

// TestChangeOfPorts: hosts are told of a new epoch, and of each mapping that has
// another port now.
func TestChangeOfPorts(t *testing.T) {
	table := newTable(t)
	kept := result(t, table, func(r *pcpmsg.Request) { r.Mapping.ExternalPort = 1100 })
	result(t, table, func(r *pcpmsg.Request) { r.Opcode, r.Remote, r.Mapping.InternalPort = pcpmsg.Peer, remote, 81 })
	now := begin.Add(time.Minute)
	if u := table.Use(now, ports(t, "192.0.2.1", 1, 5), time.Time{}); u != nil {
		t.Errorf("more ports, but told %v", u)
	}
	for _, next := range []assign.Ports{ports(t, "192.0.2.1", 5), ports(t, "192.0.2.2", 5)} {
		updates := table.Use(now, next, time.Time{})
		if len(updates) != 3 || updates[0].To != announceTo {
			t.Fatalf("%d updates: %+v", len(updates), updates)
		}
		for i, u := range updates {
			r, err := pcpmsg.ParseResponse(u.Payload)
			if err != nil || r.Result != pcpmsg.Success || r.Epoch != 0 {
				t.Fatalf("%+v, %v", r, err)
			}
			if i == 0 {
				continue
			}
			if u.To != host || r.Mapping.External != next.IPv4 || !next.Contains(r.Mapping.ExternalPort) || r.Mapping.Nonce != nonce || r.Lifetime != 540 {
				t.Errorf("to %s: %+v", u.To, r)
			}
		}
	}
	if kept.Mapping.ExternalPort != 1100 || table.Len() != 2 {
		t.Error("mappings are lost")
	}
}

// TestFlood: one host that asks without end leaves enough for others.
func TestFlood(t *testing.T) {
	l := newLimits()
	other := netip.MustParseAddr("192.168.1.3")
	flooded, heard := 0, 0
	for i := range 10_000 { // in a second
		now := begin.Add(time.Duration(i) * 100 * time.Microsecond)
		if l.allow(now, host.Addr()) {
			flooded++
		}
		if i%1000 == 0 && l.allow(now, other) {
			heard++
		}
	}
	if flooded > 40 || heard != 10 {
		t.Errorf("%d of the flood and %d of 10 others were heard", flooded, heard)
	}
	for i := range 3 * maxHosts {
		l.allow(begin, netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)}))
	}
	if len(l.hosts) > maxHosts {
		t.Errorf("%d hosts are remembered", len(l.hosts))
	}
}

func FuzzAnswer(f *testing.F) {
	f.Add(request(nil), uint16(0))
	f.Add(request(peer), uint16(3))
	f.Add(request(func(r *pcpmsg.Request) { r.Lifetime = 0 }), uint16(1))
	f.Fuzz(func(t *testing.T, payload []byte, psid uint16) {
		table := newTable(t)
		result(t, table, nil)
		a := table.Answer(begin.Add(time.Second), host, payload)
		if a.Payload != nil {
			// An error returns the request, also one that is too short for its opcode.
			if b := a.Payload; len(b) > pcpmsg.MaxLength || len(b)%4 != 0 || len(b) < pcpmsg.HeaderLength || b[0] != pcpmsg.Version || b[1]&0x80 == 0 {
				t.Fatalf("answered %x", b)
			}
		}
		table.Use(begin, ports(t, "192.0.2.1", psid%63+1), time.Time{})
		used := map[nat.Protocol]map[uint16]netip.AddrPort{nat.TCP: {}, nat.UDP: {}}
		for _, m := range table.Mappings() {
			if !table.ports.Contains(m.Port) || m.Host.Addr() != host.Addr() {
				t.Fatalf("mapped %+v", m)
			}
			if other, ok := used[m.Protocol][m.Port]; ok && other != m.Host {
				t.Fatalf("port %d is of %s and %s", m.Port, other, m.Host)
			}
			used[m.Protocol][m.Port] = m.Host
		}
	})
}
