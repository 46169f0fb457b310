package pcp

import (
	"encoding/binary"
	"errors"
	"net/netip"

	"github.com/lwaftr/lw4o6/pcp/datagram"
	"github.com/lwaftr/lw4o6/pcp/pcpmsg"
)

// contact is where and how a client can be told of its mapping without having
// asked: what of its last request has to be in the answers to that.
type contact struct {
	softwire     bool
	host         byte // of the client's address in 192.0.0.0/29, in a softwire
	port         uint16
	server       netip.Addr // that was asked; the outer one in a softwire
	protocol     uint8
	internalPort uint16 // as the answer had it
	set          bool   // a port set was asked for
	parity       bool
	only         bool // with PREFER_FAILURE
	epoch        uint32
	// thirdParty is who asked, and for whom; unset if that is the lwB4 itself.
	thirdParty netip.Addr
	internal   netip.Addr
	id         pcpmsg.ThirdPartyID
}

// The flags in the first octet of a contact.
const (
	contactSoftwire = 1 << iota
	contactSet
	contactParity
	contactOnly
	contactThirdParty
)

// Lengths of a contact, in octets: without and with a third party.
const (
	contactLength = 27
	contactThird  = contactLength + 32
)

// contactOf is the contact of who asked a, with the internal port that it is told.
func contactOf(a *ask, internalPort uint16, epoch uint32) contact {
	from := a.from
	c := contact{
		softwire: from.Softwire, port: from.Port, server: from.Server,
		protocol: a.Mapping.Protocol, internalPort: internalPort,
		set: a.set, parity: a.parity, only: a.preferFailure, epoch: epoch,
	}
	if from.Softwire {
		c.host = from.Source.As4()[3]
	}
	if a.thirdParty.IsValid() {
		c.thirdParty, c.internal, c.id = from.Source, a.thirdParty, a.thirdPartyID
	}
	return c
}

// append appends the contact to b, as it is kept: a flag octet, the host octet, the
// port, the protocol, the internal port, the epoch, the server's address, and of a
// third party the two addresses and the ID; all in network byte order.
func (c contact) append(b []byte) []byte {
	var flags byte
	for bit, on := range []bool{c.softwire, c.set, c.parity, c.only, c.thirdParty.IsValid()} {
		if on {
			flags |= 1 << bit
		}
	}
	b = append(b, flags, c.host)
	b = binary.BigEndian.AppendUint16(b, c.port)
	b = append(b, c.protocol)
	b = binary.BigEndian.AppendUint16(b, c.internalPort)
	b = binary.BigEndian.AppendUint32(b, c.epoch)
	b = appendAddr(b, c.server)
	if c.thirdParty.IsValid() {
		b = appendAddr(appendAddr(b, c.thirdParty), c.internal)
		b = append(b, c.id...)
	}
	return b
}

func appendAddr(b []byte, a netip.Addr) []byte {
	sixteen := a.As16()
	return append(b, sixteen[:]...)
}

// errContact reports something that is no contact.
var errContact = errors.New("not the contact of a PCP client")

// parseContact reads what append wrote.
func parseContact(s string) (contact, error) {
	b := []byte(s)
	if len(b) < contactLength {
		return contact{}, errContact
	}
	flags := b[0]
	c := contact{
		softwire: flags&contactSoftwire != 0, host: b[1], port: binary.BigEndian.Uint16(b[2:]),
		protocol: b[4], internalPort: binary.BigEndian.Uint16(b[5:]), epoch: binary.BigEndian.Uint32(b[7:]),
		server: netip.AddrFrom16([16]byte(b[11:])).Unmap(),
		set:    flags&contactSet != 0, parity: flags&contactParity != 0, only: flags&contactOnly != 0,
	}
	switch third := flags&contactThirdParty != 0; {
	case !third && len(b) != contactLength, third && len(b) < contactThird:
		return contact{}, errContact
	case third:
		c.thirdParty = netip.AddrFrom16([16]byte(b[contactLength:])).Unmap()
		c.internal = netip.AddrFrom16([16]byte(b[contactLength+16:])).Unmap()
		if len(b) > contactThird {
			c.id = pcpmsg.ThirdPartyID(b[contactThird:])
		}
	}
	return c, nil
}

// softwireServer is the server's address in a softwire (RFC 6333 section 5.7).
var softwireServer = netip.AddrFrom4([4]byte{192, 0, 0, 1})

// reaches is a datagram to the client of a binding.
func (c contact) reaches(lwb4 netip.Addr, payload []byte) datagram.Datagram {
	d := datagram.Datagram{From: netip.AddrPortFrom(c.server, pcpmsg.ServerPort), Payload: payload}
	switch {
	case c.softwire:
		d.OuterFrom, d.OuterTo = c.server, lwb4
		d.From = netip.AddrPortFrom(softwireServer, pcpmsg.ServerPort)
		d.To = netip.AddrPortFrom(netip.AddrFrom4([4]byte{192, 0, 0, c.host}), c.port)
	case c.thirdParty.IsValid():
		d.To = netip.AddrPortFrom(c.thirdParty, c.port)
	default:
		d.To = netip.AddrPortFrom(lwb4, c.port)
	}
	return d
}

// ask is the request again, as far as an answer has something of it.
func (c contact) ask(b Binding) *ask {
	a := &ask{from: Origin{LwB4: b.LwB4}, set: c.set, parity: c.parity, preferFailure: c.only, thirdParty: c.internal, thirdPartyID: c.id}
	if c.thirdParty.IsValid() {
		a.from.LwB4 = c.thirdParty
	}
	a.Mapping = pcpmsg.Mapping{Nonce: b.Nonce, Protocol: c.protocol, InternalPort: c.internalPort}
	return a
}
