package server

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"

	"github.com/insomniacslk/dhcp/dhcpv6"

	"github.com/lwaftr/lw4o6/coredhcp-plugin/delegation"
)

// Bounds of what a message may hold.
const (
	maxDUID     = 130 // octets; RFC 8415 section 11.1: 128 and the type
	maxIAs      = 16  // IA_PDs; a client has as many as it has upstream prefixes
	maxPrefixes = 16  // in an IA_PD
	maxHops     = 32  // relays
	maxID       = 128 // octets of an Interface-ID or Remote-ID
)

var (
	// errMessage is why a message is dropped, whoever sent it.
	errMessage = errors.New("unusable message")
	// errElsewhere is why a message is dropped that nothing is wrong with: where there
	// are several servers on a link all of them hear it.
	errElsewhere = errors.New("it is for another server")
)

// question is what a client asks.
type question struct {
	kind dhcpv6.MessageType
	// duid and client are empty in an Information-request without an identifier.
	duid  string
	who   delegation.Holder // without an IAID
	at    link
	asked dhcpv6.OptionCodes
	ias   []association
	// addresses: it has IAs of another type.
	addresses bool
	rapid     bool
}

// association is an IA_PD.
type association struct {
	id       uint32
	prefixes []netip.Prefix // with a length at most 128, masked
}

// link is where a client is.
type link struct {
	// address is the link-address of the relay closest to the client that has one.
	address netip.Addr
	relayed bool
	device  string // of the server, if that is known
	// interfaceID and remoteID are those of the relay closest to the client. The
	// remoteID is without, and enterprise with, the enterprise number.
	interfaceID, remoteID, enterprise string
}

// port is a port of a relay, empty if the relay does not tell.
func (l link) port() string {
	if l.interfaceID == "" {
		return ""
	}
	address := l.address.As16()
	return string(address[:]) + l.interfaceID
}

// line is what tells the lines of clients apart; empty if nothing does.
func (l link) line() string { return cmp.Or(l.port(), l.enterprise) }

// questionOf reads what req asks. resp is the answer as it is so far: it has the
// server's identifier. The error wraps errMessage or errElsewhere; beside it is
// what was read.
func (s *Server) questionOf(device string, req dhcpv6.DHCPv6, resp *dhcpv6.Message) (q question, err error) {
	fail := func(why string) (question, error) { return q, fmt.Errorf("%w: %s", errMessage, why) }
	if q.at, err = linkOf(device, req); err != nil {
		return q, err
	}
	msg, err := req.GetInnerMessage()
	if err != nil {
		return q, fmt.Errorf("%w: %w", errMessage, err)
	}
	q.kind, q.asked = msg.Type(), msg.Options.RequestedOptions()
	if id := msg.Options.ClientID(); id != nil {
		duid := id.ToBytes()
		if len(duid) > maxDUID {
			return fail("the client identifier is too long")
		}
		q.duid = string(duid)
	}
	if err := q.identified(msg, resp); err != nil {
		return q, err
	}
	pds := msg.Options.IAPD()
	q.addresses = len(msg.Options.IANA())+len(msg.Options.IATA()) > 0
	// RFC 8415 section 16.12.
	if q.kind == dhcpv6.MessageTypeInformationRequest && (len(pds) > 0 || q.addresses) {
		return fail("an Information-request with an IA")
	}
	if len(pds) > maxIAs {
		return fail(fmt.Sprintf("%d IA_PDs", len(pds)))
	}
	for _, pd := range pds {
		one := association{id: binary.BigEndian.Uint32(pd.IaId[:])}
		if len(pd.Options.Prefixes()) > maxPrefixes {
			return fail(fmt.Sprintf("an IA_PD with %d prefixes", len(pd.Options.Prefixes())))
		}
		for _, p := range pd.Options.Prefixes() {
			if prefix, ok := prefixOf(p.Prefix); ok {
				one.prefixes = append(one.prefixes, prefix)
			}
		}
		q.ias = append(q.ias, one)
	}
	q.rapid = msg.GetOneOption(dhcpv6.OptionRapidCommit) != nil
	return q, s.identify(&q)
}

// identified checks who a message is from and to. RFC 8415 sections 16.2, 16.4 to
// 16.9 and 16.12.
func (q question) identified(msg, resp *dhcpv6.Message) error {
	server := msg.GetOneOption(dhcpv6.OptionServerID)
	own := resp.GetOneOption(dhcpv6.OptionServerID)
	if own == nil {
		return fmt.Errorf("%w: the server has no identifier (in coredhcp: put server_id before)", errMessage)
	}
	meant := server != nil && bytes.Equal(server.ToBytes(), own.ToBytes())
	switch q.kind {
	case dhcpv6.MessageTypeSolicit, dhcpv6.MessageTypeConfirm, dhcpv6.MessageTypeRebind:
		if server != nil {
			return fmt.Errorf("%w: a %s to one server", errMessage, q.kind)
		}
	case dhcpv6.MessageTypeRequest, dhcpv6.MessageTypeRenew, dhcpv6.MessageTypeRelease, dhcpv6.MessageTypeDecline:
		switch {
		case server == nil:
			return fmt.Errorf("%w: a %s to no server", errMessage, q.kind)
		case !meant:
			return errElsewhere
		}
	case dhcpv6.MessageTypeInformationRequest:
		if server != nil && !meant {
			return errElsewhere
		}
		return nil
	default:
		return fmt.Errorf("%w: message type %s", errMessage, q.kind)
	}
	if q.duid == "" {
		return fmt.Errorf("%w: no client identifier", errMessage)
	}
	return nil
}

// identify finds what the client is known by. The error wraps errMessage.
func (s *Server) identify(q *question) error {
	q.who.Line = q.at.line()
	switch s.config.Identity {
	case ByInterfaceID:
		q.who.Client = q.at.port()
	case ByRemoteID:
		q.who.Client = q.at.enterprise
	default:
		q.who.Client = q.duid
		return nil
	}
	if q.who.Client == "" {
		return fmt.Errorf("%w: the relay sent no %s", errMessage, s.config.Identity)
	}
	q.who.DUID = q.duid
	return nil
}

// linkOf is where a message came from (RFC 8415 section 13.1). The error wraps
// errMessage.
func linkOf(device string, req dhcpv6.DHCPv6) (link, error) {
	at := link{device: device, address: netip.IPv6Unspecified()}
	hops := 0
	for relay, ok := req.(*dhcpv6.RelayMessage); ok; relay, ok = relay.Options.RelayMessage().(*dhcpv6.RelayMessage) {
		if hops++; hops > maxHops {
			return at, fmt.Errorf("%w: more than %d relays", errMessage, maxHops)
		}
		if relay.MessageType != dhcpv6.MessageTypeRelayForward {
			return at, fmt.Errorf("%w: a %s", errMessage, relay.MessageType)
		}
		at.relayed = true
		// RFC 6221 section 6.1: a relay on the client's own link sends zeros.
		if a, ok := netip.AddrFromSlice(relay.LinkAddr); ok && !a.IsUnspecified() {
			at.address = a
		}
		// The last one is closest to the client.
		at.interfaceID, at.remoteID, at.enterprise = string(relay.Options.InterfaceID()), "", ""
		if r := relay.Options.RemoteID(); r != nil {
			at.remoteID, at.enterprise = string(r.RemoteID), string(r.ToBytes())
		}
	}
	if len(at.interfaceID) > maxID || len(at.remoteID) > maxID {
		return at, fmt.Errorf("%w: the relay's identifiers are too long", errMessage)
	}
	return at, nil
}

// prefixOf is a prefix as it stands in an IA Prefix option, if it is one.
func prefixOf(n *net.IPNet) (netip.Prefix, bool) {
	if n == nil {
		return netip.Prefix{}, false
	}
	bits, size := n.Mask.Size()
	a, ok := netip.AddrFromSlice(n.IP)
	if !ok || size != 128 || !a.Is6() {
		return netip.Prefix{}, false
	}
	return netip.PrefixFrom(a, bits).Masked(), true
}
