package topology

import (
	"context"
	"errors"
	"fmt"

	"go.fd.io/govpp/api"
	"go.fd.io/govpp/binapi/ip_types"
	"go.fd.io/govpp/binapi/punt"
)

// Reason is why a packet was punted. The interface that it came from says so.
type Reason uint8

// The reasons.
const (
	// Unknown: another interface than ours punted it.
	Unknown Reason = iota
	// Puzzle: an IPv4 packet to a pool that VPP would not treat well, or to an
	// address on a detour.
	Puzzle
	// FromB4: an IPv4 packet from a lwB4 to the lwAFTR itself, or to another lwB4
	// if its TTL ran out or that one's address is on a detour.
	FromB4
	// Error: an ICMPv4 error that VPP made while it encapsulated.
	Error
	// PCP: PCP in a softwire, or over IPv6.
	PCP
	// ICMP6: an ICMPv6 error to a BR address.
	ICMP6
	// Tunnel: a tunnel packet that VPP would not treat well, or of an address on
	// a detour.
	Tunnel
	// Nobody: a packet to Nowhere, in the tunnel from a BR address.
	Nobody
	// HairpinNobody: the same, of a packet from a lwB4.
	HairpinNobody
)

// Reason returns why a packet was punted that an interface punted. It may be
// called at any time.
func (t *Topology) Reason(index Index) Reason { return (*t.reasons.Load())[index] }

// explain makes known to Reason the interfaces that there are.
func (t *Topology) explain() {
	all := make(map[Index]Reason)
	for r, reason := range map[role]Reason{
		puzzles: Puzzle, expired: FromB4, own: FromB4, errors4: Error,
		pcp: PCP, icmp6: ICMP6, tunnels: Tunnel, nobody: Nobody, hairpinNobody: HairpinNobody,
		// Where detours begin.
		encap: Puzzle, hairpin: FromB4,
	} {
		all[t.loops[r]] = reason
	}
	for _, l := range t.brs {
		all[l.index] = Tunnel
	}
	t.reasons.Store(&all)
}

// Counted are interfaces of which what came in says something.
type Counted struct {
	// Inside is what lwB4s sent to others, and Hairpin what they sent to each
	// other.
	Inside, Hairpin Index
	// Nobody and HairpinNobody are tunnel packets for nobody, the latter from
	// lwB4s.
	Nobody, HairpinNobody Index
	// Expired is what of Hairpin went no further.
	Expired Index
}

// Counted returns the interfaces whose counters say something.
func (t *Topology) Counted() Counted {
	return Counted{
		Inside: t.loops[inside], Hairpin: t.loops[hairpin],
		Nobody: t.loops[nobody], HairpinNobody: t.loops[hairpinNobody], Expired: t.loops[expired],
	}
}

// Inject returns the interfaces as from which packets are injected that go out
// of each side: they say which table a packet is looked up in.
func (t *Topology) Inject() (ip4, ip6 Index) { return t.loops[inside], t.loops[encap] }

// puntProtocols are the protocol numbers that the first octets of packets look
// like to the punt node. Nobody uses them over IPv6 but for PIM, of which we
// keep our hands off; and one of them VPP does not know, nor answers when asked
// for. Exceptions with those two traffic classes are lost.
func puntProtocols() []ip_types.IPProto {
	const withoutOptions, unknown, pim = 0x45, 99, 103
	all := []ip_types.IPProto{withoutOptions}
	for p := version6; p <= version6|0x0f; p++ {
		if p != unknown && p != pim {
			all = append(all, ip_types.IPProto(p))
		}
	}
	return all
}

// ErrNoPuntSocket reports a VPP without a punt socket.
var ErrNoPuntSocket = errors.New(`VPP has no punt socket: add "punt { socket /run/vpp/punt.sock }" to its startup configuration`)

// Punt makes VPP send exceptions to the socket at path, if it does not yet.
// Then it returns the path of the socket that VPP takes packets from; VPP says
// it only in answer to a registration.
func (t *Topology) Punt(ctx context.Context, path string) (server string, err error) {
	v := newVPP(ctx, t.conn)
	registered := v.registered()
	for _, p := range puntProtocols() {
		switch client, has := registered[p]; {
		case has && client != path:
			v.do("punt", func() error {
				return fmt.Errorf("protocol %d over IPv6 is punted to %s already; is there another lwAFTR on this VPP?", p, client)
			})
		case !has:
			server = v.register(p, path)
		}
	}
	return server, v.err
}

// Unpunt ends what Punt began for the socket at path.
func Unpunt(ctx context.Context, conn api.Connection, path string) error {
	v := newVPP(ctx, conn)
	for p, client := range v.registered() {
		if client != path {
			continue
		}
		m := &punt.PuntSocketDeregister{Punt: puntOf(p)}
		v.do("ending punt", func() error {
			_, err := v.punt.PuntSocketDeregister(v.ctx, m)
			return err
		})
	}
	return v.err
}

// puntOf is what the API calls a protocol over IPv6.
func puntOf(p ip_types.IPProto) punt.Punt {
	all := punt.Punt{Type: punt.PUNT_API_TYPE_IP_PROTO}
	all.Punt.SetIPProto(punt.PuntIPProto{Af: ip_types.ADDRESS_IP6, Protocol: p})
	return all
}

func (v *vpp) register(p ip_types.IPProto, path string) (server string) {
	m := &punt.PuntSocketRegister{HeaderVersion: 1, Punt: puntOf(p), Pathname: path}
	v.do("punt", func() error {
		reply, err := v.punt.PuntSocketRegister(v.ctx, m)
		if reply != nil && reply.Retval != 0 {
			return ErrNoPuntSocket
		}
		if err == nil {
			server = text(reply.Pathname)
		}
		return err
	})
	return server
}

// registered are the sockets that protocols over IPv6 are punted to.
func (v *vpp) registered() map[ip_types.IPProto]string {
	all := make(map[ip_types.IPProto]string)
	v.do("reading punt sockets", func() error {
		dump, err := v.punt.PuntSocketDump(v.ctx, &punt.PuntSocketDump{Type: punt.PUNT_API_TYPE_IP_PROTO})
		return each(dump, err, func(d *punt.PuntSocketDetails) {
			if p := d.Punt.Punt.GetIPProto(); p.Af == ip_types.ADDRESS_IP6 {
				all[p.Protocol] = text(d.Pathname)
			}
		})
	})
	return all
}
