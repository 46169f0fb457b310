// Package scene owns the network that demonstrations, end-to-end tests and
// measurements share: two subscribers on one IPv4 address, an access network
// that knows only IPv6, the lwAFTR, and a host in the Internet.
//
//	host1 - cpe1 \
//	              access - aftr - internet
//	host2 - cpe2 /
//
// The lwAFTR and the CPEs are the project's own commands, run as processes in
// network namespaces; what is checked is real traffic.
package scene
