package vppdrv

import (
	"net/netip"
	"testing"

	"github.com/lwaftr/lw4o6/plugin/dataplane"
	"github.com/lwaftr/lw4o6/plugin/softwire"
)

// TestEachSoftwire: what is asked of single softwires is what all rows say.
func TestEachSoftwire(t *testing.T) {
	b := newParties(t, nil)
	all := parties(t)
	keys := []softwire.Key{all[0].Key(), {IPv4: shared.Next().Next()}, all[2].Key(), {IPv4: shared}}
	for packets := range uint64(3) {
		var got [4]*dataplane.SoftwireCounters
		err := b.EachSoftwire(t.Context(), keys, func(i int, c dataplane.SoftwireCounters) { got[i] = &c })
		if err != nil {
			t.Fatal(err)
		}
		if got[1] != nil || got[3] != nil || got[0] == nil || got[2] == nil {
			t.Fatalf("rows %v", got)
		}
		if got[0].Key != (softwire.Key{IPv4: shared}) || got[0].ToB4.Packets != packets || got[2].ToB4.Packets != 0 {
			t.Errorf("after %d packets %+v and %+v", packets, *got[0], *got[2])
		}
		if packets == 1 {
			rows := make(map[softwire.Key]dataplane.SoftwireCounters)
			for c, err := range b.SoftwireCounters(t.Context()) {
				if err != nil {
					t.Fatal(err)
				}
				rows[c.Key] = c
			}
			if rows[got[0].Key] != *got[0] {
				t.Errorf("%+v, but among all %+v", *got[0], rows[got[0].Key])
			}
		}
		b.exchange(t, side4, udp4(netip.AddrPortFrom(host, 53), netip.AddrPortFrom(shared, portShared), 10))
	}
}
