package differential

import (
	"context"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/lwaftr/lw4o6/integration/differential/reference"
	"github.com/lwaftr/lw4o6/plugin/dataplane"
	"github.com/lwaftr/lw4o6/plugin/forwarder"
	"github.com/lwaftr/lw4o6/plugin/portset"
	"github.com/lwaftr/lw4o6/plugin/softwire"
)

// sabotages make the reference follow another rule than the forwarder in one
// point each.
func sabotages() map[string]func(*reference.AFTR) {
	config := func(change func(*forwarder.Config)) func(*reference.AFTR) {
		return func(r *reference.AFTR) { change(&r.Config) }
	}
	// The table is shared with the scenario, so it is changed in a copy.
	first := func(change func(*softwire.Softwire)) func(*reference.AFTR) {
		return func(r *reference.AFTR) {
			r.Softwires = slices.Clone(r.Softwires)
			change(&r.Softwires[0])
		}
	}
	dropAll := []forwarder.FilterRule{{Action: forwarder.FilterDrop}}
	return map[string]func(*reference.AFTR){
		"hairpin":       config(func(c *forwarder.Config) { c.Hairpin = !c.Hairpin }),
		"ignore-df":     config(func(c *forwarder.Config) { c.IgnoreDF = !c.IgnoreDF }),
		"clamp-mss":     config(func(c *forwarder.Config) { c.ClampMSS = !c.ClampMSS }),
		"ipv4-mtu":      config(func(c *forwarder.Config) { c.IPv4MTU += 8 }),
		"tunnel-mtu":    config(func(c *forwarder.Config) { c.TunnelMTU += 8 }),
		"hop-limit":     config(func(c *forwarder.Config) { c.HopLimit ^= 1 }),
		"ipv4-address":  config(func(c *forwarder.Config) { c.IPv4Address = netip.MustParseAddr("198.51.100.200") }),
		"from-ipv4":     config(func(c *forwarder.Config) { c.ICMPv4.FromIPv4 = !c.ICMPv4.FromIPv4 }),
		"from-b4":       config(func(c *forwarder.Config) { c.ICMPv4.FromB4 = !c.ICMPv4.FromB4 }),
		"unreachable":   config(func(c *forwarder.Config) { c.ICMPv4.Unreachable = !c.ICMPv4.Unreachable }),
		"too-big":       config(func(c *forwarder.Config) { c.ICMPv4.TooBig = !c.ICMPv4.TooBig }),
		"time-exceeded": config(func(c *forwarder.Config) { c.ICMPv4.TimeExceeded = !c.ICMPv4.TimeExceeded }),
		"relay":         config(func(c *forwarder.Config) { c.ICMPv6.Relay = !c.ICMPv6.Relay }),
		"policy-error":  config(func(c *forwarder.Config) { c.ICMPv6.Policy = !c.ICMPv6.Policy }),
		"ipv4-in":       config(func(c *forwarder.Config) { c.Filters.IPv4In = dropAll }),
		"ipv4-out":      config(func(c *forwarder.Config) { c.Filters.IPv4Out = dropAll }),
		"ipv6-in":       config(func(c *forwarder.Config) { c.Filters.IPv6In = dropAll }),
		"ipv6-out":      config(func(c *forwarder.Config) { c.Filters.IPv6Out = dropAll }),
		"max-fragments": config(func(c *forwarder.Config) { c.Reassembly.IPv4.MaxFragments++ }),
		"timeout":       config(func(c *forwarder.Config) { c.Reassembly.IPv6.Timeout -= 50 * time.Millisecond }),
		"queue":         config(func(c *forwarder.Config) { c.ExceptionQueue = 0 }),
		"pools":         func(r *reference.AFTR) { r.Network = dataplane.Network{BRs: r.Network.BRs} },
		"no-softwire":   func(r *reference.AFTR) { r.Softwires = r.Softwires[1:] },
		"b4":            first(func(sw *softwire.Softwire) { sw.B4 = sw.B4.Next() }),
		"br":            first(func(sw *softwire.Softwire) { sw.BR = sw.BR.Next() }),
		"port-set":      first(func(sw *softwire.Softwire) { sw.PortSet = halved(sw.PortSet) }),
	}
}

// halved is the first half of a port set, or what cannot be halved as it is.
func halved(s portset.PortSet) portset.PortSet {
	p := s.Params()
	if p.Offset()+p.Length() == 16 {
		return s
	}
	half, err := portset.Of(p.Offset(), p.Length()+1, s.PSID()<<1)
	if err != nil {
		panic(err) // one more bit fits
	}
	return half
}

// sabotaged returns the first difference that a sabotaged reference makes.
func sabotaged(ctx context.Context, t *testing.T, sabotage func(*reference.AFTR)) *Difference {
	t.Helper()
	for seed := uint64(1); seed <= fixedSeeds; seed++ {
		d, _, err := run(ctx, Generate(seed), sabotage)
		if err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		if d != nil {
			return d
		}
	}
	return nil
}

func TestEveryRuleMakesADifference(t *testing.T) {
	for name, sabotage := range sabotages() {
		t.Run(name, func(t *testing.T) {
			if sabotaged(t.Context(), t, sabotage) == nil {
				t.Errorf("%d scenarios agree with a reference that differs in this", fixedSeeds)
			}
		})
	}
}

func TestShrinkKeepsTheDifference(t *testing.T) {
	sabotage := sabotages()["hairpin"]
	d := sabotaged(t.Context(), t, sabotage)
	if d == nil {
		t.Fatal("no difference to shrink")
	}
	whole := d.Scenario.Size()
	small := Shrink(d.Scenario, func(s *Scenario) bool {
		d, _, err := run(t.Context(), s, sabotage)
		return err == nil && d != nil
	})
	d, _, err := run(t.Context(), small, sabotage)
	if err != nil || d == nil {
		t.Fatalf("what is left makes no difference: %v", err)
	}
	// One packet shows it, or the fragments of one.
	if n := small.Size(); n > 4 || n >= whole {
		t.Errorf("%d packets are left of %d:\n%s", n, whole, small)
	}
	if text := d.String(); !strings.Contains(text, "side") {
		t.Errorf("the report does not tell what is different:\n%s", text)
	}
}

func TestSeedMakesOneScenario(t *testing.T) {
	for seed := range uint64(20) {
		if a, b := Generate(seed).String(), Generate(seed).String(); a != b {
			t.Errorf("seed %d makes two scenarios", seed)
		}
	}
}
