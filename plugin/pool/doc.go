// Package pool owns the definition of IPv4 pools: which addresses are shared,
// how their ports are split, behind which BR address (RFC 7596 section 5.1 calls
// these the elements that each lwB4 is provisioned with), and on which terms port
// sets are lent to subscribers. Whoever gives out, programs or announces
// addresses does so by pool.
package pool
