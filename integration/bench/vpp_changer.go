package main

import (
	"net/netip"

	"github.com/lwaftr/lw4o6/plugin/portset"
	"github.com/lwaftr/lw4o6/plugin/softwire"
)

// changer is a softwire that changes, to and fro.
type changer struct {
	softwire softwire.Softwire
	halves   [2]softwire.Softwire // what it may be split into
	kind     changeKind
	away     bool // from how it was at first
}

// changeKind is what happens to a changer each time.
type changeKind int

const (
	moves  changeKind = iota // to another lwB4
	goes                     // and comes again
	splits                   // into two; VPP then makes anew what it has of the address
)

// maxChangers is how many softwires change.
const maxChangers = 4096

// changersPer is how many softwires of an IPv4 address may change. The others
// are never touched.
const changersPer = 2

// pick makes a changer of one softwire of each IPv4 address, up to a number of
// them: that with a place among those of the address. They take turns in the
// kinds. It returns the untouched softwires of these addresses, too.
func pick(all []softwire.Softwire, place int, kinds []changeKind) (changers []*changer, untouched []softwire.Softwire, err error) {
	seen := 0 // of the address
	for i, s := range all {
		if seen++; i == 0 || all[i-1].IPv4 != s.IPv4 {
			seen = 0
		}
		if seen >= changersPer {
			untouched = append(untouched, s)
		}
		if seen != place {
			continue
		}
		if len(changers) == maxChangers {
			break
		}
		c := &changer{softwire: s, kind: kinds[len(changers)%len(kinds)]}
		c.softwire.B4 = amongChanged(s.B4)
		for j := range c.halves {
			params := s.PortSet.Params()
			c.halves[j] = c.softwire
			c.halves[j].PortSet, err = portset.Of(params.Offset(), params.Length()+1, 2*s.PortSet.PSID()+uint16(j))
			if err != nil {
				return nil, nil, err
			}
		}
		changers = append(changers, c)
	}
	return changers, untouched, nil
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
	put, remove := []softwire.Softwire{c.softwire}, []softwire.Key(nil)
	switch c.kind {
	case goes:
		if c.away {
			put, remove = nil, []softwire.Key{c.softwire.Key()}
		}
	case splits:
		remove = []softwire.Key{c.halves[0].Key(), c.halves[1].Key()}
		if c.away {
			put, remove = c.halves[:], []softwire.Key{c.softwire.Key()}
		}
	default:
		if c.away {
			put[0].B4 = put[0].B4.Next()
		}
	}
	batch.Put, batch.Remove = append(batch.Put, put...), append(batch.Remove, remove...)
}
