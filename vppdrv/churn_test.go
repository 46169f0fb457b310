package vppdrv

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"

	"github.com/lwaftr/lw4o6/plugin/dataplane"
	"github.com/lwaftr/lw4o6/plugin/portset"
	"github.com/lwaftr/lw4o6/plugin/softwire"
	"github.com/lwaftr/lw4o6/vppdrv/vpptest"
)

// churn makes random changes around softwires that stay: on the same addresses,
// with longer and longer psid-lens, and on addresses that come and go.
type churn struct {
	*rand.Rand
	there  map[softwire.Key]softwire.Softwire
	length [crowded]uint8 // the longest psid-len so far
}

// Of the addresses of churn, the first are crowded: each has softwires that
// stay, with PSIDs below staying of psid-len 6.
const (
	crowded = 8
	staying = 4
	passing = 16 // addresses without
)

func churnAddress(i int) netip.Addr { return netip.AddrFrom4([4]byte{100, 64, 1, byte(i)}) }

func portSet(k uint8, psid uint16) portset.PortSet {
	set, err := portset.Of(0, k, psid)
	if err != nil {
		panic(err)
	}
	return set
}

// stay are the softwires that stay.
func stay() []softwire.Softwire {
	var all []softwire.Softwire
	for i := range crowded {
		for psid := range uint16(staying) {
			all = append(all, softwire.Softwire{
				IPv4: churnAddress(i), PortSet: portSet(6, 1+psid), BR: br1,
				B4: addr(fmt.Sprintf("2001:db8:100:%x::%x", i, psid)),
			})
		}
	}
	return all
}

// op is a random change.
func (c *churn) op() dataplane.Op {
	b4 := addr(fmt.Sprintf("2001:db8:200::%x", c.IntN(1<<16)))
	var s softwire.Softwire
	switch i := c.IntN(crowded + passing); {
	case i >= crowded:
		s = softwire.Softwire{IPv4: churnAddress(i), PortSet: portSet(6, uint16(c.IntN(4))), B4: b4, BR: br1}
		if i%4 == 0 {
			s.PortSet = portset.PortSet{}
		}
	default:
		if c.length[i] < 11 && c.IntN(8) == 0 {
			c.length[i] = max(c.length[i], 6) + 1
		}
		k := max(c.length[i], 6)
		// Each psid-len has a sixteenth of the ports, above what stays.
		psid := uint16(2+k)<<(k-4) + uint16(c.IntN(4))
		s = softwire.Softwire{IPv4: churnAddress(i), PortSet: portSet(k, psid), B4: b4, BR: br1}
	}
	if _, there := c.there[s.Key()]; there && c.IntN(2) == 0 {
		delete(c.there, s.Key())
		return dataplane.Op{Kind: dataplane.Remove, Softwire: s}
	}
	c.there[s.Key()] = s
	return dataplane.Op{Kind: dataplane.Put, Softwire: s}
}

// TestChurn: while softwires come, go and change at 1,000/s, packets of those
// that stay are neither lost nor misdelivered, and no packet is let through
// that its softwire did not send. With a worker packets pass between any two
// command lines.
func TestChurn(t *testing.T) {
	for _, workers := range []int{0, 1} {
		t.Run(fmt.Sprintf("%d workers", workers), func(t *testing.T) {
			b := newBenchOn(t, vpptest.Config{Workers: workers}, nil)
			b.up(t)
			if err := b.Configure(t.Context(), network()); err != nil {
				t.Fatal(err)
			}
			apply(t, b, puts(stay()))
			var flows []*flow
			for _, s := range stay() {
				flows = append(flows, flowOf(s))
			}
			for i := range passing {
				f := flowOf(softwire.Softwire{IPv4: churnAddress(crowded + i), PortSet: portSet(6, 2), BR: br1})
				f.spoofer = addr("2001:db8:666::1")
				flows = append(flows, f)
			}
			seed := rand.Uint64()
			t.Logf("seed %#x", seed)
			c := &churn{Rand: rand.New(rand.NewPCG(seed, 0)), there: make(map[softwire.Key]softwire.Softwire)}
			tr := startTraffic(t, b, 500*time.Microsecond, flows...)
			tick := time.NewTicker(8 * time.Millisecond)
			defer tick.Stop()
			for range 50 * chaosRuns(t) {
				<-tick.C
				ops := make([]dataplane.Op, 8)
				for i := range ops {
					ops[i] = c.op()
				}
				results, err := b.Apply(t.Context(), ops)
				if err != nil {
					t.Fatal(err)
				}
				for i, r := range results {
					if r.Err != nil {
						t.Fatalf("%s %s: %v", ops[i].Kind, ops[i].Softwire, r.Err)
					}
				}
			}
			t.Logf("packets %v", tr.finish(t))
			want := byKey(stay())
			for k, s := range c.there {
				want[k] = s
			}
			if got := read(t, b); len(got) != len(want) {
				t.Errorf("read back %d softwires, want %d", len(got), len(want))
			}
		})
	}
}
