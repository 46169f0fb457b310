package forwarder

// fragments is what a Worker holds of incomplete packets.
type fragments struct{}

func (f *fragments) configure(ReassemblyConfig) {}

func (f *fragments) expire(*Worker) {}

// reassemble4 makes the IPv4 packet p whole, if this fragment completes it. h
// is then its new header. outer is the tunnel header of a packet from a lwB4,
// nil for one from the IPv4 side.
func (w *Worker) reassemble4(p *packet, h *header4, outer *header6) bool {
	w.drop(DropFragmentLimit)
	return false
}

// reassemble6 is reassemble4 for tunnel packets.
func (w *Worker) reassemble6(p *packet, h *header6) bool {
	w.drop(DropFragmentLimit)
	return false
}
