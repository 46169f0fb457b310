package plan

import (
	"net/netip"

	"github.com/lwaftr/lw4o6/plugin/portset"
)

// Layout is what all domains have in common.
type Layout struct {
	// Tag marks what is ours, by a prefix of all tags.
	Tag string
	// MTU is that of the tunnels in octets, outer header included.
	MTU uint16
	// Nowhere is an lwB4 address that nobody has: where packets go that are for
	// nobody, to be answered. Whoever sends from it may use all that is free, so
	// it must be random, in a /48 of its own, and kept secret.
	Nowhere netip.Addr
	// Fill is the longest psid-len of addresses whose free PSIDs lead to
	// Nowhere, as free addresses then do; on others, packets to them are dropped
	// by VPP itself. With zero all of them are.
	Fill uint8
	// Steering is what else has to know of single addresses.
	Steering Steering
}

// Steering are the parts of VPP around the MAP plugin that know single IPv4
// addresses. Its methods return command lines.
type Steering interface {
	// Whole lets packets without ports pass to and from a whole address.
	Whole(add bool, ip, b4, br netip.Addr) []string
	// Shared refuses packets from an address from which ports of the excluded
	// low block may not come, or that come to another BR address than br.
	Shared(add bool, ip, br netip.Addr, offset uint8) []string
	// Detour leads the packets of an address past the MAP plugin, to the control
	// logic, while its domain is being made. Nothing comes of it but between the
	// lines of Detours(true) and those of Detours(false).
	Detour(add bool, ip netip.Addr) []string
	Detours(on bool) []string
}

// use says what a domain is for. It is the end of its tag.
type use byte

const (
	useShared use = 's' // an address that softwires share
	useWhole  use = 'w' // an address that one softwire has
	usePool   use = 'p' // a pool
	useSpare  use = 'f' // free, kept for its index
)

func (l *Layout) tag(u use) string { return l.Tag + ":" + string(byte(u)) }

// useOf returns what a domain with a tag is for, and false if it is not ours.
func (l *Layout) useOf(tag string) (use, bool) {
	n := len(l.Tag)
	if len(tag) != n+2 || tag[:n] != l.Tag || tag[n] != ':' {
		return 0, false
	}
	switch u := use(tag[n+1]); u {
	case useShared, useWhole, usePool, useSpare:
		return u, true
	}
	return 0, false
}

// wholeLength is the psid-len of the domains of addresses that are not shared.
const wholeLength = 1

// psids are the right-justified PSIDs of set in a domain with psid-len length:
// a block of consecutive ones.
func psids(set portset.PortSet, length uint8) (first, count int) {
	if set.Whole() {
		return 0, 1 << wholeLength
	}
	more := length - set.Params().Length()
	return int(set.PSID()) << more, 1 << more
}
