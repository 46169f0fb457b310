package reassembly_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"testing"
	"time"

	"github.com/lwaftr/lw4o6/plugin/forwarder/reassembly"
)

// FuzzFragments reads its input as a sequence of well-formed fragments, four
// octets each, and compares every step with the reference.
func FuzzFragments(f *testing.F) {
	f.Add([]byte{0, 0, 7, 1, 0, 8, 7, 0}, byte(0))
	f.Add([]byte{0, 8, 7, 0, 0, 0, 7, 1, 0, 8, 7, 0}, byte(1))
	f.Add([]byte{0, 0, 7, 1, 0, 4, 7, 1, 0, 8, 7, 0}, byte(2))
	f.Add([]byte{0, 0, 7, 3, 1, 0, 7, 1, 0, 8, 7, 0x30, 1, 8, 7, 0}, byte(0))
	f.Fuzz(func(t *testing.T, script []byte, way byte) {
		f := families()[int(way)%3]
		table := newTable(t, smallConfig())
		ref := &reference{packets: map[string]*refPacket{}}
		for fragments := 0; len(script) >= 4 && fragments < 90; fragments++ {
			// Flow, offset, size, and flags: more, other contents, ECN.
			flow := flow{src: script[0] % 4, dst: 2, id: uint32(script[0]) % 4, proto: udp}
			p := part{at: 8 * int(script[1]), more: script[3]&1 != 0, ecn: script[3] >> 4 & 3}
			size := 1 + int(script[2])
			if p.more {
				size *= 8
			}
			p.data = data(8*255+9*255, 0)[p.at:][:size]
			if script[3]&2 != 0 {
				p.data[0]++
			}
			script = script[4:]

			o, octets, ecn, dropped := ref.feed(fmt.Sprint(flow.src), p)
			r := f.feed(table, start, f.fragment(flow, p))
			var want []byte
			if o == whole {
				want = f.whole(flow, octets, ecn)
			}
			got := 0
			for _, d := range r.Drops {
				got += d.Fragments
			}
			if got != dropped || !bytes.Equal(r.Packet, want) || table.Held() != ref.held {
				t.Fatalf("fragment %d: dropped %q, %d held, whole %x; want %d dropped, %d held, whole %x",
					fragments, drops(r.Drops), table.Held(), r.Packet, dropped, ref.held, want)
			}
			if err := table.Check(); err != nil {
				t.Fatal(err)
			}
		}
	})
}

// FuzzPackets reads its input as a sequence of anything at all, each with a
// length before it and the milliseconds that pass, into a Table where every
// limit is near. No fragment may be lost without being reported.
func FuzzPackets(f *testing.F) {
	sequence := func(packets ...[]byte) (b []byte) {
		for _, p := range packets {
			b = append(b, 10)
			b = binary.BigEndian.AppendUint16(b, uint16(len(p)))
			b = append(b, p...)
		}
		return b
	}
	flow := flow{src: 1, dst: 2, id: 7, proto: udp}
	p := cut(data(1400, 0), 8, 704)
	for _, way := range families() {
		a, b, c := way.fragment(flow, p[0]), way.fragment(flow, p[1]), way.fragment(flow, p[2])
		f.Add(sequence(c, a, b))
		f.Add(sequence(a, a, way.fragment(flow, part{at: 0, more: true, data: data(16, 0)}), b))
		f.Add(sequence(way.whole(flow, data(40, 0), 1), way.fragment(flow, part{data: data(30, 0)}), a))
	}
	flow.options, flow.outer = []byte{60, 0, 1, 4, 0, 0, 0, 0, 0, 0, 4, 1, 4, 0, 0, 0}, 60
	f.Add(sequence(flow.fragment6(p[0]), flow.fragment6(p[1]), flow.fragment6(p[2])))
	f.Fuzz(func(t *testing.T, script []byte) {
		table := newTable(t, reassembly.Config{
			MaxContexts:           6,
			MaxFragmentsPerPacket: 5,
			MaxBytes:              16 * reassembly.BlockSize,
			Timeout:               100 * time.Millisecond,
			PerSource:             4,
			PerDestination:        3,
		})
		now := start
		fed, ended := 0, 0
		for count := 0; len(script) >= 3; count++ {
			now = now.Add(time.Duration(script[0]) * time.Millisecond)
			n := min(int(binary.BigEndian.Uint16(script[1:])), len(script)-3)
			packet := script[3 : 3+n]
			script = script[3+n:]
			var r reassembly.Result
			switch {
			case n > 0 && packet[0]>>4 == 6:
				r = table.IPv6(now, packet, arena{})
			case count%2 == 0:
				r = table.IPv4(now, packet, arena{})
			default:
				r = table.SoftwireIPv4(now, b4, packet, arena{})
			}
			fed++
			ended += r.Fragments
			for _, d := range r.Drops {
				if d.Fragments <= 0 || int(d.Cause) >= reassembly.CauseCount {
					t.Fatalf("dropped %+v", d)
				}
				ended += d.Fragments
			}
			if fed != ended+table.Held() {
				t.Fatalf("%d fragments fed, %d accounted for, %d held", fed, ended, table.Held())
			}
			checkWhole(t, r.Packet)
			if err := table.Check(); err != nil {
				t.Fatal(err)
			}
		}
	})
}

// checkWhole checks what every whole packet must be, if there is one.
func checkWhole(t *testing.T, packet []byte) {
	t.Helper()
	if packet == nil {
		return
	}
	total := 40 + int(binary.BigEndian.Uint16(packet[4:]))
	if packet[0]>>4 == 4 {
		total = int(binary.BigEndian.Uint16(packet[2:]))
		if word := binary.BigEndian.Uint16(packet[6:]); word&0x3fff != 0 {
			t.Fatalf("a whole packet has flags and offset %#04x", word)
		}
	}
	if total != len(packet) {
		t.Fatalf("a whole packet of %d octets says it has %d", len(packet), total)
	}
}
