// Package lwb4sim owns simulated lwB4s: thousands of them in one process, each
// with an IPv6 address and a PCP client, or a DHCPv6 client, of its own, on one
// link that carries real packets to a server.
//
// A Fleet is lwB4s as they are, by PCP or DHCPv6: each asks for a port set, keeps
// it, and gets over what a Relay loses, duplicates and reorders on the way. Check
// says whether all hold what they should. A Loader is as many PCP requests as the
// server can answer, to be measured, by a Carrier: over a link, or by a UDP socket
// that is all lwB4s. All know their lwB4s by a Population, which gives the same
// addresses and nonces each time, or a DHCPPopulation.
package lwb4sim
