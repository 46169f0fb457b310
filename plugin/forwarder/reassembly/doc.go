// Package reassembly owns incomplete packets: it holds fragments until a
// packet is whole, or must be given up.
//
// A lwAFTR is where fragments end in three ways: tunnel packets are made whole
// before decapsulation (RFC 6333 section 6.3), and IPv4 fragments from the
// Internet or out of a softwire before their port can be looked up (RFC 7597
// section 8.3.2).
//
// A Table belongs to one goroutine. It has no clock and starts nothing: time
// comes with each call. All its memory is made by New, and nothing is allocated
// per packet.
//
// # What is refused
//
// A fragment that overlaps another ends its packet, and later fragments of that
// packet are dropped too (RFC 5722); only an exact duplicate is dropped alone.
// So does a fragment that contradicts what others said of the packet's end, and
// one beyond the allowed number. An atomic IPv6 fragment concerns no other
// fragment (RFC 6946). Every fragment that is given up is reported with its
// cause, once.
//
// # Floods
//
// Fragments of one packet arrive within milliseconds, those of a flood stay
// until their timeout. So the newest are worth most: where there is no room,
// the oldest incomplete packet goes. Refusing the new instead would let a slow
// trickle keep the table full and everybody else out. With n packets of room
// and r new ones per second an incomplete packet lives for n/r seconds: 20 ms
// with 20,000 and a million, still longer than a legitimate one needs.
//
// On top of that each source, and each IPv4 destination that the Internet sends
// to, may hold a share only. Beyond it, its own oldest packet goes. One lwB4
// that floods, or one address that is flooded from many sources, so disturbs
// nobody else. Outer sources of softwires are meant to be known before their
// fragments are given to a Table, which makes the share impossible to evade
// there; on the Internet sources can be forged, hence the second share.
package reassembly
