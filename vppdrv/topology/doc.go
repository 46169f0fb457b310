// Package topology owns what VPP has around its MAP plugin: the interfaces,
// tables, routes and classifier by which a stock VPP behaves as RFC 7596 says.
//
// Everything of ours stands behind routes in the operator's tables: one for
// each pool and one for each BR address. They lead to loopback interfaces of
// ours, into which a packet falls as if it had been received there (the path
// type "interface-rx"), without a hop. The operator's interfaces are left
// alone, and so is all traffic but that of pools and BR addresses.
//
//	IPv4 --pool--> encap  [reassembly, classifier] -> ip4-map -> IPv6 --> lwB4
//	                          | TTL 1, too short: puzzles
//	                          | no ports: whole or shared
//	IPv6 --BR---> decap  [reassembly, classifier] -> ip6-map
//	                          | PCP, ICMPv6, odd     |-- pool --> hairpin, as encap
//	                          v                      |-- us ----> own
//	                      pcp, icmp6, tunnels        '-- else --> inside --> IPv4
//
// The classifiers of encap and decap pass on by missing: VPP counts hits in
// memory that its workers share. They do not reach ip4-map and ip6-map through
// the feature arc but by a classifier's next node, because the arc has them
// before the classifier. In that position both would leave the arc by a wrong
// door if they let a packet pass; so each pool is a domain, and the classifier
// keeps from ip6-map what that would not take as a tunnel packet.
//
// While the domain of an address is made, its packets take a detour from these
// classifiers to the control logic. The tables for it are chained only then.
//
// Decapsulated packets go through IPv4 input by way of the interface inside,
// where VPP checks the inner header and where its ICMPv4 errors about them get
// a source address. The errors that VPP makes while it encapsulates are looked
// up in a table of their own, because it states a wrong MTU in them, and lead
// to the control logic, which mends them.
//
// Packets for the control logic are written to VPP's punt socket. A classifier
// session moves the packet back so that the first byte of its header stands
// where the punt node looks for the protocol: protocol numbers that nobody uses
// over IPv6 then select our socket, and those that VPP serves itself stay its
// own. Before the classifier a policer limits them, on each of the interfaces
// that lead there, if VPP has policers.
package topology
