// Package delegation owns which client is delegated which IPv6 prefix (RFC 8415
// sections 6.3 and 18.3), and for how long, with the softwire that goes with it.
//
// A Book decides, without I/O and without a clock. A Keeper is a Book whose
// decisions are durable before anybody is told of them, and ends what expires. A
// client has one Session at a time, in which its delegations change together.
//
// A prefix that nobody had becomes Bound to a client, and then rests: until its
// hold-down has passed, and whoever grants softwires has none for it any more,
// only its last holder may have it back. The last holder is remembered for as long
// as nobody else needs the prefix, so that one who returns gets the same one.
package delegation
