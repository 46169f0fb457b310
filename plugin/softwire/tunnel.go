package softwire

import (
	"fmt"
	"net/netip"

	"github.com/lwaftr/lw4o6/plugin/portset"
)

// TunnelAddress is the address that a lwB4 makes in a prefix of its own, for the
// port set of an IPv4 address (RFC 7596 section 5.1, RFC 7597 section 6):
//
//	prefix, padded to 64 bits | 16 bits of 0 | IPv4 address | PSID
//
// "If the End-user IPv6 prefix length is larger than 64, the most significant
// parts of the interface identifier are overwritten by the prefix." The error
// wraps ErrAddress.
func TunnelAddress(prefix netip.Prefix, ipv4 netip.Addr, set portset.PortSet) (netip.Addr, error) {
	if !prefix.IsValid() || !prefix.Addr().Is6() {
		return netip.Addr{}, fmt.Errorf("%w: %s is not an IPv6 prefix", ErrAddress, prefix)
	}
	if !ipv4.Is4() {
		return netip.Addr{}, fmt.Errorf("%w: %s is not an IPv4 address", ErrAddress, ipv4)
	}
	v4, psid := ipv4.As4(), set.PSID()
	address := [16]byte{10: v4[0], 11: v4[1], 12: v4[2], 13: v4[3], 14: byte(psid >> 8), 15: byte(psid)}
	network := prefix.Addr().As16()
	whole := prefix.Bits() / 8
	copy(address[:whole], network[:whole])
	if rest := prefix.Bits() % 8; rest > 0 {
		mask := byte(0xff) << (8 - rest)
		address[whole] = network[whole]&mask | address[whole]&^mask
	}
	return netip.AddrFrom16(address), nil
}
