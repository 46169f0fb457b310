package softwire

import (
	"maps"
	"math/bits"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"

	"github.com/lwaftr/lw4o6/plugin/portset"
)

// checkStructure checks what the trees of a snapshot promise beyond answering
// rightly, which bounds their memory and their depth.
func checkStructure(t *testing.T, s *Snapshot) {
	t.Helper()
	if s.addresses != nil {
		checkNode(t, s.addresses, true)
	}
	if n := checkLinks(t, s.links); n != s.count {
		t.Fatalf("%d links, %d softwires", n, s.count)
	}
}

func checkNode(t *testing.T, n *node, root bool) {
	t.Helper()
	if len(n.leaves) != bits.OnesCount16(n.leafBits) || len(n.children) != bits.OnesCount16(n.childBits) || n.leafBits&n.childBits != 0 {
		t.Fatalf("%d leaves and %d children for %b and %b", len(n.leaves), len(n.children), n.leafBits, n.childBits)
	}
	if branches := len(n.leaves) + len(n.children); branches == 0 || branches == 1 && (!root || len(n.children) == 1) {
		t.Fatalf("a node of %d leaves and %d children", len(n.leaves), len(n.children))
	}
	slot{child: n}.each(func(a *address) bool {
		if divergence(a.ip, n.prefix) < n.level {
			t.Fatalf("%v is below level %d of %v", addr4(a.ip), n.level, addr4(n.prefix))
		}
		return true
	})
	for _, child := range n.children {
		if child.level <= n.level {
			t.Fatalf("a node of level %d is below one of level %d", child.level, n.level)
		}
		checkNode(t, child, false)
	}
}

func checkLinks(t *testing.T, n *linkNode) int {
	t.Helper()
	if n == nil {
		return 0
	}
	count := len(n.links)
	if n.children != nil {
		for _, child := range n.children {
			count += checkLinks(t, child)
		}
	}
	if count != n.count || count == 0 {
		t.Fatalf("a node counts %d of its %d links", n.count, count)
	}
	if n.children == nil && count > listedLinks || n.children != nil && (len(n.links) > 0 || count <= listedLinks/2) {
		t.Fatalf("%d links, %d of them listed, branched: %v", count, len(n.links), n.children != nil)
	}
	return count
}

// TestSparseAddresses puts and removes addresses whose common prefixes are of
// all lengths, and compares with a map.
func TestSparseAddresses(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	anchors := []uint32{rng.Uint32(), rng.Uint32(), rng.Uint32(), rng.Uint32()}
	w := &world{rng: rng, params: make([]portset.Params, len(anchors)), brs: []netip.Addr{someBR}}
	for i := range anchors {
		w.ipv4 = append(w.ipv4, addr4(anchors[i]))
		w.b4s = append(w.b4s, subscriber(i))
	}
	table, m := NewTable(), model{}
	snapshots, models := []*Snapshot{table.Snapshot()}, []model{m}
	most := 0
	for range 600 {
		var c Change
		present := m.sorted()
		for range rng.IntN(10) {
			if len(present) > 0 && rng.IntN(4) == 0 {
				c.Remove = append(c.Remove, pick(rng, present).Key())
				continue
			}
			ip := addr4(pick(rng, anchors) ^ rng.Uint32()>>rng.IntN(32))
			s := Softwire{IPv4: ip, B4: subscriber(rng.IntN(50)), BR: someBR}
			if with := append(slices.Clone(c.Put), s); s.Validate() == nil && !slices.ContainsFunc(c.Put, func(x Softwire) bool { return x.IPv4 == ip }) {
				c.Put = with
			}
		}
		if len(present) > 300 || rng.IntN(120) == 0 {
			for _, s := range present[rng.IntN(len(present)+1):] {
				c.Remove = append(c.Remove, s.Key())
			}
		}
		next := maps.Clone(m)
		maps.DeleteFunc(next, func(k Key, _ Softwire) bool { return slices.Contains(c.Remove, k) })
		for _, s := range c.Put {
			next[s.Key()] = s
		}
		if err := table.Apply(c); err != nil {
			t.Fatal(err)
		}
		checkDiff(t, snapshots[len(snapshots)-1], table.Snapshot(), m, next)
		m = next
		checkSnapshot(t, table.Snapshot(), m, w)
		checkStructure(t, table.Snapshot())
		most = max(most, len(m))
		snapshots, models = append(snapshots, table.Snapshot()), append(models, m)
	}
	if most < 100 {
		t.Fatalf("%d addresses at most", most)
	}
	for range 100 {
		i, j := rng.IntN(len(snapshots)), rng.IntN(len(snapshots))
		checkDiff(t, snapshots[i], snapshots[j], models[i], models[j])
	}
}
