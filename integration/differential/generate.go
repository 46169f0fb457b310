package differential

import (
	"bytes"
	"math/rand/v2"
	"time"

	"github.com/lwaftr/lw4o6/integration/differential/reference"
	"github.com/lwaftr/lw4o6/plugin/dataplane"
	"github.com/lwaftr/lw4o6/plugin/forwarder"
	"github.com/lwaftr/lw4o6/plugin/softwire"
)

// generator makes a Scenario. Packets that answer others are made from what the
// reference sends, so that a Scenario is the same whatever the forwarder does.
type generator struct {
	*rand.Rand
	*Scenario
	// What holds now, after the changes so far.
	config    forwarder.Config
	softwires []softwire.Softwire

	aftr *reference.AFTR
	now  time.Time
	// sent is what the reference sent of late; waiting is fragments whose turn
	// has not come.
	sent    []reference.Packet
	waiting []Packet
}

// Generate makes the Scenario of a seed.
func Generate(seed uint64) *Scenario {
	g := &generator{
		Rand:     rand.New(rand.NewPCG(seed, 0x6c77346f36)),
		Scenario: &Scenario{Seed: seed},
		now:      epoch,
	}
	g.network()
	g.bind()
	g.configure()
	g.Config, g.Softwires = g.config, g.softwires
	g.aftr = newReference(g.Scenario)
	for packets := 50 + g.IntN(100); g.Size() < packets; {
		g.batch()
	}
	return g.Scenario
}

// batch adds a batch: mostly of one packet, so that a difference is easily
// understood.
func (g *generator) batch() {
	b := Batch{After: time.Duration(g.IntN(50_000_000))}
	if g.chance(40) {
		b.After += time.Duration(g.IntN(3_000_000_000))
	}
	if g.chance(60) {
		b.Change = g.change()
		apply(g.aftr, b.Change)
	}
	n := 1
	if g.chance(4) {
		n += g.IntN(8)
	}
	for range n {
		b.Packets = append(b.Packets, g.next())
	}
	g.Batches = append(g.Batches, b)

	g.now = g.now.Add(b.After)
	for _, v := range expected(g.aftr, g.now, b) {
		g.sent = append(g.sent, v.Sent...)
	}
	const remembered = 24
	if n := len(g.sent); n > remembered {
		g.sent = g.sent[n-remembered:]
	}
}

// next is the next packet: a fragment that waits for its turn, or a new packet.
func (g *generator) next() Packet {
	var p Packet
	if len(g.waiting) > 0 && (len(g.waiting) > 12 || !g.chance(3)) {
		p, g.waiting = g.waiting[0], g.waiting[1:]
	} else {
		p = g.packet()
	}
	if g.chance(16) {
		p = g.corrupted(p)
	}
	return p
}

// packet is a new packet from either side.
func (g *generator) packet() Packet {
	kinds := []struct {
		weight int
		make   func() Packet
	}{
		{24, g.fromInternet},
		{30, g.fromB4},
		{8, g.hairpin},
		{8, g.error4},
		{8, g.errorFromB4},
		{10, g.error6},
		{3, g.echo6},
		{3, g.echo4},
		{4, g.pcp},
		{4, g.other6},
		{6, g.odd},
		{1, g.noise},
	}
	total := 0
	for _, k := range kinds {
		total += k.weight
	}
	n := g.IntN(total)
	for _, k := range kinds {
		if n -= k.weight; n < 0 {
			return k.make()
		}
	}
	panic("weights do not add up")
}

// noise is no packet at all.
func (g *generator) noise() Packet {
	b := g.octets(g.IntN(120))
	if len(b) > 0 {
		b[0] = pick[byte](g, 0x45, 0x60, b[0])
	}
	return Packet{pick(g, dataplane.SideIPv4, dataplane.SideIPv6), "noise", b}
}

// chance is true once in n times.
func (g *generator) chance(n int) bool { return g.IntN(n) == 0 }

// pick returns one of all.
func pick[T any](g *generator, all ...T) T { return all[g.IntN(len(all))] }

// octets is n octets of no meaning.
func (g *generator) octets(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(g.Uint32())
	}
	return b
}

// shuffled interleaves fragments with what else comes: the first of them is
// returned, the others wait. Some are lost, doubled or out of order.
func (g *generator) shuffled(fragments []Packet) Packet {
	if g.chance(2) {
		g.Shuffle(len(fragments), func(i, j int) { fragments[i], fragments[j] = fragments[j], fragments[i] })
	}
	if len(fragments) > 1 && g.chance(6) {
		fragments = fragments[:len(fragments)-1]
	}
	if g.chance(6) {
		p := pick(g, fragments...)
		p.Note += ", again"
		fragments = append(fragments, p)
	}
	g.waiting = append(g.waiting, fragments[1:]...)
	return fragments[0]
}

// corrupted spoils a packet somewhere.
func (g *generator) corrupted(p Packet) Packet {
	b := bytes.Clone(p.Data)
	if len(b) == 0 {
		return p
	}
	switch g.IntN(5) {
	case 0:
		p.Note += ", cut short"
		b = b[:g.IntN(len(b))]
	case 1:
		p.Note += ", padded"
		b = append(b, g.octets(1+g.IntN(40))...)
	case 2:
		p.Note += ", bit flipped near the start"
		b[g.IntN(min(len(b), 80))] ^= 1 << g.IntN(8)
	case 3:
		p.Note += ", octet changed near the start, IPv4 header checksum mended"
		b[g.IntN(min(len(b), 80))] = byte(g.Uint32())
		if p.Side == dataplane.SideIPv4 {
			mend(b)
		} else if len(b) > 40 && b[6] == protocolIPv4 {
			mend(b[40:])
		}
	default:
		p.Note += ", bit flipped"
		b[g.IntN(len(b))] ^= 1 << g.IntN(8)
	}
	p.Data = b
	return p
}
