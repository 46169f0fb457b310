package reassembly_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/lwaftr/lw4o6/plugin/forwarder/reassembly"
)

// reference reassembles in the most obvious way: octet by octet, without any
// limit. It is written from RFC 8200 section 4.5 and RFC 5722.
type reference struct {
	packets map[string]*refPacket
	held    int
}

type refPacket struct {
	fragments []part
	spoiled   bool
}

type outcome uint8

const (
	held outcome = iota
	whole
	refused
)

// feed returns what becomes of p, the data if the packet is whole, and how many
// fragments were dropped.
func (r *reference) feed(key string, p part) (o outcome, octets []byte, ecn uint8, dropped int) {
	if p.at == 0 && !p.more {
		return whole, p.data, p.ecn, 0
	}
	packet := r.packets[key]
	if packet == nil {
		packet = &refPacket{}
		r.packets[key] = packet
	}
	if packet.spoiled {
		return refused, nil, 0, 1
	}
	covered := map[int]byte{}
	end := -1
	note := func(q part) bool {
		for i, b := range q.data {
			if _, twice := covered[q.at+i]; twice {
				return false
			}
			covered[q.at+i] = b
		}
		if !q.more {
			if last := q.at + len(q.data); end == -1 || end == last {
				end = last
			} else {
				return false
			}
		}
		return true
	}
	for _, q := range packet.fragments {
		if q.at == p.at && q.more == p.more && bytes.Equal(q.data, p.data) {
			return refused, nil, 0, 1
		}
		note(q)
	}
	consistent := note(p)
	for i := range covered {
		consistent = consistent && (end == -1 || i < end)
	}
	if !consistent {
		packet.spoiled = true
		r.held -= len(packet.fragments)
		return refused, nil, 0, len(packet.fragments) + 1
	}
	packet.fragments = append(packet.fragments, p)
	r.held++
	if len(covered) != end {
		return held, nil, 0, 0
	}
	delete(r.packets, key)
	r.held -= len(packet.fragments)
	seen := map[uint8]bool{}
	for _, q := range packet.fragments {
		seen[q.ecn] = true
		if q.at == 0 {
			ecn = q.ecn
		}
	}
	if seen[3] {
		ecn = 3
		if seen[0] {
			return refused, nil, 0, len(packet.fragments)
		}
	}
	for i := range end {
		octets = append(octets, covered[i])
	}
	return whole, octets, ecn, 0
}

// hostile is a random fragment: of a packet of at most 24 units, mostly with
// that packet's contents, at random places.
func hostile(rng *rand.Rand, contents []byte) part {
	units := len(contents) / 8
	from := rng.IntN(units)
	to := from + 1 + rng.IntN(min(units-from, 6))
	p := part{at: from * 8, more: true, data: bytes.Clone(contents[from*8 : to*8])}
	if to == units && rng.IntN(8) > 0 {
		p.more = false
	}
	switch rng.IntN(60) {
	case 0:
		p.data[rng.IntN(len(p.data))]++
	case 1:
		p.more = !p.more
	case 2:
		p.ecn = uint8(rng.IntN(4))
	case 3:
		p.more = false
		p.data = p.data[:1+rng.IntN(len(p.data))]
	}
	return p
}

func TestAgainstReference(t *testing.T) {
	rng := newRand(t)
	for _, f := range families() {
		t.Run(f.name, func(t *testing.T) {
			counts := map[outcome]int{}
			for range 500 {
				runAgainstReference(t, rng, f, counts)
			}
			for o := held; o <= refused; o++ {
				if counts[o] < 100 {
					t.Errorf("outcome %d was seen only %d times", o, counts[o])
				}
			}
		})
	}
}

// runAgainstReference feeds a few hostile packets to a Table and the reference.
func runAgainstReference(t *testing.T, rng *rand.Rand, f family, counts map[outcome]int) {
	t.Helper()
	table := newTable(t, smallConfig())
	ref := &reference{packets: map[string]*refPacket{}}
	flows := make([]flow, 1+rng.IntN(3))
	contents := make([][]byte, len(flows))
	for i := range flows {
		flows[i] = flow{src: byte(i), dst: 2, id: rng.Uint32(), proto: udp}
		contents[i] = randomBytes(rng, 8*(1+rng.IntN(24)))
	}
	var history []string
	for range 60 {
		i := rng.IntN(len(flows))
		p := hostile(rng, contents[i])
		history = append(history, fmt.Sprintf("flow %d: %d+%d more %v ecn %d", i, p.at, len(p.data), p.more, p.ecn))
		o, octets, ecn, dropped := ref.feed(fmt.Sprint(i), p)
		counts[o]++
		r := f.feed(table, start, f.fragment(flows[i], p))
		got := 0
		for _, d := range r.Drops {
			got += d.Fragments
		}
		var want []byte
		if o == whole {
			want = f.whole(flows[i], octets, ecn)
		}
		if got != dropped || !bytes.Equal(r.Packet, want) || table.Held() != ref.held {
			t.Fatalf("dropped %q, %d held, whole %x\nwant %d dropped, %d held, whole %x\n%q",
				drops(r.Drops), table.Held(), r.Packet, dropped, ref.held, want, history)
		}
		if err := table.Check(); err != nil {
			t.Fatalf("%v\n%q", err, history)
		}
	}
}

func smallConfig() reassembly.Config {
	return reassembly.Config{
		MaxContexts:           8,
		MaxFragmentsPerPacket: 100,
		MaxBytes:              8 * 30 * 1024,
		Timeout:               time.Second,
	}
}

// Honest packets, cut at random, their fragments shuffled, doubled and mixed
// with those of others, all become whole exactly as they were.
func TestHonestPackets(t *testing.T) {
	rng := newRand(t)
	for _, f := range families() {
		t.Run(f.name, func(t *testing.T) {
			for range 150 {
				runHonest(t, rng, f)
			}
		})
	}
}

func runHonest(t *testing.T, rng *rand.Rand, f family) {
	t.Helper()
	type fragment struct {
		flow   int
		packet []byte
	}
	table := newTable(t, roomy())
	var fragments []fragment
	want := make([][]byte, 1+rng.IntN(8))
	pieces := make([]int, len(want))
	for i := range want {
		flow := flow{src: byte(rng.IntN(3)), dst: byte(rng.IntN(2)), id: uint32(i), proto: udp}
		if rng.IntN(2) == 0 {
			flow.options, flow.outer = []byte{0, 0, 1, 4, 0, 0, 0, 0}, 60
			if f.name != "IPv6" {
				flow.options = []byte{0x94, 4, 0, 0}
			}
		}
		// A few are long.
		length := 16 + rng.IntN(4000)
		if rng.IntN(10) == 0 {
			length = 16 + rng.IntN(65000)
		}
		d := randomBytes(rng, length)
		want[i] = f.whole(flow, d, 0)
		for at := 0; at < len(d); pieces[i]++ {
			end := min(len(d), at+8*(1+rng.IntN(250)))
			if at == 0 && end == len(d) {
				end = 8
			}
			fragments = append(fragments, fragment{i, f.fragment(flow, part{at: at, more: end < len(d), data: d[at:end]})})
			at = end
		}
	}
	rng.Shuffle(len(fragments), func(i, j int) { fragments[i], fragments[j] = fragments[j], fragments[i] })
	doubled := 0
	for _, g := range fragments {
		r := f.feed(table, start, g.packet)
		if pieces[g.flow]--; pieces[g.flow] > 0 {
			if r.Packet != nil || len(r.Drops) != 0 {
				t.Fatalf("too early: dropped %q", drops(r.Drops))
			}
			if rng.IntN(4) == 0 {
				doubled++
				if r := f.feed(table, start, g.packet); drops(r.Drops) != "duplicate:1" {
					t.Fatalf("a duplicate: dropped %q", drops(r.Drops))
				}
			}
			continue
		}
		if !bytes.Equal(r.Packet, want[g.flow]) {
			t.Fatalf("packet %d of %d octets: whole %d octets, dropped %q", g.flow, len(want[g.flow]), len(r.Packet), drops(r.Drops))
		}
	}
	if table.Usage() != (reassembly.Usage{}) {
		t.Fatalf("%+v is still in use", table.Usage())
	}
	if err := table.Check(); err != nil {
		t.Fatal(err)
	}
}
