package topology

import (
	"context"
	"errors"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/lwaftr/lw4o6/plugin/portset"
	"github.com/lwaftr/lw4o6/plugin/softwire"
	"github.com/lwaftr/lw4o6/vppdrv/plan"
	"github.com/lwaftr/lw4o6/vppdrv/script"
	"github.com/lwaftr/lw4o6/vppdrv/vppapi"
	"github.com/lwaftr/lw4o6/vppdrv/vpptest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func testConfig() Config {
	return Config{
		Tag: "lw4o6:test", Tables: 4000, Own4: netip.MustParseAddr("192.0.0.8"),
		TunnelMTU: 1500, MSS: 1420, Hairpin: true, PolicyError: true,
		Reassembly4: Reassembly{1024, 16, 500}, Reassembly6: Reassembly{1024, 16, 500},
	}
}

var (
	br1  = netip.MustParseAddr("2001:db8:ffff::1")
	br2  = netip.MustParseAddr("2001:db8:ffff::2")
	pool = netip.MustParsePrefix("192.0.2.0/24")
)

// dial returns a connection to v that ends with the test.
func dial(t *testing.T, v *vpptest.VPP) *vppapi.Conn {
	t.Helper()
	conn, err := vppapi.Dial(t.Context(), v.API, "test")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = conn.Run(context.Background()) // ends when it is closed
	}()
	t.Cleanup(func() {
		conn.Close()
		<-done
	})
	return conn
}

// state is what VPP has of the kinds of things that a topology is made of.
func state(v *vpptest.VPP) map[string]string {
	s := make(map[string]string)
	for _, command := range []string{
		"show interface address", "show ip table", "show ip6 table", "show ip fib", "show ip6 fib", "show punt socket registrations ip",
	} {
		s[command] = v.CLI("%s", command)
	}
	if v.Has("policer") {
		s["policers"] = v.CLI("show policer")
	}
	// Only whether there are any: the output has addresses of memory.
	s["tables"] = strings.Join(strings.Fields(v.CLI("show classify tables"))[:min(5, len(strings.Fields(v.CLI("show classify tables"))))], " ")
	return s
}

// TestBuildAdoptRemove: what is built is found again as it was, and can be
// taken away without a trace.
func TestBuildAdoptRemove(t *testing.T) {
	v := vpptest.Start(t, vpptest.Config{})
	conn := dial(t, v)
	c := testConfig()
	if err := conn.Check(Messages()...); err != nil {
		t.Fatal(err)
	}
	if v.Has("policer") {
		if err := conn.Check(PolicerMessages()...); err != nil {
			t.Fatal(err)
		}
		c.ExceptionRate = 1000
	}
	before := state(v)
	if _, err := Adopt(t.Context(), conn, c); !errors.Is(err, ErrNotFound) {
		t.Fatalf("Adopt in an empty VPP: %v", err)
	}
	for round := range 2 {
		built, err := Build(t.Context(), conn, c)
		if err != nil {
			t.Fatal(err)
		}
		grow(t, conn, built)

		v.CLI("api trace on")
		adopted, err := Adopt(t.Context(), conn, c)
		if err != nil {
			t.Fatalf("round %d: Adopt: %v", round, err)
		}
		if err := adopted.Steer(t.Context(), model(t, adopted)); err != nil {
			t.Error(err)
		}
		if server, err := adopted.Punt(t.Context(), "/run/none"); err != nil || server != "" {
			t.Errorf("Punt again: %q, %v", server, err)
		}
		readOnly(t, v)
		if diff := cmp.Diff(built, adopted, cmp.Exporter(func(reflect.Type) bool { return true }),
			cmp.FilterPath(func(p cmp.Path) bool { return p.Last().String() == ".conn" || p.Last().String() == ".reasons" }, cmp.Ignore())); diff != "" {
			t.Errorf("round %d: adopted is not built (-built +adopted):\n%s", round, diff)
		}
		other := c
		other.TunnelMTU = 1400
		if _, err := Adopt(t.Context(), conn, other); !errors.Is(err, ErrNotFound) {
			t.Errorf("Adopt for another configuration: %v", err)
		}
		left, err := Find(t.Context(), conn, other)
		if err != nil {
			t.Fatal(err)
		}
		if err := left.Remove(t.Context(), conn, other, []netip.Prefix{pool}); err != nil {
			t.Fatal(err)
		}
		after := state(v)
		// VPP cannot forget a punt registration that somebody may still use.
		before["show punt socket registrations ip"] = after["show punt socket registrations ip"]
		if diff := cmp.Diff(before, after); diff != "" {
			t.Errorf("round %d: left in VPP (-before +after):\n%s", round, diff)
		}
	}
}

// softwires need everything that is made when it is needed.
func softwires() []softwire.Softwire {
	excluded, err := portset.Of(6, 8, 52)
	if err != nil {
		panic(err)
	}
	return []softwire.Softwire{
		{IPv4: netip.MustParseAddr("192.0.2.1"), B4: netip.MustParseAddr("2001:db8:1::1"), BR: br1},
		{IPv4: netip.MustParseAddr("192.0.2.2"), PortSet: excluded, B4: netip.MustParseAddr("2001:db8:1::2"), BR: br2},
	}
}

// model holds the softwires, as if VPP had them.
func model(t *testing.T, top *Topology) *plan.Model {
	t.Helper()
	l := plan.Layout{Tag: "lw4o6:test", MTU: 1500, Nowhere: top.Nowhere()}
	var found []plan.Domain
	for i, s := range softwires() {
		d := plan.Domain{Index: uint32(i), Tag: l.Tag + ":w", IPv4: netip.PrefixFrom(s.IPv4, 32), BR: s.BR, Length: 1, Rules: map[uint16]netip.Addr{0: s.B4, 1: s.B4}}
		if p := s.PortSet; !p.Whole() {
			d.Tag, d.Offset, d.Length, d.Rules = l.Tag+":s", p.Params().Offset(), p.Params().Length(), map[uint16]netip.Addr{p.PSID(): s.B4}
		}
		found = append(found, d)
	}
	m := plan.Read(l, found, nil)
	if m.Len() != len(softwires()) {
		t.Fatalf("%d softwires in the model", m.Len())
	}
	return m
}

// grow adds to top what it may have.
func grow(t *testing.T, conn *vppapi.Conn, top *Topology) {
	t.Helper()
	for _, br := range []netip.Addr{br1, br2} {
		if err := top.AddBR(t.Context(), br); err != nil {
			t.Fatal(err)
		}
	}
	if err := top.Steer(t.Context(), model(t, top)); err != nil {
		t.Fatal(err)
	}
	for _, br := range []netip.Addr{br1, br2} {
		if err := top.LeadBR(t.Context(), br); err != nil {
			t.Fatal(err)
		}
	}
	if err := top.AddPool(t.Context(), pool); err != nil {
		t.Fatal(err)
	}
	if _, err := top.Punt(t.Context(), "/run/none"); err != nil {
		t.Fatal(err)
	}
	if got := top.BRs(); len(got) != 2 || !slices.Contains(got, br1) {
		t.Errorf("BR addresses %s", got)
	}
}

// readOnly requires that nothing but reading was asked of VPP since its trace
// was turned on.
func readOnly(t *testing.T, v *vpptest.VPP) {
	t.Helper()
	output := v.CLI("api trace dump")
	v.CLI("api trace off")
	v.CLI("api trace free")
	messages := 0
	for line := range strings.Lines(output) {
		name, ok := strings.CutPrefix(strings.TrimSpace(line), "vl_api_")
		if !ok {
			continue
		}
		name, _, _ = strings.Cut(name, "_t:")
		messages++
		switch {
		case strings.HasSuffix(name, "_dump"), strings.HasSuffix(name, "_get"), name == "control_ping", name == "get_next_index",
			name == "classify_table_by_interface", name == "classify_table_info", name == "cli_inband":
		default:
			t.Errorf("message %s", name)
		}
	}
	if messages < 10 {
		t.Errorf("%d messages in the trace:\n%s", messages, output)
	}
}

func TestRemoveBR(t *testing.T) {
	v := vpptest.Start(t, vpptest.Config{})
	conn := dial(t, v)
	top, err := Build(t.Context(), conn, testConfig())
	if err != nil {
		t.Fatal(err)
	}
	before := state(v)
	for range 2 {
		for _, br := range []netip.Addr{br1, br1} {
			if err := top.AddBR(t.Context(), br); err != nil {
				t.Fatal(err)
			}
			if err := top.LeadBR(t.Context(), br); err != nil {
				t.Fatal(err)
			}
		}
		for range 2 {
			if err := top.RemoveBR(t.Context(), br1); err != nil {
				t.Fatal(err)
			}
		}
		if err := top.LeadBR(t.Context(), br1); err == nil {
			t.Error("a BR address is led to that is not there")
		}
		if diff := cmp.Diff(before, state(v)); diff != "" {
			t.Errorf("left in VPP (-before +after):\n%s", diff)
		}
	}
}

// TestScripts: the lines of a plan are lines of VPP.
func TestScripts(t *testing.T) {
	v := vpptest.Start(t, vpptest.Config{})
	conn := dial(t, v)
	top, err := Build(t.Context(), conn, testConfig())
	if err != nil {
		t.Fatal(err)
	}
	grow(t, conn, top)
	for _, s := range softwires() {
		lines := append(top.Shared(false, s.IPv4, s.BR, s.PortSet.Params().Offset()), "show version")
		if _, err := script.Run(t.Context(), conn, lines...); err != nil {
			t.Errorf("%s: %v", s, err)
		}
	}
	if _, err := script.Run(t.Context(), conn, top.Whole(false, softwires()[0].IPv4, softwires()[0].B4, br1)...); err != nil {
		t.Error(err)
	}
	// Steer puts back what is missing.
	if err := top.Steer(t.Context(), model(t, top)); err != nil {
		t.Fatal(err)
	}
	if _, err := script.Run(t.Context(), conn, top.Whole(false, softwires()[0].IPv4, softwires()[0].B4, br1)...); err != nil {
		t.Errorf("after Steer: %v", err)
	}
}

func TestNoPuntSocket(t *testing.T) {
	v := vpptest.Start(t, vpptest.Config{NoPunt: true})
	conn := dial(t, v)
	top, err := Build(t.Context(), conn, testConfig())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := top.Punt(t.Context(), "/run/none"); !errors.Is(err, ErrNoPuntSocket) {
		t.Errorf("Punt: %v", err)
	}
}
