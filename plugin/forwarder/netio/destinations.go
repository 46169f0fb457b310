package netio

import (
	"cmp"
	"net/netip"
	"slices"
)

// destinations is the prefixes whose packets are taken from a packet device, of
// one family, ascending and without overlaps. Everything else that arrives there
// is the kernel's business.
type destinations []netip.Prefix

// newDestinations covers exactly the addresses of prefixes.
func newDestinations(prefixes []netip.Prefix) destinations {
	sorted := slices.SortedFunc(slices.Values(prefixes), func(a, b netip.Prefix) int {
		return cmp.Or(a.Addr().Compare(b.Addr()), cmp.Compare(a.Bits(), b.Bits()))
	})
	var all destinations
	for _, prefix := range sorted {
		// In this order everything inside a prefix follows it.
		if last := len(all) - 1; last < 0 || !all[last].Overlaps(prefix) {
			all = append(all, prefix)
		}
	}
	return all
}

// take reports whether packet is for one of the destinations. It takes what has
// no destination, being neither version of IP or too short, so that it is
// counted as what it is. It does not allocate.
func (d destinations) take(packet []byte) bool {
	switch {
	case len(packet) >= ipv4HeaderLen && packet[0]>>4 == 4:
		return d.have(netip.AddrFrom4([4]byte(packet[16:])))
	case len(packet) >= ipv6HeaderLen && packet[0]>>4 == 6:
		return d.have(netip.AddrFrom16([16]byte(packet[24:])))
	}
	return true
}

func (d destinations) have(a netip.Addr) bool {
	// The last prefix that begins at or below a is the only one that can hold it.
	low, high := 0, len(d)
	for low < high {
		if middle := (low + high) / 2; d[middle].Addr().Compare(a) <= 0 {
			low = middle + 1
		} else {
			high = middle
		}
	}
	return low > 0 && d[low-1].Contains(a)
}
