package main

import (
	"net/netip"

	"github.com/lwaftr/lw4o6/plugin/softwire"
)

// changer is a softwire that changes, to and fro.
type changer struct {
	softwire softwire.Softwire
	kind     changeKind
	away     bool // from how it was at first
}

// changeKind is what happens to a changer each time.
type changeKind int

const (
	goes  changeKind = iota // and comes again
	moves                   // to another lwB4, and so do all kinds that have no name
	kinds = 8
)

// maxChangers is how many softwires change.
const maxChangers = 4096

// pick makes a changer of the first softwire of each IPv4 address, up to a
// number of them. It returns the other softwires of these addresses, too.
func pick(all []softwire.Softwire) (changers []*changer, others []softwire.Softwire) {
	for i, s := range all {
		if i > 0 && all[i-1].IPv4 == s.IPv4 {
			others = append(others, s)
			continue
		}
		if len(changers) == maxChangers {
			break
		}
		c := &changer{softwire: s, kind: changeKind(len(changers) % kinds)}
		c.softwire.B4 = amongChanged(s.B4)
		changers = append(changers, c)
	}
	return changers, others
}

// amongChanged is an address of changedB4s that is b4's.
func amongChanged(b4 netip.Addr) netip.Addr {
	b := b4.As16()
	b[4] |= 0x80
	return netip.AddrFrom16(b)
}

// next adds the next change to a batch that has none of c.
func (c *changer) next(batch *softwire.Change) {
	c.away = !c.away
	switch now := c.softwire; {
	case !c.away:
		batch.Put = append(batch.Put, now)
	case c.kind == goes:
		batch.Remove = append(batch.Remove, now.Key())
	default:
		now.B4 = now.B4.Next()
		batch.Put = append(batch.Put, now)
	}
}
