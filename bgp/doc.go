// Package bgp announces routes by BGP: it is the announce.Announcer of a router.
// It owns the configuration of peers, what each of them is told, and the speaker
// processes that talk to them, one per peer (package speaker). GoBGP is in those
// processes only: nothing that a peer sends is parsed in this one.
//
// A program that uses this package calls speaker.Main first of all.
package bgp
