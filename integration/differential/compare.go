package differential

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"maps"
	"slices"

	"github.com/gopacket/gopacket"

	"github.com/lwaftr/lw4o6/integration/differential/reference"
	"github.com/lwaftr/lw4o6/plugin/dataplane"
	"github.com/lwaftr/lw4o6/plugin/softwire"
)

// comparison compares one scenario, batch by batch.
type comparison struct {
	labels     map[string]uint32 // flow to flow label
	used       map[string]bool   // fragment identifications and who used them
	complaints []string
}

// flows returns how many flows there were, and flow labels.
func (c *comparison) flows() (flows, labels int) {
	distinct := make(map[uint32]bool)
	for _, label := range c.labels {
		distinct[label] = true
	}
	return len(c.labels), len(distinct)
}

func (c *comparison) complain(format string, args ...any) {
	c.complaints = append(c.complaints, fmt.Sprintf(format, args...))
}

// sent compares the packets that came out.
func (c *comparison) sent(got []sent, verdicts []*reference.Verdict) {
	var want []reference.Packet
	for _, v := range verdicts {
		want = append(want, v.Sent...)
	}
	if len(got) != len(want) {
		c.complain("%d packets are sent, want %d", len(got), len(want))
	}
	ids := make(map[int]uint32) // cut to fragment identification
	for i := range min(len(got), len(want)) {
		g, w := got[i], want[i]
		if g.side != w.Side {
			c.complain("packet %d leaves to the %s side, want %s", i, g.side, w.Side)
			continue
		}
		data := bytes.Clone(g.data)
		if w.Side == dataplane.SideIPv6 {
			c.flowLabel(i, data, w)
		}
		c.identification(i, data, w, ids)
		if at := firstDifference(data, w.Bytes); at >= 0 {
			c.complain("packet %d differs from octet %d on", i, at)
		}
	}
}

// flowLabel compares and then sets aside a flow label: the RFCs leave it open,
// but RFC 6438 section 3 wants that of a flow constant, and not zero.
func (c *comparison) flowLabel(i int, data []byte, w reference.Packet) {
	if len(data) < 40 {
		return
	}
	first := binary.BigEndian.Uint32(data)
	label := first & 0xfffff
	binary.BigEndian.PutUint32(data, first&^0xfffff)
	if w.Flow == "" {
		return
	}
	if label == 0 {
		c.complain("packet %d has no flow label", i)
	}
	if known, ok := c.labels[w.Flow]; ok && known != label {
		c.complain("packet %d of the flow %s has the label %#05x, earlier ones %#05x", i, w.Flow, label, known)
	}
	c.labels[w.Flow] = label
}

// identification compares and then sets aside identifications that the lwAFTR
// chooses itself.
func (c *comparison) identification(i int, data []byte, w reference.Packet, ids map[int]uint32) {
	chosen, free := uint32(0), false
	const fragmentID = 40 + 4
	if at := w.Origin; at >= 0 && len(data) >= at+20 {
		chosen, free = uint32(binary.BigEndian.Uint16(data[at+4:])), true
		replaceID(data[at:at+20], binary.BigEndian.Uint16(w.Bytes[at+4:]))
	}
	if w.Cut > 0 && w.Side == dataplane.SideIPv6 && len(data) >= fragmentID+4 {
		chosen, free = binary.BigEndian.Uint32(data[fragmentID:]), true
		copy(data[fragmentID:], w.Bytes[fragmentID:fragmentID+4])
	}
	if w.Cut == 0 || !free {
		return
	}
	known, cut := ids[w.Cut]
	if cut && known != chosen {
		c.complain("packet %d has the identification %#x, other fragments of its packet %#x", i, chosen, known)
	}
	ids[w.Cut] = chosen
	if w.Side == dataplane.SideIPv6 && !cut {
		// RFC 8200 section 4.5: not used before between these two.
		use := fmt.Sprintf("%x %x", w.Bytes[8:40], chosen)
		if c.used[use] {
			c.complain("packet %d has the identification %#x of an earlier one", i, chosen)
		}
		c.used[use] = true
	}
}

// replaceID changes the identification in an IPv4 header, and the checksum such
// that it is as right or as wrong as it was.
func replaceID(header []byte, id uint16) {
	sum := uint32(binary.BigEndian.Uint16(header[10:])) + uint32(binary.BigEndian.Uint16(header[4:])) + 0xffff - uint32(id)
	binary.BigEndian.PutUint16(header[4:], id)
	// Of the two zeros of one's complement a checksum is never 0xffff, since no
	// header is all zeros.
	checksum := ^gopacket.FoldChecksum(sum)
	if checksum == 0xffff {
		checksum = 0
	}
	binary.BigEndian.PutUint16(header[10:], checksum)
}

// firstDifference returns where a and b first differ, or -1.
func firstDifference(a, b []byte) int {
	for i := range min(len(a), len(b)) {
		if a[i] != b[i] {
			return i
		}
	}
	if len(a) != len(b) {
		return min(len(a), len(b))
	}
	return -1
}

func (c *comparison) exceptions(got []dataplane.Exception, verdicts []*reference.Verdict) {
	var want []dataplane.Exception
	for _, v := range verdicts {
		want = append(want, v.Exceptions...)
	}
	if len(got) != len(want) {
		c.complain("%d exceptions, want %d", len(got), len(want))
		return
	}
	for i, g := range got {
		if w := want[i]; g.Side != w.Side || g.Reason != w.Reason || !bytes.Equal(g.Packet, w.Packet) {
			c.complain("exception %d: %s, %s side: %x\nwant %s, %s side: %x",
				i, g.Reason, g.Side, g.Packet, w.Reason, w.Side, w.Packet)
		}
	}
}

func (c *comparison) counts(got counts, verdicts []*reference.Verdict) {
	want := counts{
		events: make(map[string]uint64),
		toB4:   make(map[softwire.Key]dataplane.Traffic),
		fromB4: make(map[softwire.Key]dataplane.Traffic),
	}
	plus := func(a *dataplane.Traffic, b dataplane.Traffic) { a.Packets += b.Packets; a.Bytes += b.Bytes }
	for _, v := range verdicts {
		for _, e := range v.Events {
			want.events[e.String()]++
		}
		plus(&want.encapsulated, v.Encapsulated)
		plus(&want.decapsulated, v.Decapsulated)
		plus(&want.hairpinned, v.Hairpinned)
		for into, from := range map[*map[softwire.Key]dataplane.Traffic]map[softwire.Key]dataplane.Traffic{
			&want.toB4: v.ToB4, &want.fromB4: v.FromB4,
		} {
			for k, t := range from {
				sum := (*into)[k]
				plus(&sum, t)
				(*into)[k] = sum
			}
		}
	}
	for _, e := range slices.Sorted(maps.Keys(union(got.events, want.events))) {
		if got.events[e] != want.events[e] {
			c.complain("%s is counted %d times, want %d", e, got.events[e], want.events[e])
		}
	}
	traffic := func(what string, got, want dataplane.Traffic) {
		if got != want {
			c.complain("%s: %d packets of %d octets, want %d of %d", what, got.Packets, got.Bytes, want.Packets, want.Bytes)
		}
	}
	traffic("encapsulated", got.encapsulated, want.encapsulated)
	traffic("decapsulated", got.decapsulated, want.decapsulated)
	traffic("hairpinned", got.hairpinned, want.hairpinned)
	for k := range union(got.toB4, want.toB4) {
		traffic(fmt.Sprintf("softwire %s to its lwB4", k), got.toB4[k], want.toB4[k])
	}
	for k := range union(got.fromB4, want.fromB4) {
		traffic(fmt.Sprintf("softwire %s from its lwB4", k), got.fromB4[k], want.fromB4[k])
	}
}

// union is a map with the keys of both.
func union[K comparable, V any](a, b map[K]V) map[K]V {
	u := maps.Clone(a)
	maps.Copy(u, b)
	return u
}
