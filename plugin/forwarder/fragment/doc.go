// Package fragment owns the cutting of packets that exceed an MTU: tunnel
// packets into IPv6 fragments after encapsulation (RFC 2473 section 7.2,
// RFC 8200 section 4.5) and IPv4 packets towards a smaller IPv4 MTU (RFC 791
// section 3.2).
//
// Every fragment is as large as the MTU lets it be, so a packet yields as few
// as possible, and never more than MaxFragments. Fragments are written into
// memory that the caller provides; nothing is allocated here.
package fragment
