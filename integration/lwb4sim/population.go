package lwb4sim

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"time"

	"github.com/lwaftr/lw4o6/pcp/client"
	"github.com/lwaftr/lw4o6/pcp/datagram"
	"github.com/lwaftr/lw4o6/pcp/pcpmsg"
)

// Population says which lwB4s there are, and what they want.
type Population struct {
	Count int
	// First is the address of the first one. Each of the others has the same one
	// in the next prefix of PrefixBits, at most 64.
	First      netip.Addr
	PrefixBits int
	// BR is the lwAFTR's address. InSoftwire has requests sent to 192.0.0.1 in the
	// softwire, otherwise they are sent to BR over plain IPv6.
	BR         netip.Addr
	InSoftwire bool
	// Ports is the size of the port set that each asks for.
	Ports    uint16
	Lifetime time.Duration
	// Protocol, if it is set, has each ask for a port of that protocol in place of
	// a port set, as generic clients do.
	Protocol uint8
	// Seed makes the nonces and source ports, and everything else that is random.
	Seed uint64
}

// ErrPopulation reports a Population that cannot be.
var ErrPopulation = errors.New("impossible population")

// Validate finds what cannot be. The error wraps ErrPopulation.
func (p Population) Validate() error {
	switch {
	case p.Count < 1:
		return fmt.Errorf("%w: of %d lwB4s", ErrPopulation, p.Count)
	case p.PrefixBits < 1 || p.PrefixBits > 64:
		return fmt.Errorf("%w: prefixes of %d bits", ErrPopulation, p.PrefixBits)
	case !p.First.Is6() || !p.BR.Is6():
		return fmt.Errorf("%w: lwB4 %s and BR %s must be IPv6 addresses", ErrPopulation, p.First, p.BR)
	case uint64(p.Count-1)>>p.PrefixBits != 0, p.Address(p.Count - 1).Less(p.First):
		return fmt.Errorf("%w: %d prefixes of %d bits do not fit behind %s", ErrPopulation, p.Count, p.PrefixBits, p.First)
	}
	return p.want(0, 0).Validate()
}

// Address is that of lwB4 i.
func (p Population) Address(i int) netip.Addr {
	a := p.First.As16()
	high := binary.BigEndian.Uint64(a[:]) + uint64(i)<<(64-p.PrefixBits)
	binary.BigEndian.PutUint64(a[:], high)
	return netip.AddrFrom16(a)
}

// index is which lwB4 has an address.
func (p *Population) index(a netip.Addr) (int, bool) {
	if !a.Is6() {
		return 0, false
	}
	first, sixteen := p.First.As16(), a.As16()
	distance := binary.BigEndian.Uint64(sixteen[:]) - binary.BigEndian.Uint64(first[:])
	i := distance >> (64 - p.PrefixBits)
	if i >= uint64(p.Count) || p.Address(int(i)) != a {
		return 0, false
	}
	return int(i), true
}

// want is what lwB4 i asks for in its life-th life, from 0.
func (p *Population) want(i, life int) client.Want {
	want := client.Want{Nonce: p.nonce(i, life), InternalPort: 1, Ports: p.Ports, Lifetime: p.Lifetime}
	if p.Protocol != 0 {
		want.Protocol, want.InternalPort, want.Ports = p.Protocol, genericPort, 1
	}
	return want
}

// genericPort is the port that generic clients ask for.
const genericPort = 4000

func (p *Population) nonce(i, life int) (n pcpmsg.Nonce) {
	random := rand.NewPCG(p.Seed+uint64(life), uint64(i))
	binary.BigEndian.PutUint64(n[:], random.Uint64())
	binary.BigEndian.PutUint32(n[8:], uint32(random.Uint64()))
	return n
}

// The well-known addresses in a softwire (RFC 6333 section 5.7).
var (
	softwireB4   = netip.AddrFrom4([4]byte{192, 0, 0, 2})
	softwireAFTR = netip.AddrFrom4([4]byte{192, 0, 0, 1})
)

// client is the socket of lwB4 i.
func (p *Population) client(i int) netip.AddrPort {
	const first = 1024
	port := first + uint16(rand.NewPCG(^p.Seed, uint64(i)).Uint64()%(1<<16-first))
	if p.InSoftwire {
		return netip.AddrPortFrom(softwireB4, port)
	}
	return netip.AddrPortFrom(p.Address(i), port)
}

// server is what the lwB4s send to.
func (p *Population) server() netip.AddrPort {
	if p.InSoftwire {
		return netip.AddrPortFrom(softwireAFTR, pcpmsg.ServerPort)
	}
	return netip.AddrPortFrom(p.BR, pcpmsg.ServerPort)
}

// packet is a datagram of lwB4 i on its way.
func (p *Population) packet(i int, payload []byte) []byte {
	d := datagram.Datagram{From: p.client(i), To: p.server(), Payload: payload}
	if p.InSoftwire {
		d.OuterFrom, d.OuterTo = p.Address(i), p.BR
	}
	return d.Packet()
}

// receive takes a packet that came to one of the lwB4s.
func (p *Population) receive(packet []byte) (i int, d datagram.Datagram, ok bool) {
	d, err := datagram.Parse(packet)
	if err != nil {
		return 0, datagram.Datagram{}, false
	}
	to := d.To.Addr()
	if p.InSoftwire {
		to = d.OuterTo
		if d.OuterFrom != p.BR {
			return 0, datagram.Datagram{}, false
		}
	}
	if i, ok = p.index(to); !ok || d.To != p.client(i) {
		return 0, datagram.Datagram{}, false
	}
	return i, d, true
}
