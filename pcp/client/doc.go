// Package client owns the client side of PCP (RFC 6887): when to send which MAP
// request, what an answer means, and when a mapping is lost.
//
// Mapping is one mapping as a value: Step takes it from one state to the next,
// given an event and the time, and does nothing else. Set holds the mappings at
// one server and what they share, the server's epoch above all. Client runs a
// Set on a socket, for programs: Hold keeps a mapping alive, Request and Delete
// are one exchange each, Announce asks whether the server is there.
//
// A server may have several addresses (RFC 7488): they are tried in turn, four
// requests each, and one that answers is kept until it no longer does.
package client
