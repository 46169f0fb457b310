// Package lanpcp owns the PCP server for hosts of the LAN (RFC 6887): MAP and PEER,
// answered from the CPE's ports without asking the lwAFTR, which does not translate
// ports. It is the end of the recursion that RFC 7648 section 3.2 speaks of.
//
// Table decides, without I/O; Socket is how hosts reach it.
package lanpcp

import (
	"net/netip"
	"time"

	"github.com/lwaftr/lw4o6/examples/lwb4/internal/assign"
	"github.com/lwaftr/lw4o6/examples/lwb4/internal/nat"
	"github.com/lwaftr/lw4o6/pcp/pcpmsg"
)

// Config bounds what hosts can have.
type Config struct {
	LAN netip.Prefix
	// Lifetime is the longest of a mapping.
	Lifetime time.Duration
	// PerHost and Total are how many ports one host may have, and all together.
	PerHost, Total int
	// Reserved are ports that are for something else: services of the settings.
	Reserved map[uint16]bool
}

// leastLifetime is that of a mapping that was asked for a shorter one (RFC 6887
// section 15).
const leastLifetime = 2 * time.Minute

// internal is a port of a host.
type internal struct {
	protocol nat.Protocol
	host     netip.AddrPort
}

// external is a port of ours.
type external struct {
	protocol nat.Protocol
	port     uint16
}

// endpoint is a port of a host that has one of ours, whatever it is used for.
type endpoint struct {
	internal
	port uint16
	// uses are by remote peer; a MAP has none.
	uses map[netip.AddrPort]*use
}

// use is one mapping as its client knows it.
type use struct {
	nonce   pcpmsg.Nonce
	expires time.Time
	client  netip.AddrPort // who asked last
}

// Table is the mappings of the LAN. It is not for several goroutines.
type Table struct {
	config Config
	ports  assign.Ports // none while there are none
	until  time.Time    // of the ports; zero is never
	// were are the ports that mappings are on.
	were  assign.Ports
	epoch time.Time

	endpoints map[internal]*endpoint
	taken     map[external]*endpoint
	random    func(n int) int
}

// NewTable returns a table without ports. random returns numbers from 0 up to but not
// including n.
func NewTable(c Config, now time.Time, random func(n int) int) *Table {
	return &Table{
		config: c, epoch: now, random: random,
		endpoints: map[internal]*endpoint{}, taken: map[external]*endpoint{},
	}
}

// Len is how many ports are mapped.
func (t *Table) Len() int { return len(t.endpoints) }

// Mappings are those that the NAT is to have.
func (t *Table) Mappings() (all []nat.Mapping) {
	for _, e := range t.endpoints {
		for peer := range e.uses {
			all = append(all, nat.Mapping{Protocol: e.protocol, Host: e.host, Port: e.port, Peer: peer})
		}
	}
	return all
}

// Freed is a port that is not mapped any more.
type Freed struct {
	Address  netip.Addr
	Protocol nat.Protocol
	Port     uint16
}

// Expire ends what has expired.
func (t *Table) Expire(now time.Time) (freed []Freed) {
	for _, e := range t.endpoints {
		for peer, u := range e.uses {
			if !now.Before(u.expires) {
				freed = append(freed, t.remove(e, peer)...)
			}
		}
	}
	return freed
}

// Next is when something expires; zero is never.
func (t *Table) Next() (next time.Time) {
	for _, e := range t.endpoints {
		for _, u := range e.uses {
			if next.IsZero() || u.expires.Before(next) {
				next = u.expires
			}
		}
	}
	return next
}

// remove ends one use of an endpoint, and the endpoint with the last one.
func (t *Table) remove(e *endpoint, peer netip.AddrPort) []Freed {
	delete(e.uses, peer)
	if len(e.uses) > 0 {
		return nil
	}
	delete(t.endpoints, e.internal)
	delete(t.taken, external{e.protocol, e.port})
	return []Freed{{t.were.IPv4, e.protocol, e.port}}
}

// Update is a message that a client is to be sent unasked.
type Update struct {
	To      netip.AddrPort
	Payload []byte
}

// Use changes the ports that there are, and until when. Mappings that have lost theirs
// get others where there are any. It returns what clients are to be told (RFC 6887
// section 14.2), with an announcement of a new epoch first (RFC 7648 section 3.5), or
// nothing if nothing has changed for them.
func (t *Table) Use(now time.Time, ports assign.Ports, until time.Time) []Update {
	t.ports, t.until = ports, until
	if len(ports.Sets) == 0 || t.were.Equal(ports) {
		return nil
	}
	first := t.were.IPv4 == netip.Addr{}
	moved := t.were.IPv4 != ports.IPv4
	t.were = ports
	if first {
		return nil
	}
	var lost []*endpoint
	for _, e := range t.endpoints {
		if moved || !ports.Contains(e.port) {
			lost = append(lost, e)
		}
	}
	if len(lost) == 0 {
		return nil
	}
	for _, e := range lost {
		delete(t.taken, external{e.protocol, e.port})
	}
	t.epoch = now
	updates := []Update{{To: announceTo, Payload: t.announcement(now)}}
	for _, e := range lost {
		port, ok := t.pick(e.protocol, e.port, e.host.Port())
		if !ok {
			delete(t.endpoints, e.internal)
			continue
		}
		e.port = port
		t.taken[external{e.protocol, port}] = e
		for peer, u := range e.uses {
			updates = append(updates, Update{To: u.client, Payload: t.granted(now, e, peer, u, nil)})
		}
	}
	return updates
}

// Extend says that the ports are there until another time; zero is for ever.
func (t *Table) Extend(until time.Time) { t.until = until }

// announceTo is where hosts listen for announcements (RFC 6887 section 14.1.3).
var announceTo = netip.AddrPortFrom(netip.AddrFrom4([4]byte{224, 0, 0, 1}), pcpmsg.AnnouncePort)

func (t *Table) announcement(now time.Time) []byte {
	r := pcpmsg.Response{Opcode: pcpmsg.Announce, Epoch: t.seconds(now)}
	return r.Append(nil)
}

// seconds is the epoch time (RFC 6887 section 8.5).
func (t *Table) seconds(now time.Time) uint32 { return uint32(now.Sub(t.epoch) / time.Second) }

// pick finds a port that is free: one of those that would be welcome, or any.
func (t *Table) pick(protocol nat.Protocol, welcome ...uint16) (uint16, bool) {
	for _, port := range welcome {
		if t.free(protocol, port) {
			return port, true
		}
	}
	if t.ports.Count() == 0 {
		return 0, false
	}
	// From a random one on, so that ports cannot be guessed.
	skip, first, found := t.random(t.ports.Count()), uint16(0), false
	for _, set := range t.ports.Sets {
		for r := range set.Ranges() {
			for port := int(r.First); port <= int(r.Last); port++ {
				skip--
				if !t.free(protocol, uint16(port)) {
					continue
				}
				if skip < 0 {
					return uint16(port), true
				}
				if !found {
					first, found = uint16(port), true
				}
			}
		}
	}
	return first, found
}

// free says whether a port can be given to a host. RFC 6887 section 11.3: never those
// of PCP itself.
func (t *Table) free(protocol nat.Protocol, port uint16) bool {
	_, taken := t.taken[external{protocol, port}]
	return port != 0 && !taken && t.ports.Contains(port) && !t.config.Reserved[port] &&
		port != pcpmsg.ServerPort && port != pcpmsg.AnnouncePort
}
