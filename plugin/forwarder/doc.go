// Package forwarder owns RFC 7596 packet processing in Go: encapsulation,
// decapsulation with validation of the source, hairpinning, ICMP in every
// direction, fragments, and the counters that say what became of each packet.
//
// A Worker is a pure function: from (side, packet, table, now) to packets and
// counters. It does no I/O, starts nothing and reads no clock, so the same code
// serves the embedded data plane, the exception packets of another one, traces
// and tests. A Forwarder is the dataplane.Dataplane made of Workers and an IO.
//
// The way of a packet, and the file that describes each step:
//
//	from IPv4:  header4 -> filter -> port -> table -> encap -> IPv6
//	from IPv6:  header6 -> filter -> (exception | relay | echo) -> decap -> IPv4
//	                                                       \-> hairpin -> encap
package forwarder
