// Package feed owns what a router and its speaker processes say to each other:
// the messages, and the frames that they travel in over a socket that a speaker
// inherits. A frame is a length of 4 octets, big-endian, and that many octets of
// JSON. Either side takes the other for broken when a frame is not exactly that:
// what comes from a speaker may have been shaped by a peer on the Internet.
package feed
