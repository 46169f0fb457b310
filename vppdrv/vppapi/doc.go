// Package vppapi owns the connection to VPP's binary API socket: its framing,
// the message numbers of the VPP at the other end, and a deadline on everything
// that can wait.
//
// A Conn is an api.Connection of govpp, so the generated clients run on it. It
// does not reconnect: when VPP ends, or stops taking messages, every call fails
// at once and the owner dials again. An answer that comes after its caller gave
// up is dropped, and can never be taken for the answer to another call.
package vppapi
