package reassembly_test

import (
	"bytes"
	"errors"
	"testing"
	"time"

	"github.com/lwaftr/lw4o6/plugin/forwarder/reassembly"
)

// halves is the two fragments of a packet.
func halves() (d []byte, p []part) {
	d = data(1000, 0)
	return d, cut(d, 504)
}

func TestTimeout(t *testing.T) {
	for _, f := range families() {
		t.Run(f.name, func(t *testing.T) {
			_, p := halves()
			flow := flow{src: 1, dst: 2, id: 7, proto: udp}
			table := newTable(t, roomy())
			late := start.Add(time.Second)
			f.feed(table, start, f.fragment(flow, p[0]))
			if ds := table.Expire(late.Add(-1)); len(ds) != 0 {
				t.Fatalf("dropped %q before the timeout", drops(ds))
			}
			ds := table.Expire(late)
			if drops(ds) != "timeout:1" {
				t.Fatalf("dropped %q, want timeout:1", drops(ds))
			}
			if !bytes.Equal(ds[0].First, f.fragment(flow, p[0])) {
				t.Errorf("the first fragment is quoted as %x", ds[0].First)
			}
			if want := f.name == "softwire IPv4"; (ds[0].B4 == b4) != want {
				t.Errorf("it came from lwB4 %x", ds[0].B4)
			}
			if table.Usage() != (reassembly.Usage{}) {
				t.Errorf("%+v is still in use", table.Usage())
			}
			// Its sender's next packet of the same key starts anew.
			f.feed(table, late, f.fragment(flow, p[1]))
			if r := f.feed(table, late, f.fragment(flow, p[0])); r.Packet == nil {
				t.Errorf("dropped %q, nothing whole", drops(r.Drops))
			}
		})
	}
}

func TestTimeoutSeenByALateFragment(t *testing.T) {
	_, p := halves()
	table := newTable(t, roomy())
	// Older packets than expire within one call come first.
	for id := range uint32(40) {
		table.IPv6(start, flow{src: 1, dst: 2, id: id, proto: udp}.fragment6(p[0]), arena{})
	}
	late := start.Add(time.Second)
	r := table.IPv6(late, flow{src: 1, dst: 2, id: 39, proto: udp}.fragment6(p[1]), arena{})
	if r.Packet != nil {
		t.Error("a fragment that came too late made a packet whole")
	}
	if len(r.Drops) != 17 || r.Drops[0].First == nil || r.Drops[16].First == nil {
		t.Fatalf("dropped %q, want 17 timeouts with their first fragments", drops(r.Drops))
	}
	for i, d := range r.Drops {
		id := byte(i - 1)
		if i == 0 {
			id = 39
		}
		if d.First[47] != id {
			t.Errorf("drop %d quotes the packet %d, want %d", i, d.First[47], id)
		}
	}
	// The rest goes 16 at a time, and the late fragment is held alone.
	if ds := table.Expire(late); len(ds) != 16 {
		t.Errorf("dropped %q, want 16 timeouts", drops(ds))
	}
	if ds := table.Expire(late); len(ds) != 7 {
		t.Errorf("dropped %q, want 7 timeouts", drops(ds))
	}
	if table.Held() != 1 {
		t.Errorf("%d fragments held, want the late one", table.Held())
	}
	if err := table.Check(); err != nil {
		t.Error(err)
	}
}

func TestTimeoutQuote(t *testing.T) {
	table := newTable(t, roomy())
	f := flow{src: 1, dst: 2, id: 7, proto: udp}
	long := f.fragment6(part{more: true, data: data(4000, 0)})
	table.IPv6(start, long, arena{})
	ds := table.Expire(start.Add(time.Hour))
	if len(ds) != 1 || !bytes.Equal(ds[0].First, long[:1232]) {
		t.Errorf("dropped %q, %d octets quoted", drops(ds), len(ds[0].First))
	}
	f.id++
	table.IPv6(start, f.fragment6(part{at: 4000, data: data(100, 0)}), arena{})
	if ds := table.Expire(start.Add(2 * time.Hour)); len(ds) != 1 || ds[0].First != nil {
		t.Errorf("dropped %q; without the first fragment nothing can be quoted", drops(ds))
	}
}

// A packet that was given up for an overlap keeps its place, without memory,
// until its time is over, and that is not reported again.
func TestSpoiledEndsSilently(t *testing.T) {
	_, p := halves()
	table := newTable(t, roomy())
	f := flow{src: 1, dst: 2, id: 7, proto: udp}
	table.IPv6(start, f.fragment6(p[0]), arena{})
	table.IPv6(start, f.fragment6(part{at: 8, data: data(10, 0)}), arena{})
	if want := (reassembly.Usage{Contexts: 1}); table.Usage() != want {
		t.Errorf("in use is %+v, want %+v", table.Usage(), want)
	}
	if ds := table.Expire(start.Add(time.Second)); len(ds) != 0 || table.Usage() != (reassembly.Usage{}) {
		t.Errorf("dropped %q, in use %+v", drops(ds), table.Usage())
	}
}

func TestMaxFragments(t *testing.T) {
	d := data(400, 0)
	for _, f := range families() {
		t.Run(f.name, func(t *testing.T) {
			flow := flow{src: 1, dst: 2, id: 7, proto: udp}
			config := roomy()
			config.MaxFragmentsPerPacket = 3
			table := newTable(t, config)
			p := cut(d, 80, 160)
			f.feed(table, start, f.fragment(flow, p[0]))
			f.feed(table, start, f.fragment(flow, p[1]))
			if r := f.feed(table, start, f.fragment(flow, p[2])); r.Packet == nil {
				t.Errorf("dropped %q, three fragments are allowed", drops(r.Drops))
			}
			p = cut(d, 80, 160, 240)
			for _, q := range p[:3] {
				f.feed(table, start, f.fragment(flow, q))
			}
			if r := f.feed(table, start, f.fragment(flow, p[3])); drops(r.Drops) != "too-many-fragments:4" {
				t.Errorf("dropped %q, want too-many-fragments:4", drops(r.Drops))
			}
		})
	}
	t.Run("one", func(t *testing.T) {
		config := roomy()
		config.MaxFragmentsPerPacket = 1
		table := newTable(t, config)
		f := flow{src: 1, dst: 2, id: 7, proto: udp}
		p := cut(d, 80)
		table.IPv6(start, f.fragment6(p[0]), arena{})
		if r := table.IPv6(start, f.fragment6(p[1]), arena{}); drops(r.Drops) != "too-many-fragments:2" {
			t.Errorf("dropped %q, want too-many-fragments:2", drops(r.Drops))
		}
	})
}

// fill gives table first fragments with n identifications and returns what was
// dropped for them.
func fill(table *reassembly.Table, f family, flow flow, n int) string {
	_, p := halves()
	var all []reassembly.Drop
	for range n {
		flow.id++
		all = append(all, f.feed(table, start, f.fragment(flow, p[0])).Drops...)
	}
	return drops(all)
}

func TestPerSource(t *testing.T) {
	_, p := halves()
	for _, f := range families() {
		t.Run(f.name, func(t *testing.T) {
			config := roomy()
			config.PerSource = 4
			table := newTable(t, config)
			if got := fill(table, f, flow{src: 9, dst: 2, proto: udp}, 6); got != "source-limit:1 source-limit:1" {
				t.Errorf("dropped %q, want two of the source", got)
			}
			other := flow{src: 1, dst: 2, id: 7, proto: udp}
			r := f.feed(table, start, f.fragment(other, p[0]))
			if f.name == "softwire IPv4" {
				// One lwB4 is one source, whatever is inside.
				if drops(r.Drops) != "source-limit:1" {
					t.Errorf("another inner source: dropped %q, want source-limit:1", drops(r.Drops))
				}
				neighbour := [16]byte{0x20, 15: 9}
				r = table.SoftwireIPv4(start, neighbour, f.fragment(other, p[0]), arena{})
			}
			if len(r.Drops) != 0 {
				t.Errorf("another source: dropped %q", drops(r.Drops))
			}
			// Of the crowded source the newest are left.
			oldest := uint32(3)
			if f.name == "softwire IPv4" {
				oldest = 4
			}
			for id := uint32(6); id > 0; id-- {
				r := f.feed(table, start, f.fragment(flow{src: 9, dst: 2, id: id, proto: udp}, p[1]))
				if (r.Packet != nil) != (id >= oldest) {
					t.Errorf("packet %d: whole %v", id, r.Packet != nil)
				}
				if err := table.Check(); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
}

func TestPerDestination(t *testing.T) {
	_, p := halves()
	for _, f := range families() {
		t.Run(f.name, func(t *testing.T) {
			config := roomy()
			config.PerDestination = 4
			table := newTable(t, config)
			got := ""
			for src := range byte(6) {
				got += fill(table, f, flow{src: src, dst: 9, proto: udp}, 1)
			}
			want := "destination-limit:1destination-limit:1"
			if f.name != "IPv4" {
				want = "" // a BR address is everybody's destination
			}
			if got != want {
				t.Errorf("dropped %q, want %q", got, want)
			}
			if r := f.feed(table, start, f.fragment(flow{src: 1, dst: 2, id: 7, proto: udp}, p[0])); len(r.Drops) != 0 {
				t.Errorf("another destination: dropped %q", drops(r.Drops))
			}
			if err := table.Check(); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestTableFull(t *testing.T) {
	d, p := halves()
	config := roomy()
	config.MaxContexts = 3
	for _, f := range families() {
		t.Run(f.name, func(t *testing.T) {
			table := newTable(t, config)
			if got := fill(table, f, flow{src: 1, dst: 2, proto: udp}, 5); got != "table-full:1 table-full:1" {
				t.Errorf("dropped %q, want the two oldest", got)
			}
			r := f.feed(table, start, f.fragment(flow{src: 1, dst: 2, id: 3, proto: udp}, p[1]))
			if !bytes.Equal(r.Packet, f.whole(flow{src: 1, dst: 2, id: 3, proto: udp}, d, 0)) {
				t.Error("the third packet is not there any more")
			}
			if err := table.Check(); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestMemory(t *testing.T) {
	config := roomy()
	config.MaxBytes = 8 * reassembly.BlockSize
	f := flow{src: 1, dst: 2, id: 1, proto: udp}
	octets := func(blocks int) []byte { return data(blocks*reassembly.BlockSize-48, 0) }
	later := func(at, blocks int) part {
		return part{at: at, more: true, data: data(blocks*reassembly.BlockSize, 0)}
	}
	table := newTable(t, config)
	table.IPv6(start, f.fragment6(part{more: true, data: octets(3)}), arena{})
	f.id = 2
	table.IPv6(start, f.fragment6(part{more: true, data: octets(4)}), arena{})
	if want := (reassembly.Usage{Contexts: 2, Bytes: 7 * reassembly.BlockSize}); table.Usage() != want {
		t.Fatalf("in use is %+v, want %+v", table.Usage(), want)
	}
	// The oldest packet goes, though the newer one asks.
	if r := table.IPv6(start, f.fragment6(later(8000, 2)), arena{}); drops(r.Drops) != "no-memory:1" || !r.Held {
		t.Errorf("dropped %q, want no-memory:1", drops(r.Drops))
	}
	f.id = 3
	table.IPv6(start, f.fragment6(later(8000, 1)), arena{})
	// Packet 2 is the oldest now, and asks: packet 3 makes room, not itself.
	f.id = 2
	if r := table.IPv6(start, f.fragment6(later(16000, 2)), arena{}); drops(r.Drops) != "no-memory:1" {
		t.Errorf("dropped %q, want no-memory:1", drops(r.Drops))
	}
	if want := (reassembly.Usage{Contexts: 1, Bytes: 8 * reassembly.BlockSize}); table.Usage() != want {
		t.Errorf("in use is %+v, want %+v", table.Usage(), want)
	}
	// Alone, it gets no more than there is, and keeps what it has.
	if r := table.IPv6(start, f.fragment6(later(24000, 1)), arena{}); drops(r.Drops) != "no-memory:1" || r.Held || table.Held() != 3 {
		t.Errorf("dropped %q, %d held; want no-memory:1, 3", drops(r.Drops), table.Held())
	}
	f.id = 4
	if r := table.IPv6(start, f.fragment6(later(8000, 9)), arena{}); drops(r.Drops) != "no-memory:1" || table.Held() != 3 {
		t.Errorf("a fragment larger than the memory: dropped %q, %d held", drops(r.Drops), table.Held())
	}
	if err := table.Check(); err != nil {
		t.Error(err)
	}
}

// Without room for anything every fragment is dropped; atomic ones need none.
func TestNothingAllowed(t *testing.T) {
	config := roomy()
	config.MaxContexts = 0
	_, p := halves()
	f := flow{src: 1, dst: 2, id: 7, proto: udp}
	table := newTable(t, config)
	for range 2 {
		if r := table.IPv6(start, f.fragment6(p[0]), arena{}); drops(r.Drops) != "table-full:1" {
			t.Errorf("dropped %q, want table-full:1", drops(r.Drops))
		}
	}
	if r := table.IPv6(start, f.fragment6(part{data: data(100, 0)}), arena{}); r.Packet == nil {
		t.Errorf("an atomic fragment: dropped %q", drops(r.Drops))
	}
	config = roomy()
	config.MaxBytes = 0
	table = newTable(t, config)
	if r := table.IPv4(start, f.fragment4(p[0]), arena{}); drops(r.Drops) != "no-memory:1" {
		t.Errorf("dropped %q, want no-memory:1", drops(r.Drops))
	}
}

// dry is an Arena without memory.
type dry struct{}

func (dry) Alloc(int) []byte { return nil }

func TestArenaIsDry(t *testing.T) {
	_, p := halves()
	f := flow{src: 1, dst: 2, id: 7, proto: udp}
	table := newTable(t, roomy())
	table.IPv6(start, f.fragment6(p[0]), dry{})
	if r := table.IPv6(start, f.fragment6(p[1]), dry{}); drops(r.Drops) != "no-memory:2" || r.Packet != nil || table.Held() != 0 {
		t.Errorf("dropped %q, whole %v, %d held", drops(r.Drops), r.Packet != nil, table.Held())
	}
	if r := table.IPv6(start, f.fragment6(part{data: data(9, 0)}), dry{}); drops(r.Drops) != "no-memory:1" {
		t.Errorf("atomic: dropped %q", drops(r.Drops))
	}
	if r := table.IPv4(start, f.whole4(data(9, 0), 0), dry{}); drops(r.Drops) != "no-memory:1" {
		t.Errorf("no fragment: dropped %q", drops(r.Drops))
	}
}

func TestConfig(t *testing.T) {
	if err := reassembly.DefaultConfig().Validate(); err != nil {
		t.Error(err)
	}
	tests := []struct {
		name string
		edit func(*reassembly.Config)
	}{
		{"negative contexts", func(c *reassembly.Config) { c.MaxContexts = -1 }},
		{"absurd contexts", func(c *reassembly.Config) { c.MaxContexts = 1 << 40 }},
		{"no fragments", func(c *reassembly.Config) { c.MaxFragmentsPerPacket = 0 }},
		{"negative memory", func(c *reassembly.Config) { c.MaxBytes = -1 }},
		{"absurd memory", func(c *reassembly.Config) { c.MaxBytes = 1 << 60 }},
		{"no time", func(c *reassembly.Config) { c.Timeout = 0 }},
		{"negative source limit", func(c *reassembly.Config) { c.PerSource = -1 }},
		{"negative destination limit", func(c *reassembly.Config) { c.PerDestination = -1 }},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			config := reassembly.DefaultConfig()
			test.edit(&config)
			if _, err := reassembly.New(config); !errors.Is(err, reassembly.ErrConfig) {
				t.Errorf("New = %v, want %v", err, reassembly.ErrConfig)
			}
		})
	}
}
