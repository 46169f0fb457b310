// Package speaker is the process that speaks BGP with one peer. It is the only
// package that knows GoBGP.
//
// GoBGP takes what any host of the Internet may have written, and gives up with a
// panic on some of it. So each peer has a process of its own: the router's
// program, started once more, which the router feeds over a socket (package feed).
// What a peer can break that way is its own session.
//
// A speaker ends with the router: when the socket is closed. Then its session ends
// with a NOTIFICATION, and the peer forgets the routes; with graceful restart it
// ends without a word, and the peer keeps them for the time agreed on.
package speaker
