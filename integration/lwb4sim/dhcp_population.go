package lwb4sim

import (
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"strconv"

	"github.com/insomniacslk/dhcp/dhcpv6"
	"github.com/insomniacslk/dhcp/iana"

	"github.com/lwaftr/lw4o6/pcp/datagram"
)

// DHCPPopulation says which lwB4s there are, and how they reach a DHCPv6 server.
type DHCPPopulation struct {
	Count int
	// Relay and Server are the addresses that a relay of the lwB4s and the server
	// talk from; each lwB4 is behind an interface of its own of the relay. Without
	// them the lwB4s are on a link of the server.
	Relay, Server netip.Addr
	// RapidCommit has them ask for it (RFC 8415 section 18.2.1).
	RapidCommit bool
	Seed        uint64
}

// Validate finds what cannot be. The error wraps ErrPopulation.
func (p DHCPPopulation) Validate() error {
	switch {
	case p.Count < 1 || p.Count > 1<<24:
		return fmt.Errorf("%w: of %d lwB4s", ErrPopulation, p.Count)
	case p.Relay.IsValid() != p.Server.IsValid(), p.Relay.Is4(), p.Server.Is4():
		return fmt.Errorf("%w: relay %s and server %s must be IPv6 addresses, or both unset", ErrPopulation, p.Relay, p.Server)
	}
	return nil
}

// allServers is All_DHCP_Relay_Agents_and_Servers (RFC 8415 section 7.1).
var allServers = netip.MustParseAddr("ff02::1:2")

// linkLocal is the address that lwB4 i speaks from.
func (p *DHCPPopulation) linkLocal(i int) netip.Addr {
	a := [16]byte{0: 0xfe, 1: 0x80, 8: 2}
	binary.BigEndian.PutUint32(a[12:], uint32(i))
	return netip.AddrFrom16(a)
}

// index is which lwB4 speaks from an address.
func (p *DHCPPopulation) index(a netip.Addr) (int, bool) {
	sixteen := a.As16()
	i := int(binary.BigEndian.Uint32(sixteen[12:]))
	return i, i < p.Count && a == p.linkLocal(i)
}

// duid is the client identifier of lwB4 i.
func (p *DHCPPopulation) duid(i int) dhcpv6.DUID {
	mac := net.HardwareAddr{2, byte(p.Seed), byte(p.Seed >> 8), byte(i >> 16), byte(i >> 8), byte(i)}
	return &dhcpv6.DUIDLL{HWType: iana.HWTypeEthernet, LinkLayerAddr: mac}
}

// packet is a message of lwB4 i on its way, from the relay on if there is one.
func (p *DHCPPopulation) packet(i int, m *dhcpv6.Message) ([]byte, error) {
	if !p.Relay.IsValid() {
		return datagram.Datagram{
			From:    netip.AddrPortFrom(p.linkLocal(i), dhcpv6.DefaultClientPort),
			To:      netip.AddrPortFrom(allServers, dhcpv6.DefaultServerPort),
			Payload: m.ToBytes(),
		}.Packet(), nil
	}
	relayed, err := dhcpv6.EncapsulateRelay(m, dhcpv6.MessageTypeRelayForward, p.Relay.AsSlice(), p.linkLocal(i).AsSlice())
	if err != nil {
		return nil, err
	}
	relayed.AddOption(dhcpv6.OptInterfaceID(p.interfaceID(i)))
	return datagram.Datagram{
		From:    netip.AddrPortFrom(p.Relay, dhcpv6.DefaultServerPort),
		To:      netip.AddrPortFrom(p.Server, dhcpv6.DefaultServerPort),
		Payload: relayed.ToBytes(),
	}.Packet(), nil
}

func (p *DHCPPopulation) interfaceID(i int) []byte {
	return strconv.AppendInt([]byte("line "), int64(i), 10)
}

// receive takes a packet that came to one of the lwB4s, or to their relay.
func (p *DHCPPopulation) receive(packet []byte) (i int, m *dhcpv6.Message, ok bool) {
	d, err := datagram.Parse(packet)
	if err != nil {
		return 0, nil, false
	}
	received, err := dhcpv6.FromBytes(d.Payload)
	if err != nil {
		return 0, nil, false
	}
	to, port := d.To.Addr(), uint16(dhcpv6.DefaultClientPort)
	if relayed, ok := received.(*dhcpv6.RelayMessage); ok != p.Relay.IsValid() {
		return 0, nil, false
	} else if ok {
		if to != p.Relay || relayed.MessageType != dhcpv6.MessageTypeRelayReply {
			return 0, nil, false
		}
		to, port = netip.AddrFrom16([16]byte(relayed.PeerAddr.To16())), dhcpv6.DefaultServerPort
		if i, known := p.index(to); !known || string(relayed.Options.InterfaceID()) != string(p.interfaceID(i)) {
			return 0, nil, false
		}
	}
	m, err = received.GetInnerMessage()
	if i, ok = p.index(to); !ok || err != nil || d.To.Port() != port {
		return 0, nil, false
	}
	return i, m, true
}
