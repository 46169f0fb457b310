package plan

import (
	"net/netip"
	"testing"

	"github.com/lwaftr/lw4o6/plugin/dataplane"
)

// FuzzRead: whatever is found in VPP, it can be read and emptied.
func FuzzRead(f *testing.F) {
	f.Add(uint8(6), uint8(0), "lw4o6:test:s", uint16(5), uint32(3))
	f.Add(uint8(1), uint8(0), "lw4o6:test:w", uint16(0), uint32(0))
	f.Add(uint8(200), uint8(200), "lw4o6:test:s", uint16(65535), uint32(1))
	f.Fuzz(func(t *testing.T, length, offset uint8, tag string, psid uint16, index uint32) {
		found := []Domain{
			{Index: index, Tag: tag, IPv4: netip.PrefixFrom(ipA, 32), BR: br1, Offset: offset, Length: length, Rules: map[uint16]netip.Addr{psid: b4(1), 0: b4(1)}},
			{Index: index + 1, Tag: tag, IPv4: netip.PrefixFrom(ipA, 32)},
		}
		m := Read(layout(10), found, nil)
		var ops []dataplane.Op
		for s := range m.Softwires {
			ops = append(ops, remove(s))
		}
		steps, err := m.Batch(ops).Steps()
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range steps {
			m.Done(s)
		}
		if n := m.Len(); n != 0 {
			t.Errorf("%d softwires are left", n)
		}
	})
}
