// Package stream owns the exchange of lease requests and their answers over one
// connection: the messages, and what both ends do. It is for who asks for thousands
// of leases in a second, where a call of HTTP for each costs more than the lease.
//
// Each request has a number, which its answer repeats. Answers come in any order, so
// one that takes long holds up no other. Whatever is ready at one time is written
// together. Requests can be repeated, so nothing is lost with a connection.
//
// A message is, with the most significant octet first,
//
//	length   16 bits  of what follows
//	number   32 bits
//	kind      8 bits  1 offer, 2 acquire, 3 release; 16 lease, 17 done, 18 failure
//	content
//
// A request's content is
//
//	wait     32 bits  for how long the asker waits, in milliseconds
//	flags     8 bits  which of the optional fields are there, from the lowest bit on
//	number    8 bits  of the subscriber's leases
//	lifetime 32 bits  in seconds
//	ports    32 bits
//	address 128 bits  optional: any of the subscriber
//	lwB4    128 bits  optional
//	prefix  128 bits  optional, and 8 bits of length
//	wish     32 bits  optional: an IPv4 address, and 8 bits a, 8 bits k, 16 bits PSID
//	mechanism, pool, attributes: each 16 bits of length, and octets
//
// and that of an answer of kind lease
//
//	flags        8 bits  1: of the configuration
//	softwire   320 bits  IPv4 address, a, k, PSID, lwB4 (zero: none) and BR address
//	subscriber 136 bits  address and length of a prefix
//	expires     64 bits  in seconds since 1970; 0 is never
//	mechanism, pool
//
// of kind failure 16 bits of an HTTP status, a code and a text, and of kind done
// nothing. They mean what they mean in package api.
package stream

// Protocol is what the connection is upgraded to (RFC 9110 section 7.8). The number
// changes with the messages.
const Protocol = "lw4o6-leases/1"
