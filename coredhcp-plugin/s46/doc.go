// Package s46 owns the wire format of the DHCPv6 options that tell an lwB4 of its
// softwire: those of RFC 7598, the AFTR name (RFC 6334), the PCP server (RFC
// 7291), the DHCP 4o6 servers (RFC 7341) and the priority of mechanisms (RFC
// 8026). It does no I/O and keeps no state.
//
// Each option is a dhcpv6.Option. FromBytes accepts what Validate accepts, and
// ToBytes writes nothing else, so the rules of the RFCs hold in both directions:
// which option a container must, may and must not hold, and the range of every
// field. Parse is the way in from an option that the dhcpv6 package left opaque,
// Add the way out.
//
// Addresses and prefixes are netip values. PSIDs are right-justified, as in
// package portset; PortParams alone knows that they are left-justified on the wire.
package s46
