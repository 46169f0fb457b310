package reference

import (
	"net/netip"
	"strconv"

	"github.com/lwaftr/lw4o6/plugin/forwarder"
)

// refuses reports whether rules drop a packet: the first that matches decides.
func refuses(rules []forwarder.FilterRule, src, dst netip.Addr, protocol uint8) bool {
	for _, r := range rules {
		if r.Source.IsValid() && !r.Source.Contains(src) {
			continue
		}
		if r.Destination.IsValid() && !r.Destination.Contains(dst) {
			continue
		}
		// The text is the number, or nothing for any protocol.
		text, err := r.Protocol.MarshalText()
		if err != nil || len(text) > 0 && string(text) != strconv.Itoa(int(protocol)) {
			continue
		}
		return r.Action == forwarder.FilterDrop
	}
	return false
}

func refuses4(rules []forwarder.FilterRule, d *datagram) bool {
	return refuses(rules, d.src(), d.dst(), uint8(d.Protocol))
}
