// Package source owns the ways to come by a softwire for a delegated prefix: of the
// router in the same process, of one elsewhere over its control API, and of a lwAFTR
// that speaks no more than PCP.
//
// Each is a server.Softwires. The subscriber is the delegated prefix; its tunnel
// address follows from that and the port set (RFC 7596 section 5.1), so it is whoever
// chooses the port set that makes it.
package source
