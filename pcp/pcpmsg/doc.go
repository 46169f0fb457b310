// Package pcpmsg owns the wire format of the Port Control Protocol: messages of
// RFC 6887, and the options PORT_SET (RFC 7753), DESCRIPTION (RFC 7220) and
// THIRD_PARTY_ID (RFC 7843). It does no I/O and keeps no state.
//
// Reading follows the order in which RFC 6887 section 8.2 has a server look at a
// request, and stops where a server must decide something: ParseRequest finds
// what is wrong with the message as a whole, Options.Validate what is wrong with
// the structure of its options, and each option has a parser of its own. What is
// wrong is a *Fault, which holds the result code that the RFC answers it with,
// or wraps ErrDrop where it demands silence. Which opcodes and options are
// served, and to whom, is for the caller to say.
//
// What is read aliases the message. Neither reading nor appending a message
// allocates, but for texts. Addresses are IPv4 or IPv6, never IPv4-mapped; on the wire
// IPv4 is IPv4-mapped (RFC 6887 section 5). Lifetimes and epochs are in seconds.
package pcpmsg
