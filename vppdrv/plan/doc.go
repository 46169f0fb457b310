// Package plan owns what VPP's MAP plugin is to hold: from a batch of softwire
// operations and what VPP holds already, the command lines that change as
// little as possible, and from what VPP is found to hold, the softwires that it
// is. It does no I/O.
//
// # How softwires lie in VPP
//
// Each IPv4 address with softwires is one MAP domain, with one rule per PSID.
// All softwires of an address therefore have one BR address and one
// psid-offset. Their psid-lens may differ: the domain has the longest, and a
// softwire with a shorter one has several rules. An address that is not shared
// is a domain with psid-len 1 and two equal rules, because VPP checks the
// source of a decapsulated packet only where the psid-len is not zero.
//
// Every pool is a domain too, with nobody behind it, so that a packet for an
// address without softwires finds one.
//
// # Why command lines
//
// VPP handles no other message while it executes the command lines of one, and
// a line is several times faster than a message. With workers, packets pass
// between two lines. So where a domain is made for an address, the address's
// packets take a detour meanwhile: without it VPP would decapsulate anything
// while the domain has no rules, and lose packets of the softwires that stay.
//
// VPP chooses the index of a domain, and a rule is added by it. So that one
// script can do both, a new domain takes the index of a spare one, which the
// script deletes right before: VPP gives out the index that was freed last.
package plan
