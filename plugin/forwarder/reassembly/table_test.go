package reassembly_test

import (
	"bytes"
	"fmt"
	"testing"
	"time"

	"github.com/lwaftr/lw4o6/plugin/forwarder/reassembly"
)

const (
	udp = 17
	tcp = 6
)

// data is n octets that differ from those of another salt.
func data(n int, salt byte) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i>>8) ^ byte(i*7) ^ salt
	}
	return b
}

// cut splits whole at the given places.
func cut(whole []byte, places ...int) []part {
	var parts []part
	from := 0
	for _, to := range append(places, len(whole)) {
		parts = append(parts, part{at: from, more: to < len(whole), data: whole[from:to]})
		from = to
	}
	return parts
}

// step is a fragment and what is to come of it: nothing (it is held), drops, or
// the whole packet.
type step struct {
	part  part
	drops string // "cause:fragments ...", "" for none
	whole bool
}

func drops(ds []reassembly.Drop) string {
	s := ""
	for _, d := range ds {
		s += fmt.Sprintf(" %s:%d", d.Cause, d.Fragments)
	}
	if s == "" {
		return s
	}
	return s[1:]
}

func TestSequences(t *testing.T) {
	d := data(2000, 0)
	p := cut(d, 800, 1200)
	other := part{at: 800, more: true, data: data(400, 9)}
	tests := []struct {
		name  string
		proto uint8
		steps []step
	}{
		{"in order", udp, []step{{part: p[0]}, {part: p[1]}, {part: p[2], whole: true}}},
		{"backwards", udp, []step{{part: p[2]}, {part: p[1]}, {part: p[0], whole: true}}},
		{"middle last", udp, []step{{part: p[0]}, {part: p[2]}, {part: p[1], whole: true}}},
		{"exact duplicates", udp, []step{{part: p[1]}, {part: p[1], drops: "duplicate:1"}, {part: p[0]},
			{part: p[0], drops: "duplicate:1"}, {part: p[2], whole: true}}},
		{"duplicate of the last", udp, []step{{part: p[2]}, {part: p[2], drops: "duplicate:1"}, {part: p[0]},
			{part: p[1], whole: true}}},
		{"late duplicate is held alone", udp, []step{{part: p[0]}, {part: p[1]}, {part: p[2], whole: true}, {part: p[1]}}},
		{"same place, other contents", udp, []step{{part: p[0]}, {part: p[1]}, {part: other, drops: "overlap:3"},
			{part: p[2], drops: "overlap:1"}, {part: p[0], drops: "overlap:1"}}},
		{"overlap by one unit at the front", udp, []step{{part: p[1]},
			{part: part{at: 0, more: true, data: d[:808]}, drops: "overlap:2"}}},
		{"overlap by one unit at the back", udp, []step{{part: p[1]},
			{part: part{at: 1192, data: d[1192:]}, drops: "overlap:2"}, {part: p[0], drops: "overlap:1"}}},
		{"fragment within another", udp, []step{{part: p[0]},
			{part: part{at: 8, more: true, data: d[8:16]}, drops: "overlap:2"}}},
		{"fragment around another", udp, []step{{part: p[1]},
			{part: part{at: 0, more: true, data: d[:1600]}, drops: "overlap:2"}}},
		{"overlap of the gap's far side", udp, []step{{part: p[0]}, {part: p[2]},
			{part: part{at: 800, more: true, data: d[800:1208]}, drops: "overlap:3"}}},
		{"last fragment short of what is held", udp, []step{{part: part{at: 1600, more: true, data: d[1600:1608]}},
			{part: part{at: 800, data: d[800:900]}, drops: "inconsistent:2"}, {part: p[0], drops: "inconsistent:1"}}},
		{"two ends", udp, []step{{part: p[2]},
			{part: part{at: 1200, data: d[1200:1300]}, drops: "inconsistent:2"}}},
		{"data beyond the end", udp, []step{{part: part{at: 800, data: d[800:900]}},
			{part: part{at: 1600, more: true, data: d[1600:1608]}, drops: "inconsistent:2"}}},
		{"more after the end", udp, []step{{part: part{at: 800, data: d[800:808]}},
			{part: part{at: 800, more: true, data: d[800:808]}, drops: "inconsistent:2"}}},
		{"end where more was said to follow", udp, []step{{part: part{at: 800, more: true, data: d[800:808]}},
			{part: part{at: 800, data: d[800:808]}, drops: "inconsistent:2"}}},
		{"no data", udp, []step{{part: part{at: 800, more: true}, drops: "empty:1"}, {part: part{at: 800}, drops: "empty:1"}}},
		{"not the last and no multiple of 8", udp, []step{{part: part{at: 800, more: true, data: d[:401]}, drops: "unaligned:1"},
			{part: p[0]}, {part: p[1]}, {part: p[2], whole: true}}},
		{"end beyond 65535", udp, []step{{part: p[0]},
			{part: part{at: 65528, data: d[:8]}, drops: "too-long:1"}, {part: p[1]}, {part: p[2], whole: true}}},
		{"TCP header in pieces", tcp, []step{{part: part{more: true, data: d[:8]}, drops: "tiny-first:1"}}},
	}
	for _, f := range families() {
		for _, test := range tests {
			t.Run(f.name+"/"+test.name, func(t *testing.T) {
				table := newTable(t, roomy())
				flow := flow{src: 1, dst: 2, id: 0x4243, proto: test.proto}
				var whole []byte
				for i, s := range test.steps {
					r := f.feed(table, start, f.fragment(flow, s.part))
					if got := drops(r.Drops); got != s.drops {
						t.Fatalf("step %d: dropped %q, want %q", i, got, s.drops)
					}
					if want := s.drops == "" && !s.whole; r.Held != want {
						t.Fatalf("step %d: held %v, want %v", i, r.Held, want)
					}
					if (r.Packet != nil) != s.whole {
						t.Fatalf("step %d: whole %v, want %v", i, r.Packet != nil, s.whole)
					}
					if s.whole {
						whole = r.Packet
						if !bytes.Equal(whole, f.whole(flow, d, 0)) {
							t.Fatalf("whole packet is\n%x, want\n%x", whole, f.whole(flow, d, 0))
						}
						if r.Fragments != 3 {
							t.Errorf("made of %d fragments, want 3", r.Fragments)
						}
					}
					if err := table.Check(); err != nil {
						t.Fatalf("step %d: %v", i, err)
					}
				}
			})
		}
	}
}

func TestKeys(t *testing.T) {
	d := data(1000, 0)
	p := cut(d, 504)
	base := flow{src: 1, dst: 2, id: 7, proto: udp}
	variants := map[string]flow{
		"source":         {src: 9, dst: 2, id: 7, proto: udp},
		"destination":    {src: 1, dst: 9, id: 7, proto: udp},
		"identification": {src: 1, dst: 2, id: 9, proto: udp},
		"protocol":       {src: 1, dst: 2, id: 7, proto: 132},
	}
	for _, f := range families() {
		for name, v := range variants {
			t.Run(f.name+"/another "+name, func(t *testing.T) {
				table := newTable(t, roomy())
				f.feed(table, start, f.fragment(base, p[0]))
				r := f.feed(table, start, f.fragment(v, p[1]))
				// RFC 8200 section 4.5: the Next Header values may differ, that
				// of the first fragment counts. RFC 791: the protocol is a part
				// of the key.
				same := f.name == "IPv6" && name == "protocol"
				if (r.Packet != nil) != same {
					t.Fatalf("whole %v, want %v", r.Packet != nil, same)
				}
				if same && !bytes.Equal(r.Packet, f.whole(base, d, 0)) {
					t.Error("the first fragment's Next Header must count")
				}
			})
		}
	}
}

// Two lwB4s that share an IPv4 address, and the Internet, can each have a
// packet of the same key; none may touch another's.
func TestSoftwiresAreApart(t *testing.T) {
	table := newTable(t, roomy())
	f := flow{src: 1, dst: 2, id: 7, proto: udp}
	first, second := data(1000, 1), data(1000, 2)
	one, two := [16]byte{0x20, 1, 15: 1}, [16]byte{0x20, 1, 15: 2}
	p, q := cut(first, 504), cut(second, 504)
	internet := table.IPv4(start, f.fragment4(part{at: 0, more: true, data: data(800, 3)}), arena{})
	a := table.SoftwireIPv4(start, one, f.fragment4(p[0]), arena{})
	b := table.SoftwireIPv4(start, two, f.fragment4(q[1]), arena{})
	if internet.Drops != nil || len(a.Drops) != 0 || len(b.Drops) != 0 || table.Held() != 3 {
		t.Fatalf("%v %v %v, %d held; want 3 fragments held", internet, a, b, table.Held())
	}
	if r := table.SoftwireIPv4(start, one, f.fragment4(p[1]), arena{}); !bytes.Equal(r.Packet, f.whole4(first, 0)) {
		t.Errorf("the first lwB4's packet is %x", r.Packet)
	}
	if r := table.SoftwireIPv4(start, two, f.fragment4(q[0]), arena{}); !bytes.Equal(r.Packet, f.whole4(second, 0)) {
		t.Errorf("the second lwB4's packet is %x", r.Packet)
	}
}

func TestHeadersOfTheFirstFragmentCount(t *testing.T) {
	d := data(1000, 0)
	p := cut(d, 504)
	t.Run("IPv4 options", func(t *testing.T) {
		first := flow{src: 1, dst: 2, id: 7, proto: udp, options: []byte{0x94, 4, 0, 0, 7, 7, 4, 0, 0, 0, 0, 0}}
		later := first
		later.options = []byte{0x94, 4, 0, 0}
		for _, order := range [][2]int{{0, 1}, {1, 0}} {
			table := newTable(t, roomy())
			packets := [2][]byte{first.fragment4(p[0]), later.fragment4(p[1])}
			table.IPv4(start, packets[order[0]], arena{})
			r := table.IPv4(start, packets[order[1]], arena{})
			if want := first.whole4(d, 0); !bytes.Equal(r.Packet, want) {
				t.Errorf("order %v: whole packet is\n%x, want\n%x", order, r.Packet, want)
			}
		}
	})
	t.Run("IPv6 extension headers", func(t *testing.T) {
		chain := append([]byte{43, 0, 1, 4, 0, 0, 0, 0}, make([]byte, 24)...)
		chain[9] = 2 // a Routing header of 24 octets after Hop-by-Hop Options
		first := flow{src: 1, dst: 2, id: 7, proto: udp, options: chain}
		later := first
		later.options = nil
		for _, order := range [][2]int{{0, 1}, {1, 0}} {
			table := newTable(t, roomy())
			packets := [2][]byte{first.fragment6(p[0]), later.fragment6(p[1])}
			table.IPv6(start, packets[order[0]], arena{})
			r := table.IPv6(start, packets[order[1]], arena{})
			if want := first.whole6(d, 0); !bytes.Equal(r.Packet, want) {
				t.Errorf("order %v: whole packet is\n%x, want\n%x", order, r.Packet, want)
			}
		}
	})
}

// Headers that fill more than a block of memory come back as they were.
func TestLongHeaders(t *testing.T) {
	d := data(1000, 0)
	p := cut(d, 504)
	options := append([]byte{60, 127, 1, 4, 0, 0, 0, 0}, data(1016, 3)...)
	f := flow{src: 1, dst: 2, id: 7, proto: udp, options: options, outer: 60}
	table := newTable(t, roomy())
	table.IPv6(start, f.fragment6(p[0]), arena{})
	if r := table.IPv6(start, f.fragment6(p[0]), arena{}); drops(r.Drops) != "duplicate:1" {
		t.Errorf("dropped %q, want duplicate:1", drops(r.Drops))
	}
	r := table.IPv6(start, f.fragment6(p[1]), arena{})
	if want := f.whole6(d, 0); !bytes.Equal(r.Packet, want) {
		t.Errorf("whole packet is\n%x, want\n%x", r.Packet, want)
	}
}

func TestLongest(t *testing.T) {
	for _, f := range families() {
		t.Run(f.name, func(t *testing.T) {
			flow := flow{src: 1, dst: 2, id: 7, proto: udp}
			longest := 65535
			if f.name != "IPv6" {
				longest -= 20
			}
			table := newTable(t, roomy())
			d := data(longest, 0)
			p := cut(d, 32768)
			f.feed(table, start, f.fragment(flow, p[1]))
			if r := f.feed(table, start, f.fragment(flow, p[0])); !bytes.Equal(r.Packet, f.whole(flow, d, 0)) {
				t.Errorf("whole %v, dropped %q", r.Packet != nil, drops(r.Drops))
			}
			// Eight octets of options do not fit any more.
			withOptions := flow
			withOptions.options = []byte{1, 0, 1, 4, 0, 0, 0, 0}
			f.feed(table, start, f.fragment(flow, p[1]))
			r := f.feed(table, start, f.fragment(withOptions, p[0]))
			if r.Packet != nil || drops(r.Drops) != "too-long:2" || table.Held() != 0 {
				t.Errorf("with options: whole %v, dropped %q, %d held", r.Packet != nil, drops(r.Drops), table.Held())
			}
		})
	}
}

func TestAtomicIsAlone(t *testing.T) {
	table := newTable(t, roomy())
	f := flow{src: 1, dst: 2, id: 7, proto: udp, options: []byte{0, 0, 1, 4, 0, 0, 0, 0}, outer: 60}
	d := data(1000, 0)
	p := cut(d, 504)
	table.IPv6(start, f.fragment6(p[0]), arena{})
	alone := data(600, 5)
	r := table.IPv6(start, f.fragment6(part{data: alone}), arena{})
	if !bytes.Equal(r.Packet, f.whole6(alone, 0)) || r.Fragments != 1 || len(r.Drops) != 0 {
		t.Errorf("atomic fragment: %x of %d, dropped %q", r.Packet, r.Fragments, drops(r.Drops))
	}
	if r := table.IPv6(start, f.fragment6(p[1]), arena{}); !bytes.Equal(r.Packet, f.whole6(d, 0)) {
		t.Errorf("the packet of the same key: whole %v, dropped %q", r.Packet != nil, drops(r.Drops))
	}
}

func TestNoFragmentIsCopied(t *testing.T) {
	f := flow{src: 1, dst: 2, id: 7, proto: udp}
	d := data(1000, 0)
	dontFragment := f.whole4(d, 1)
	dontFragment[6] |= 0x40
	for _, test := range []struct {
		name   string
		packet []byte
		feed   func(*reassembly.Table, []byte) reassembly.Result
	}{
		{"IPv6", f.whole6(d, 1), func(t *reassembly.Table, b []byte) reassembly.Result { return t.IPv6(start, b, arena{}) }},
		{"IPv4", dontFragment, func(t *reassembly.Table, b []byte) reassembly.Result { return t.IPv4(start, b, arena{}) }},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := test.feed(newTable(t, roomy()), append(bytes.Clone(test.packet), 1, 2, 3))
			if !bytes.Equal(r.Packet, test.packet) || r.Fragments != 1 || len(r.Drops) != 0 {
				t.Errorf("%x of %d, dropped %q", r.Packet, r.Fragments, drops(r.Drops))
			}
		})
	}
}

func TestPaddingIsIgnored(t *testing.T) {
	for _, f := range families() {
		t.Run(f.name, func(t *testing.T) {
			table := newTable(t, roomy())
			flow := flow{src: 1, dst: 2, id: 7, proto: udp}
			d := data(1001, 0)
			p := cut(d, 1000)
			f.feed(table, start, append(f.fragment(flow, p[1]), 0, 0, 0, 0, 0))
			r := f.feed(table, start, append(f.fragment(flow, p[0]), 0))
			if !bytes.Equal(r.Packet, f.whole(flow, d, 0)) {
				t.Errorf("whole %v, dropped %q", r.Packet != nil, drops(r.Drops))
			}
		})
	}
}

func TestECN(t *testing.T) {
	const notECT, ect1, ect0, ce = 0, 1, 2, 3
	tests := []struct {
		name  string
		marks [2]uint8
		want  uint8 // of the whole packet
		drop  bool
	}{
		{"all Not-ECT", [2]uint8{notECT, notECT}, notECT, false},
		{"all ECT(0)", [2]uint8{ect0, ect0}, ect0, false},
		{"all CE", [2]uint8{ce, ce}, ce, false},
		{"CE on the first", [2]uint8{ce, ect0}, ce, false},
		{"CE on the last", [2]uint8{ect1, ce}, ce, false},
		{"CE on the first, Not-ECT", [2]uint8{ce, notECT}, 0, true},
		{"CE on the last, Not-ECT", [2]uint8{notECT, ce}, 0, true},
		{"both ECT: the first counts", [2]uint8{ect1, ect0}, ect1, false},
		{"Not-ECT and ECT: the first counts", [2]uint8{notECT, ect0}, notECT, false},
	}
	for _, f := range families() {
		for _, test := range tests {
			t.Run(f.name+"/"+test.name, func(t *testing.T) {
				flow := flow{src: 1, dst: 2, id: 7, proto: udp}
				d := data(1000, 0)
				p := cut(d, 504)
				p[0].ecn, p[1].ecn = test.marks[0], test.marks[1]
				for _, order := range [][2]int{{0, 1}, {1, 0}} {
					table := newTable(t, roomy())
					f.feed(table, start, f.fragment(flow, p[order[0]]))
					r := f.feed(table, start, f.fragment(flow, p[order[1]]))
					if test.drop {
						if r.Packet != nil || drops(r.Drops) != "mixed-ecn:2" {
							t.Errorf("whole %v, dropped %q, want mixed-ecn:2", r.Packet != nil, drops(r.Drops))
						}
						continue
					}
					if !bytes.Equal(r.Packet, f.whole(flow, d, test.want)) {
						t.Errorf("order %v: whole packet is\n%x, dropped %q", order, r.Packet, drops(r.Drops))
					}
				}
			})
		}
	}
}

// A clock that is set back must neither end nor keep anything for ever.
func TestClockBackwards(t *testing.T) {
	table := newTable(t, roomy())
	f := flow{src: 1, dst: 2, id: 7, proto: udp}
	d := data(1000, 0)
	p := cut(d, 504)
	table.IPv6(start, f.fragment6(p[0]), arena{})
	if r := table.IPv6(start.Add(-time.Hour), f.fragment6(p[1]), arena{}); !bytes.Equal(r.Packet, f.whole6(d, 0)) {
		t.Errorf("whole %v, dropped %q", r.Packet != nil, drops(r.Drops))
	}
}
