package ports

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.fd.io/govpp/api"
	"go.uber.org/goleak"

	"github.com/lwaftr/lw4o6/plugin/config/element"
	"github.com/lwaftr/lw4o6/plugin/dataplane"
	"github.com/lwaftr/lw4o6/vppdrv/vppapi"
	"github.com/lwaftr/lw4o6/vppdrv/vpptest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// recorder is a connection that remembers which requests were single calls:
// all but those that list something.
type recorder struct {
	api.Connection
	calls []string
}

func (r *recorder) Invoke(ctx context.Context, request, reply api.Message) error {
	r.calls = append(r.calls, request.GetMessageName())
	return r.Connection.Invoke(ctx, request, reply)
}

// changes forgets the calls so far and returns those that were no questions.
func (r *recorder) changes() []string {
	all := slices.DeleteFunc(r.calls, func(name string) bool {
		return name == "sw_interface_get_table" || name == "ip_route_lookup"
	})
	r.calls = nil
	return all
}

func connect(t *testing.T, v *vpptest.VPP) *recorder {
	t.Helper()
	conn, err := vppapi.Dial(t.Context(), v.API, "ports")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error)
	go func() { done <- conn.Run(context.Background()) }()
	t.Cleanup(func() { conn.Close(); <-done })
	return &recorder{Connection: conn}
}

const instance = "test"

// sides is a VLAN in a table of its own towards the Internet, and a bare
// interface towards the lwB4s.
func sides(ipv4, ipv6 string) []Side {
	return []Side{
		{Side: dataplane.SideIPv4, Table: 10, MTU: 1400, Interfaces: []Config{{
			Name: ipv4, VLAN: 100,
			Addresses: []netip.Prefix{netip.MustParsePrefix("198.51.100.1/24"), netip.MustParsePrefix("198.51.100.2/24")},
			NextHop:   netip.MustParseAddr("198.51.100.254"),
		}}},
		{Side: dataplane.SideIPv6, MTU: 1500, Interfaces: []Config{{
			Name:      ipv6,
			Addresses: []netip.Prefix{netip.MustParsePrefix("2001:db8:fffe::1/64")},
			NextHop:   netip.MustParseAddr("2001:db8:fffe::2"),
		}}},
	}
}

// shown is what VPP says of interfaces and routes.
func shown(v *vpptest.VPP) string {
	text := v.CLI("show interface address") + v.CLI("show ip table") + v.CLI("show ip6 table") +
		v.CLI("show ip fib table 0 0.0.0.0/0") + v.CLI("show ip6 fib table 0 ::/0")
	var lines []string
	for line := range strings.Lines(text) {
		// The numbers of internal objects go up with each change.
		if !strings.Contains(line, "index:") && !strings.Contains(line, "path-list") && !strings.Contains(line, "[@") {
			lines = append(lines, line)
		}
	}
	return strings.Join(lines, "")
}

func TestEnsureAndRemove(t *testing.T) {
	v := vpptest.Start(t, vpptest.Config{})
	a, b := v.AddPort(), v.AddPort()
	// What the operator has made on the same interfaces.
	v.CLI("set interface ip address %s 203.0.113.1/24", b.Interface)
	v.CLI("set interface ip address %s 2001:db8:9::1/64", b.Interface)
	before := shown(v)
	want := sides(a.Interface, b.Interface)

	conn := connect(t, v)
	got, err := Ensure(t.Context(), conn, instance, want...)
	if err != nil {
		t.Fatal(err)
	}
	if len(got) != 2 || got[0].Name != a.Interface+".100" || got[0].Index == Index(a.Index) || got[1].Index != Index(b.Index) {
		t.Errorf("ports %+v", got)
	}
	if len(conn.changes()) == 0 {
		t.Error("nothing was changed")
	}
	made := shown(v)
	for _, text := range []string{"198.51.100.1/24", "198.51.100.2/24", "2001:db8:fffe::1/64", "203.0.113.1/24", "lw4o6-port:test"} {
		if !strings.Contains(made, text) {
			t.Errorf("no %s in\n%s", text, made)
		}
	}
	for fib, hop := range map[string]string{"ip fib table 10 0.0.0.0/0": "198.51.100.254", "ip6 fib table 0 ::/0": "2001:db8:fffe::2"} {
		if out := v.CLI("show %s", fib); !strings.Contains(out, hop) {
			t.Errorf("show %s:\n%s", fib, out)
		}
	}
	if out := v.CLI("show interface %s.100", a.Interface); !strings.Contains(out, "/1400/") {
		t.Errorf("MTU:\n%s", out)
	}

	// A second time there is nothing to do.
	if again, err := Ensure(t.Context(), conn, instance, want...); err != nil || !slices.Equal(again, got) {
		t.Errorf("again %+v, %v", again, err)
	}
	if changes := conn.changes(); len(changes) > 0 {
		t.Errorf("changed again: %v", changes)
	}

	states, err := States(t.Context(), conn, got)
	if err != nil || !states[0].Admin || !states[0].Link || !states[1].Admin || !states[1].Link {
		t.Errorf("states %+v, %v", states, err)
	}
	v.CLI("set interface state %s down", b.Interface)
	if states, err = States(t.Context(), conn, got); err != nil || !states[0].Link || states[1].Admin || states[1].Link {
		t.Errorf("states with one down %+v, %v", states, err)
	}
	v.CLI("set interface state %s up", b.Interface)

	for range 2 {
		if err := Remove(t.Context(), conn, instance, want...); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(before, shown(v)); diff != "" {
			t.Errorf("-before +after:\n%s", diff)
		}
	}
}

// TestAdopted: sub-interfaces and tables of the operator stay.
func TestAdopted(t *testing.T) {
	v := vpptest.Start(t, vpptest.Config{})
	a := v.AddPort()
	v.Lines(`
		create sub-interfaces ` + a.Interface + ` 100
		set interface state ` + a.Interface + `.100 up
		ip table add 10
		set interface ip table ` + a.Interface + `.100 10`)
	before := shown(v)
	want := sides(a.Interface, "")[:1]
	conn := connect(t, v)
	if _, err := Ensure(t.Context(), conn, instance, want...); err != nil {
		t.Fatal(err)
	}
	if shown(v) == before {
		t.Error("nothing was changed")
	}
	if err := Remove(t.Context(), conn, instance, want...); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(before, shown(v)); diff != "" {
		t.Errorf("-before +after:\n%s", diff)
	}
}

func TestRefused(t *testing.T) {
	v := vpptest.Start(t, vpptest.Config{})
	a := v.AddPort()
	v.CLI("set interface ip address %s 192.0.2.1/24", a.Interface)
	conn := connect(t, v)
	for _, tt := range []struct {
		name, want string
		is         error
		change     func(*Side)
	}{
		{"not there", "interface eth9: VPP has no such interface as eth9, only local0, " + a.Interface, ErrNotThere,
			func(s *Side) { s.Interfaces[0].Name = "eth9" }},
		{"in another table", "interface " + a.Interface + ": it has addresses in table 0, and the ipv4 side is in table 10", nil,
			func(*Side) {}},
		{"MTU", "interface " + a.Interface + ": it carries packets of 9000 octets, and ipv4-mtu is 9001: lower ipv4-mtu, or raise", nil,
			func(s *Side) { s.Table, s.MTU = 0, 9001 }},
		{"address of another interface", "refuses address 192.0.2.7/24", ErrRefused,
			func(s *Side) {
				s.Table, s.Interfaces[0].Addresses = 0, []netip.Prefix{netip.MustParsePrefix("192.0.2.7/24")}
				s.Interfaces[0].VLAN = 5
			}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			side := Side{Side: dataplane.SideIPv4, Table: 10, MTU: 1500, Interfaces: []Config{{Name: a.Interface}}}
			tt.change(&side)
			_, err := Ensure(t.Context(), conn, instance, side)
			if err == nil || !strings.Contains(err.Error(), tt.want) || tt.is != nil && !errors.Is(err, tt.is) {
				t.Errorf("error %v, want %q", err, tt.want)
			}
		})
	}
}

func TestValidate(t *testing.T) {
	for _, tt := range []struct {
		key    string
		config Config
	}{
		{"name", Config{}},
		{"name", Config{Name: strings.Repeat("x", 62), VLAN: 5}},
		{"vlan", Config{Name: "x", VLAN: 4095}},
		{"vlan", Config{Name: "x", VLAN: -1}},
		{"addresses[1]", Config{Name: "x", Addresses: []netip.Prefix{netip.MustParsePrefix("192.0.2.1/24"), netip.MustParsePrefix("2001:db8::1/64")}}},
		{"addresses[0]", Config{Name: "x", Addresses: []netip.Prefix{{}}}},
		{"next-hop", Config{Name: "x", NextHop: netip.MustParseAddr("2001:db8::1")}},
		{"next-hop", Config{Name: "x", NextHop: netip.MustParseAddr("224.0.0.1")}},
	} {
		all := element.Each(tt.config.Validate(dataplane.SideIPv4))
		if len(all) != 1 || !strings.HasPrefix(all[0].Error(), tt.key+": ") {
			t.Errorf("%+v: %v, want one error about %s", tt.config, all, tt.key)
		}
	}
	good := sides("a", "b")
	for _, s := range good {
		if err := s.Interfaces[0].Validate(s.Side); err != nil {
			t.Errorf("%s: %v", s.Side, err)
		}
	}
}
