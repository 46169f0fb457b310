package compare

import (
	"bytes"
	"fmt"
	"net/netip"
	"slices"
)

// Rule says what is set aside besides what every comparison sets aside: TTL and
// hop limit (an implementation may decrement them or not) and the flow label
// that the lwAFTR chooses.
type Rule uint8

// The rules of a comparison.
const (
	// Exact: every other byte counts.
	Exact Rule = iota
	// Normalised: fragment identifications, the identification and DF bit of
	// IPv4 packets that the lwAFTR itself originates, and how much an ICMP
	// error quotes beyond the inner headers are set aside too.
	Normalised
)

// Options of a comparison.
type Options struct {
	Rule Rule
	// Own is the lwAFTR's IPv4 address: ICMPv4 from it is what the lwAFTR
	// itself originates.
	Own netip.Addr
}

// Packets returns one line per difference between the IP packets that were
// wanted and those that came, and nothing when they agree. Neighbour discovery
// and multicast listener packets are ignored. The order counts among packets of
// the same source and destination only: between others a network may change it.
func Packets(want, got [][]byte, o Options) []string {
	var found []string
	wantBy, gotBy := byFlow(want), byFlow(got)
	for _, flow := range flows(want, got) {
		w, g := wantBy[flow], gotBy[flow]
		for i := range max(len(w), len(g)) {
			switch {
			case i >= len(g):
				found = append(found, "missing: "+Describe(w[i]))
			case i >= len(w):
				found = append(found, "unexpected: "+Describe(g[i]))
			default:
				for _, d := range one(w[i], g[i], o) {
					found = append(found, fmt.Sprintf("%s: %s", Describe(g[i]), d))
				}
			}
		}
	}
	return found
}

// one returns the differences between two packets.
func one(want, got []byte, o Options) []string {
	w, err := dissect(want, o)
	if err != nil {
		return []string{fmt.Sprintf("the vector's own packet is broken: %v", err)}
	}
	g, err := dissect(got, o)
	if err != nil {
		return []string{err.Error()}
	}
	var found []string
	for _, sum := range g.wrongSums {
		// A wrong checksum of somebody else's is carried as it is.
		if !slices.Contains(w.wrongSums, sum) {
			found = append(found, "wrong "+sum+" checksum")
		}
	}
	return append(found, fields(w.fields, g.fields)...)
}

// fields compares field by field up to the first that the packets do not have
// in common, after which nothing can be told.
func fields(want, got []field) []string {
	var found []string
	for i := range max(len(want), len(got)) {
		switch {
		case i >= len(got):
			return append(found, fmt.Sprintf("%s is missing", want[i].name))
		case i >= len(want):
			return append(found, fmt.Sprintf("unexpected %s %x", got[i].name, clip(got[i].value)))
		case want[i].name != got[i].name:
			return append(found, fmt.Sprintf("has %s where %s is wanted", got[i].name, want[i].name))
		}
		w, g := want[i].value, got[i].value
		if want[i].open {
			n := min(len(w), len(g))
			w, g = w[:n], g[:n]
		}
		if !bytes.Equal(w, g) {
			found = append(found, difference(want[i].name, w, g))
		}
	}
	return found
}

// difference names the first differing byte of long values.
func difference(name string, want, got []byte) string {
	if len(want) <= 16 && len(got) <= 16 {
		return fmt.Sprintf("%s is %x, want %x", name, got, want)
	}
	if len(want) != len(got) {
		return fmt.Sprintf("%s has %d bytes, want %d", name, len(got), len(want))
	}
	at := 0
	for want[at] == got[at] {
		at++
	}
	return fmt.Sprintf("%s differs from byte %d on: %x, want %x", name, at, clip(got[at:]), clip(want[at:]))
}

func clip(b []byte) []byte { return b[:min(len(b), 16)] }

// flow is what groups packets: their outermost addresses.
type flow struct{ src, dst netip.Addr }

// byFlow groups packets, each group in the order of arrival.
func byFlow(packets [][]byte) map[flow][][]byte {
	m := map[flow][][]byte{}
	for _, p := range packets {
		if !noise(p) {
			f := flowOf(p)
			m[f] = append(m[f], p)
		}
	}
	return m
}

// flows lists each flow once, in the order of first appearance.
func flows(want, got [][]byte) []flow {
	var list []flow
	for _, p := range slices.Concat(want, got) {
		if f := flowOf(p); !noise(p) && !slices.Contains(list, f) {
			list = append(list, f)
		}
	}
	return list
}

// flowOf is the addresses of a packet; what is too short to have any is a flow
// of its own, the zero one.
func flowOf(p []byte) flow {
	switch {
	case len(p) >= 20 && p[0]>>4 == 4:
		return flow{netip.AddrFrom4([4]byte(p[12:16])), netip.AddrFrom4([4]byte(p[16:20]))}
	case len(p) >= 40 && p[0]>>4 == 6:
		return flow{netip.AddrFrom16([16]byte(p[8:24])), netip.AddrFrom16([16]byte(p[24:40]))}
	}
	return flow{}
}
