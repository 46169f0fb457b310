// Package punt owns the datagrams that VPP and we exchange over its punt socket:
// packets that VPP does not forward itself, and packets that it is to send.
package punt
