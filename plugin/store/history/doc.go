// Package history owns the record of who held which ports of which IPv4 address
// and when. Provision describes what happens to leases in Events; the store's
// outbox carries them encoded.
package history
