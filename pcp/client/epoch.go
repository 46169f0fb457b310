package client

import "time"

// Epoch is what a client knows of a server's epoch time. The zero value knows
// nothing.
type Epoch struct {
	known  bool
	server int64     // prev_server_time of RFC 6887 section 8.5, in seconds
	client time.Time // prev_client_time
}

// Observe takes note of the epoch in a response. It is not plausible if the
// server may have lost its mappings since the response before.
func (e Epoch) Observe(now time.Time, epoch uint32) (next Epoch, plausible bool) {
	next = Epoch{known: true, server: int64(epoch), client: now}
	// RFC 6887 section 8.5: "If this is the first PCP response the client has
	// received from this PCP server, the Epoch Time value is treated as
	// necessarily valid".
	if !e.known {
		return next, true
	}
	server := next.server - e.server
	client := int64(now.Sub(e.client) / time.Second)
	// RFC 6887 section 8.5: backwards by more than one second is invalid; then
	// "If client_delta+2 < server_delta - server_delta/16 or server_delta+2 <
	// client_delta - client_delta/16, then the client treats the Epoch Time value
	// as invalid".
	switch {
	case server < -1, client+2 < server-server/16, server+2 < client-client/16:
		return next, false
	}
	return next, true
}
