package plan

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/lwaftr/lw4o6/plugin/dataplane"
	"github.com/lwaftr/lw4o6/plugin/portset"
	"github.com/lwaftr/lw4o6/plugin/softwire"
)

var (
	nowhere = netip.MustParseAddr("fd12:3456:789a:1111:2222:3333:4444:5555")
	br1     = netip.MustParseAddr("2001:db8::1")
	br2     = netip.MustParseAddr("2001:db8::2")
	ipA     = netip.MustParseAddr("192.0.2.1")
	ipB     = netip.MustParseAddr("192.0.2.2")
)

func layout(fill uint8) Layout {
	return Layout{Tag: "lw4o6:test", MTU: 1500, Nowhere: nowhere, Fill: fill, Steering: marks{}}
}

func b4(n int) netip.Addr {
	a := netip.MustParseAddr("2001:db8:1::").As16()
	a[14], a[15] = byte(n>>8), byte(n)
	return netip.AddrFrom16(a)
}

func sw(ip netip.Addr, s portset.PortSet, b netip.Addr, br netip.Addr) softwire.Softwire {
	return softwire.Softwire{IPv4: ip, PortSet: s, B4: b, BR: br}
}

func put(s softwire.Softwire) dataplane.Op { return dataplane.Op{Kind: dataplane.Put, Softwire: s} }

func remove(s softwire.Softwire) dataplane.Op {
	return dataplane.Op{Kind: dataplane.Remove, Softwire: softwire.Softwire{IPv4: s.IPv4, PortSet: s.PortSet}}
}

// apply executes ops on m and v, with enough spares.
func apply(t *testing.T, m **Model, v *toy, ops ...dataplane.Op) []dataplane.Result {
	t.Helper()
	b := (*m).Batch(ops)
	if n := b.NewAddresses(); n > (*m).Spares() {
		*m = v.spares(*m, n)
		b = (*m).Batch(ops)
	}
	steps, err := b.Steps()
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range steps {
		v.run(s.Lines)
		(*m).Done(s)
	}
	return b.Results()
}

// holds requires that m and v forward exactly for want.
func holds(t *testing.T, m *Model, v *toy, want ...softwire.Softwire) {
	t.Helper()
	for name, model := range map[string]*Model{"model": m, "read back": Read(m.layout, v.found(), m)} {
		got := slices.SortedFunc(model.Softwires, compare)
		slices.SortFunc(want, compare)
		if !slices.Equal(got, want) {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
	}
	for _, s := range want {
		for r := range s.PortSet.Ranges() {
			for _, port := range []uint16{r.First, r.Last} {
				if to, from := v.to(s.IPv4, port); to != s.B4 || from != s.BR {
					t.Errorf("%s port %d goes to %s from %s", s, port, to, from)
				}
				if !v.accepts(s.IPv4, port, s.B4) || v.accepts(s.IPv4, port, b4(9999)) {
					t.Errorf("%s port %d: the wrong source is accepted", s, port)
				}
			}
			break
		}
	}
}

func compare(a, b softwire.Softwire) int { return a.Key().Compare(b.Key()) }

func outcomes(results []dataplane.Result) string {
	var s []string
	for _, r := range results {
		s = append(s, r.Outcome.String())
	}
	return strings.Join(s, " ")
}

func TestApply(t *testing.T) {
	one, two := sw(ipA, set(0, 6, 5), b4(1), br1), sw(ipA, set(0, 6, 9), b4(2), br1)
	whole := sw(ipB, portset.PortSet{}, b4(3), br2)
	type batch struct {
		ops      []dataplane.Op
		outcomes string
		holds    []softwire.Softwire
	}
	for name, batches := range map[string][]batch{
		"put and remove": {
			{[]dataplane.Op{put(one), put(two), put(whole)}, "programmed programmed programmed", []softwire.Softwire{one, two, whole}},
			{[]dataplane.Op{remove(one), remove(whole)}, "programmed programmed", []softwire.Softwire{two}},
			{[]dataplane.Op{remove(two), remove(two)}, "programmed programmed", nil},
		},
		"again": {
			{[]dataplane.Op{put(one), put(one)}, "programmed programmed", []softwire.Softwire{one}},
			{[]dataplane.Op{put(one), put(whole)}, "programmed programmed", []softwire.Softwire{one, whole}},
			{[]dataplane.Op{put(whole)}, "programmed", []softwire.Softwire{one, whole}},
		},
		"remove what is not there": {
			{[]dataplane.Op{remove(one), put(two), remove(one)}, "programmed programmed programmed", []softwire.Softwire{two}},
		},
		"moved": {
			{[]dataplane.Op{put(one), put(whole)}, "programmed programmed", []softwire.Softwire{one, whole}},
			{
				[]dataplane.Op{put(sw(ipA, one.PortSet, b4(7), br1)), put(sw(ipB, whole.PortSet, b4(8), br1))}, "programmed programmed",
				[]softwire.Softwire{sw(ipA, one.PortSet, b4(7), br1), sw(ipB, whole.PortSet, b4(8), br1)},
			},
		},
		"other BR address": {
			{[]dataplane.Op{put(one), put(sw(ipA, two.PortSet, b4(2), br2))}, "programmed unsupported", []softwire.Softwire{one}},
			{
				[]dataplane.Op{remove(one), put(sw(ipA, two.PortSet, b4(2), br2))}, "programmed programmed",
				[]softwire.Softwire{sw(ipA, two.PortSet, b4(2), br2)},
			},
		},
		"other psid-offset": {
			{[]dataplane.Op{put(one), put(sw(ipA, set(6, 6, 5), b4(2), br1))}, "programmed retryable", []softwire.Softwire{one}},
			// 2048 to 2079 of each block of 4096, all outside one's 5120 to 6143.
			{[]dataplane.Op{put(sw(ipA, set(4, 7, 127), b4(2), br1))}, "unsupported", []softwire.Softwire{one}},
		},
		"shared and whole": {
			{[]dataplane.Op{put(one), put(sw(ipA, portset.PortSet{}, b4(2), br1))}, "programmed retryable", []softwire.Softwire{one}},
			{
				[]dataplane.Op{remove(one), put(sw(ipA, portset.PortSet{}, b4(2), br1))}, "programmed programmed",
				[]softwire.Softwire{sw(ipA, portset.PortSet{}, b4(2), br1)},
			},
			{[]dataplane.Op{put(one)}, "retryable", []softwire.Softwire{sw(ipA, portset.PortSet{}, b4(2), br1)}},
		},
		"mixed psid-lens": {
			{[]dataplane.Op{put(sw(ipA, set(0, 2, 1), b4(1), br1))}, "programmed", []softwire.Softwire{sw(ipA, set(0, 2, 1), b4(1), br1)}},
			{
				[]dataplane.Op{put(sw(ipA, set(0, 4, 15), b4(2), br1)), put(sw(ipA, set(0, 1, 0), b4(3), br1)), put(sw(ipA, set(0, 6, 31), b4(4), br1))},
				"programmed retryable retryable",
				[]softwire.Softwire{sw(ipA, set(0, 2, 1), b4(1), br1), sw(ipA, set(0, 4, 15), b4(2), br1)},
			},
			{
				[]dataplane.Op{remove(sw(ipA, set(0, 2, 1), b4(1), br1)), put(sw(ipA, set(0, 1, 0), b4(1), br1))}, "programmed programmed",
				[]softwire.Softwire{sw(ipA, set(0, 1, 0), b4(1), br1), sw(ipA, set(0, 4, 15), b4(2), br1)},
			},
		},
		"longest and excluded": {
			{
				[]dataplane.Op{put(sw(ipA, set(0, 16, 40000), b4(1), br1)), put(sw(ipB, set(6, 8, 52), b4(2), br1))}, "programmed programmed",
				[]softwire.Softwire{sw(ipA, set(0, 16, 40000), b4(1), br1), sw(ipB, set(6, 8, 52), b4(2), br1)},
			},
		},
		"bad": {
			{
				[]dataplane.Op{put(sw(ipA, one.PortSet, netip.Addr{}, br1)), put(two), {Kind: 9, Softwire: one}}, "unsupported programmed unsupported",
				[]softwire.Softwire{two},
			},
		},
	} {
		for _, fill := range []uint8{0, 10} {
			t.Run(fmt.Sprintf("%s/fill %d", name, fill), func(t *testing.T) {
				v, m := newToy(t), New(layout(fill))
				for i, b := range batches {
					results := apply(t, &m, v, b.ops...)
					if got := outcomes(results); got != b.outcomes {
						t.Errorf("batch %d: %s, want %s", i, got, b.outcomes)
					}
					for j, r := range results {
						if (r.Err == nil) != (r.Outcome == dataplane.Programmed) {
							t.Errorf("batch %d op %d: %s with error %v", i, j, r.Outcome, r.Err)
						}
					}
					holds(t, m, v, b.holds...)
				}
			})
		}
	}
}

// TestNothingToDo: what is there already makes no lines.
func TestNothingToDo(t *testing.T) {
	v, m := newToy(t), New(layout(10))
	one, whole := sw(ipA, set(0, 6, 5), b4(1), br1), sw(ipB, portset.PortSet{}, b4(3), br2)
	apply(t, &m, v, put(one), put(whole))
	steps, err := m.Batch([]dataplane.Op{put(one), remove(one), put(one), put(whole), remove(sw(ipA, set(0, 6, 6), b4(1), br1))}).Steps()
	if err != nil || len(steps) != 0 {
		t.Errorf("steps %+v, %v", steps, err)
	}
	// The same rules under other keys.
	four := []dataplane.Op{remove(one)}
	for i := range uint16(4) {
		four = append(four, put(sw(ipA, set(0, 6, 20+i), b4(1), br1)))
	}
	apply(t, &m, v, four...)
	four = []dataplane.Op{put(sw(ipA, set(0, 4, 5), b4(1), br1))}
	for i := range uint16(4) {
		four = append([]dataplane.Op{remove(sw(ipA, set(0, 6, 20+i), b4(1), br1))}, four...)
	}
	steps, err = m.Batch(four).Steps()
	if err != nil || len(steps) != 1 || len(steps[0].Lines) != 0 {
		t.Errorf("steps %+v, %v", steps, err)
	}
	apply(t, &m, v, four...)
	holds(t, m, v, sw(ipA, set(0, 4, 5), b4(1), br1), whole)
}

func TestFill(t *testing.T) {
	v, m := newToy(t), New(layout(6))
	apply(t, &m, v, put(sw(ipA, set(0, 6, 5), b4(1), br1)), put(sw(ipB, set(0, 7, 5), b4(1), br1)))
	if to, _ := v.to(ipA, 80); to != nowhere {
		t.Errorf("a free port goes to %s", to)
	}
	if to, _ := v.to(ipB, 80); to.IsValid() {
		t.Errorf("a free port of a long psid-len goes to %s", to)
	}
	apply(t, &m, v, remove(sw(ipA, set(0, 6, 5), b4(1), br1)), put(sw(ipA, set(0, 6, 6), b4(1), br1)))
	if to, _ := v.to(ipA, 5200); to != nowhere {
		t.Errorf("a port that became free goes to %s", to)
	}
}

func TestPools(t *testing.T) {
	pool, own := netip.MustParsePrefix("192.0.2.0/24"), netip.MustParsePrefix("192.0.2.1/32")
	v, m := newToy(t), New(layout(10))
	m = v.spares(m, 8)
	run := func(s Step, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		v.run(s.Lines)
		m.Done(s)
	}
	for _, p := range []netip.Prefix{pool, own, pool} {
		run(m.AddPool(p, br1))
	}
	if to, from := v.to(ipB, 80); to != nowhere || from != br1 {
		t.Errorf("a free address goes to %s from %s", to, from)
	}
	if v.accepts(ipB, 80, b4(1)) || v.accepts(ipB, 80, netip.IPv6Unspecified()) {
		t.Error("anything is accepted from a free address")
	}
	one := sw(ipA, set(0, 6, 5), b4(1), br1)
	apply(t, &m, v, put(one))
	holds(t, m, v, one)
	apply(t, &m, v, remove(one))
	holds(t, m, v)
	if to, _ := v.to(ipA, 80); to != nowhere || len(m.Pools()) != 2 {
		t.Errorf("the address of a pool of one goes to %s", to)
	}
	// A pool of one whose address is in use comes and goes beside it.
	apply(t, &m, v, put(one))
	for range 2 {
		run(m.RemovePool(own), nil)
		holds(t, m, v, one)
		run(m.AddPool(own, br1))
		holds(t, m, v, one)
	}
	run(m.RemovePool(own), nil)
	run(m.RemovePool(own), nil)
	apply(t, &m, v, remove(one))
	run(m.RemovePool(pool), nil)
	if d := v.find(ipA); d != nil || m.Spares() != len(v.domains) {
		t.Errorf("left: %+v, %d spares of %d domains", d, m.Spares(), len(v.domains))
	}
	m.spares = nil
	if _, err := m.AddPool(pool, br1); !errors.Is(err, ErrSpares) {
		t.Errorf("without spares: %v", err)
	}
}

func TestSpares(t *testing.T) {
	v, m := newToy(t), New(layout(10))
	if _, err := m.Batch([]dataplane.Op{put(sw(ipA, set(0, 6, 5), b4(1), br1))}).Steps(); !errors.Is(err, ErrSpares) {
		t.Errorf("without spares: %v", err)
	}
	m = v.spares(m, 3)
	again := Read(m.layout, v.found(), nil)
	v.run(again.MoreSpares(3)) // the toy refuses domains that hide others
	for i, d := range v.domains {
		if v.accepts(d.ip4.Addr(), 80, b4(1)) {
			t.Errorf("spare domain %d lets packets through", i)
		}
	}
}

// TestForeign: domains of others are not ours, whatever they look like.
func TestForeign(t *testing.T) {
	l := layout(10)
	var found []Domain
	for i, tag := range []string{"", "lw4o6:test", "lw4o6:test:", "lw4o6:test:x", "lw4o6:test2:s", "lw4o6:tes:s", "lw4o6:test:ss", "[no-tag]"} {
		found = append(found, Domain{
			Index: uint32(i), Tag: tag, IPv4: netip.PrefixFrom(ipA, 32), BR: br1, Length: 6,
			Rules: map[uint16]netip.Addr{1: b4(1)},
		})
		if l.Ours(tag) || l.Holds(tag) {
			t.Errorf("%q is ours", tag)
		}
	}
	m := Read(l, found, nil)
	if m.Len()+m.Spares()+len(m.Pools())+m.Addresses() != 0 {
		t.Errorf("model %+v", m)
	}
}

// TestDamaged: what is no whole softwire shows under its key, and is mended.
func TestDamaged(t *testing.T) {
	for name, damage := range map[string]func(*toy, softwire.Softwire){
		"one rule of two missing": func(v *toy, s softwire.Softwire) {
			v.run([]string{ruleLine(v.byPrefix[netip.PrefixFrom(s.IPv4, 32)], 1, netip.IPv6Unspecified())})
		},
		"two domains": func(v *toy, s softwire.Softwire) {
			p := netip.PrefixFrom(s.IPv4, 32)
			first := v.byPrefix[p]
			delete(v.byPrefix, p)
			v.detours[s.IPv4] = true
			defer delete(v.detours, s.IPv4)
			v.run([]string{strings.Replace((&Model{layout: layout(10)}).domainLine(useWhole, p, s.BR, 0, 1), "\n", "", 1)})
			v.run([]string{ruleLine(v.byPrefix[p], 0, s.B4), ruleLine(v.byPrefix[p], 1, s.B4)})
			if first == v.byPrefix[p] {
				t.Error("the toy has one domain")
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			v, m := newToy(t), New(layout(10))
			s := sw(ipB, portset.PortSet{}, b4(3), br2)
			apply(t, &m, v, put(s))
			damage(v, s)
			clear(v.steering) // which is read back and mended elsewhere
			m = Read(m.layout, v.found(), m)
			if got := slices.Collect(m.Softwires); len(got) != 1 || got[0].Key() != s.Key() || got[0].B4.IsValid() {
				t.Fatalf("read %s", got)
			}
			apply(t, &m, v, put(s))
			holds(t, m, v, s)
			apply(t, &m, v, remove(s))
			holds(t, m, v)
		})
	}
}

// TestRandom applies random batches, and looks at the domains after each step.
func TestRandom(t *testing.T) {
	for _, fill := range []uint8{0, 5} {
		seed := rand.Uint64()
		t.Logf("seed %#x, fill %d", seed, fill)
		r := rand.New(rand.NewPCG(seed, 0))
		v, m := newToy(t), New(layout(fill))
		want := make(map[softwire.Key]softwire.Softwire)
		steered := 0
		for range 300 {
			var ops []dataplane.Op
			if r.IntN(4) == 0 {
				// An address can take another shape when it is empty.
				for _, s := range want {
					if s.IPv4 == ipA || s.IPv4 == ipB {
						ops = append(ops, remove(s))
					}
				}
			}
			for range r.IntN(12) {
				ops = append(ops, randomOp(r))
			}
			randomBatch(t, &m, v, ops, want)
			steered += len(v.steering)
		}
		if steered == 0 || v.unsafe == 0 {
			t.Errorf("%d softwires were steered, %d times a domain had no rules", steered, v.unsafe)
		}
	}
}

func randomOp(r *rand.Rand) dataplane.Op {
	ip := netip.AddrFrom4([4]byte{192, 0, 2, byte(r.IntN(4))})
	k := []uint8{0, 1, 2, 3, 3, 4, 6}[r.IntN(7)]
	a := []uint8{0, 0, 0, 4}[r.IntN(4)]
	if k == 0 {
		a = 0
	}
	s := sw(ip, set(a, k, uint16(r.IntN(1<<k))), b4(1+r.IntN(3)), []netip.Addr{br1, br1, br1, br2}[r.IntN(4)])
	if r.IntN(3) == 0 {
		return remove(s)
	}
	return put(s)
}

// randomBatch applies ops one way to m and v, and another to want.
func randomBatch(t *testing.T, m **Model, v *toy, ops []dataplane.Op, want map[softwire.Key]softwire.Softwire) {
	t.Helper()
	before := make(map[softwire.Key]softwire.Softwire)
	for k, s := range want {
		before[k] = s
	}
	b := (*m).Batch(ops)
	if n := b.NewAddresses(); n > (*m).Spares() {
		*m = v.spares(*m, n)
		b = (*m).Batch(ops)
	}
	for i, op := range ops {
		outcome := b.Results()[i].Outcome
		if refused := expect(want, op); (outcome == dataplane.Programmed) == refused {
			t.Fatalf("%s %s: %s %v", op.Kind, op.Softwire, outcome, b.Results()[i].Err)
		}
	}
	steps, err := b.Steps()
	if err != nil {
		t.Fatal(err)
	}
	// Softwires that the batch is not about stay as they are, after each line.
	v.after = func(line string) {
		for k, old := range before {
			if want[k] != old || v.detours[old.IPv4] {
				continue
			}
			port := last(old.PortSet)
			if to, from := v.to(old.IPv4, port); to != old.B4 || from != old.BR || !v.accepts(old.IPv4, port, old.B4) {
				t.Fatalf("after %q %s goes to %s from %s", line, old, to, from)
			}
		}
	}
	for _, s := range steps {
		v.run(s.Lines)
		(*m).Done(s)
	}
	v.after = nil
	if slices.Contains(slices.Collect(maps.Values(v.detours)), true) {
		t.Fatalf("detours %v", v.detours)
	}
	var all []softwire.Softwire
	steering := make(map[string]bool)
	for _, s := range want {
		all = append(all, s)
		switch a := s.PortSet.Params().Offset(); {
		case s.PortSet.Whole():
			steering[fmt.Sprintf("whole %s %s %s", s.IPv4, s.B4, s.BR)] = true
		case a > 0:
			steering[fmt.Sprintf("excluded %s %d", s.IPv4, a)] = true
		}
	}
	holds(t, *m, v, all...)
	if diff := cmp.Diff(steering, v.steering); diff != "" {
		t.Fatalf("steering (-want +got):\n%s", diff)
	}
	if (*m).Spares()+(*m).Addresses() != len(v.domains) {
		t.Fatalf("%d spares and %d addresses of %d domains", (*m).Spares(), (*m).Addresses(), len(v.domains))
	}
}

func last(s portset.PortSet) (port uint16) {
	for r := range s.Ranges() {
		port = r.Last
	}
	return port
}

// expect applies op to want by the text of the contract, and reports whether
// VPP cannot.
func expect(want map[softwire.Key]softwire.Softwire, op dataplane.Op) bool {
	s := op.Softwire
	if op.Kind == dataplane.Remove {
		delete(want, s.Key())
		return false
	}
	for k, other := range want {
		if k.IPv4 != s.IPv4 || k == s.Key() {
			continue
		}
		if other.PortSet.Overlaps(s.PortSet) || other.BR != s.BR || other.PortSet.Params().Offset() != s.PortSet.Params().Offset() {
			return true
		}
	}
	want[s.Key()] = s
	return false
}
