// Package pcp owns the server side of PCP (RFC 6887): which request of a lwB4 is
// served, how it is answered, and whose port set it is about (RFC 7753).
//
// A lwB4 is known by the IPv6 address that its packets come from, over plain IPv6
// and in the softwire alike: in a softwire every lwB4 is 192.0.0.2. Port sets come
// from Grants, which has made them durable and programmed before it returns; they
// are for all protocols, and ports are not translated.
//
// Answer is one request and what is answered, with no I/O but that of Grants.
package pcp
