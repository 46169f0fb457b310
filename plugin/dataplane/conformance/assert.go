package conformance

import (
	"slices"

	"github.com/lwaftr/lw4o6/plugin/dataplane"
	"github.com/lwaftr/lw4o6/plugin/softwire"
)

// fromB4 is p as sw's lwB4 tunnels it to its BR address.
func fromB4(sw softwire.Softwire, p packet4) []byte {
	return outer{src: sw.B4, dst: sw.BR, class: p.tos, hops: 64}.around(p.bytes())
}

// forwards requires that packet, sent into side, makes exactly want come out.
func (l *lab) forwards(side dataplane.Side, packet []byte, want ...expectation) {
	l.Helper()
	l.matches(packet, l.exchange(side, packet), want...)
}

// matches requires that got is exactly want. in is what caused it.
func (l *lab) matches(in []byte, got outputs, want ...expectation) {
	l.Helper()
	for _, w := range want {
		var reason error
		found := slices.IndexFunc(got[w.side], func(p []byte) bool {
			reason = w.match(p)
			return reason == nil
		})
		switch {
		case found >= 0:
			got[w.side] = slices.Delete(got[w.side], found, found+1)
		case reason != nil:
			l.Errorf("want %s: %v\nsent %s", w.what, reason, describe(in))
			got[w.side] = nil
		default:
			l.Errorf("want %s: nothing came out of the %s side\nsent %s", w.what, w.side, describe(in))
		}
	}
	for side, packets := range got {
		for _, p := range packets {
			l.Errorf("unexpected packet out of the %s side: %s\nsent %s", side, describe(p), describe(in))
		}
	}
}

// drops requires that packet, sent into side, is dropped and counted. An ICMP
// error back to its sender may come of it.
func (l *lab) drops(side dataplane.Side, packet []byte) {
	l.Helper()
	l.dropsWith(side, packet, isErrorAbout)
}

// dropsSilently is drops without the ICMP error.
func (l *lab) dropsSilently(side dataplane.Side, packet []byte) {
	l.Helper()
	l.dropsWith(side, packet, func([]byte, []byte) bool { return false })
}

func (l *lab) dropsWith(side dataplane.Side, packet []byte, allowed func(in, out []byte) bool) {
	l.Helper()
	before := l.dropped()
	got := l.exchange(side, packet)
	got[side] = slices.DeleteFunc(got[side], func(out []byte) bool { return allowed(packet, out) })
	for out, packets := range got {
		for _, p := range packets {
			l.Errorf("must be dropped, but out of the %s side came %s\nsent into the %s side: %s",
				out, describe(p), side, describe(packet))
		}
		if len(packets) > 0 {
			return
		}
	}
	if !l.eventually(func() bool { return l.dropped() > before }) {
		l.Fatalf("dropped but not counted: %s", describe(packet))
	}
}

// dropped is how many packets were counted as dropped, for any cause.
func (l *lab) dropped() uint64 {
	l.Helper()
	sum := uint64(0)
	for _, e := range l.counters().Events {
		if e.Drop {
			sum += e.Packets
		}
	}
	return sum
}

// eventually polls done, for what a data plane publishes with a delay.
func (l *lab) eventually(done func() bool) bool {
	l.Helper()
	ctx, cancel := l.patiently()
	defer cancel()
	for pause := minPause; !done(); pause = min(2*pause, maxPause) {
		if !sleep(ctx, pause) {
			return false
		}
	}
	return true
}
