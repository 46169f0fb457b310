package forwarder

import "github.com/lwaftr/lw4o6/plugin/forwarder/fragment"

// cutter takes the fragments of one packet until it is known that all of them
// fit. It is the fragment.Arena of a Worker.
type cutter struct {
	arena  *arena
	pieces [][]byte
}

// Alloc is as in fragment.Arena.
func (c *cutter) Alloc(n int) []byte {
	b := c.arena.alloc(n).bytes()
	c.pieces = append(c.pieces, b)
	return b
}

// fragment6 sends the tunnel packet b in fragments (RFC 2473 section 7.2).
func (w *Worker) fragment6(b []byte) {
	w.startCut()
	if _, err := fragment.IPv6(&w.cutter, b, w.set.TunnelMTU, w.nextRandom()); err != nil {
		w.drop(DropTooBig)
		return
	}
	w.count(Fragmented)
	for _, piece := range w.cutter.pieces {
		w.emit6(piece)
	}
}

// fragment4 sends the IPv4 packet p in fragments to the IPv4 side. What is cut
// here gets an identification of ours: two lwB4s that share the address may use
// the same one towards the same host (RFC 7596 section 5.2.1). A packet that is
// a fragment already has to keep the one it has.
// It reports whether p could be cut; if not it is dropped.
func (w *Worker) fragment4(p packet, fragmented bool) bool {
	b := p.bytes()
	id := uint16(w.nextRandom())
	if !fragmented {
		setIdentification(b, id)
	}
	w.startCut()
	if _, err := fragment.IPv4Forced(&w.cutter, b, w.set.IPv4MTU, id); err != nil {
		w.drop(DropTooBig)
		return false
	}
	w.count(Fragmented)
	for _, piece := range w.cutter.pieces {
		w.emit4(piece)
	}
	return true
}

func (w *Worker) startCut() {
	w.cutter.arena = &w.arena
	w.cutter.pieces = w.cutter.pieces[:0]
}
