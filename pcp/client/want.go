package client

import (
	"crypto/rand"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/lwaftr/lw4o6/pcp/pcpmsg"
)

// Want is the mapping that is asked for. For the port set of a lwB4 Protocol is
// 0, InternalPort 1 and Ports pcpmsg.AllPorts (RFC 7753 section 5.2).
type Want struct {
	// Nonce is the secret that client and server know the mapping by: as long as
	// the mapping is wanted it stays the same, also over a restart of the client
	// where that is possible, since a server may refuse another one until the
	// mapping expires.
	Nonce        pcpmsg.Nonce
	Protocol     uint8  // an IP protocol number; 0 is all
	InternalPort uint16 // the first one of a set; 0 is all
	// Ports asks for a port set of at most so many ports. 0 and 1 ask for one
	// port, or for all if InternalPort is 0.
	Ports  uint16
	Parity bool // of the ports of a set
	// Lifetime is asked for, in whole seconds.
	Lifetime time.Duration
	// Suggested is the external address and first port that would be welcome. It
	// may be unset, and need not be granted.
	Suggested netip.AddrPort
	// OnlySuggested refuses everything but Suggested (PREFER_FAILURE).
	OnlySuggested bool
	// ThirdParty is the internal address if it is not the client's own, and
	// ThirdPartyID what a server may need to tell hosts of that address apart.
	ThirdParty   netip.Addr
	ThirdPartyID string
	// Description is a text for the server's operator.
	Description string
}

// NewNonce returns a random nonce.
func NewNonce() pcpmsg.Nonce {
	var n pcpmsg.Nonce
	_, _ = rand.Read(n[:]) // never fails: see crypto/rand
	return n
}

// ErrWant reports a mapping that PCP cannot ask for.
var ErrWant = errors.New("a mapping that PCP cannot ask for")

// Validate finds what PCP does not allow. The error wraps ErrWant.
func (w Want) Validate() error {
	switch {
	case w.Lifetime < time.Second || w.Lifetime/time.Second > 1<<32-1:
		return fmt.Errorf("%w: lifetime %s is not between 1 s and 2^32-1 s", ErrWant, w.Lifetime)
	// RFC 7753 section 4.1: "PREFER_FAILURE MUST NOT appear in a request with a
	// PORT_SET option."
	case w.OnlySuggested && w.portSet():
		return fmt.Errorf("%w: only the suggested port, but a port set", ErrWant)
	// RFC 6887 section 13.2.
	case w.OnlySuggested && w.Suggested.Port() == 0:
		return fmt.Errorf("%w: only the suggested port, which is 0", ErrWant)
	// RFC 7843 section 5.1.
	case w.ThirdPartyID != "" && !w.ThirdParty.IsValid():
		return fmt.Errorf("%w: an identifier of a third party without its address", ErrWant)
	// RFC 6887 section 11.2: all protocols have internal port 0, but for a port
	// set (RFC 7753 section 5.2).
	case w.Protocol == 0 && w.InternalPort != 0 && !w.portSet():
		return fmt.Errorf("%w: port %d of all protocols without a port set", ErrWant, w.InternalPort)
	case len(w.AppendRequest(nil, netip.Addr{})) > pcpmsg.MaxLength:
		return fmt.Errorf("%w: the request has more than %d octets", ErrWant, pcpmsg.MaxLength)
	}
	return nil
}

// portSet says whether the request has a PORT_SET option. RFC 7753 section 4.1:
// it should not for a single port.
func (w *Want) portSet() bool { return w.Ports > 1 }

// AppendRequest appends the request for the mapping of a client that sends from
// an address.
func (w *Want) AppendRequest(b []byte, client netip.Addr) []byte {
	return w.append(b, client, w.Suggested, false)
}

// append appends a request that suggests something, or a deletion.
func (w *Want) append(b []byte, client netip.Addr, suggested netip.AddrPort, deletion bool) []byte {
	r := pcpmsg.Request{
		Opcode:   pcpmsg.Map,
		Lifetime: uint32(w.Lifetime / time.Second),
		Client:   client,
		Body: pcpmsg.Body{Mapping: pcpmsg.Mapping{
			Nonce:        w.Nonce,
			Protocol:     w.Protocol,
			InternalPort: w.InternalPort,
			External:     suggested.Addr(),
			ExternalPort: suggested.Port(),
		}},
	}
	// A family must be named even where no address is: lwB4s ask for IPv4 (RFC
	// 6887 section 11.1).
	if !r.Mapping.External.IsValid() {
		r.Mapping.External = netip.IPv4Unspecified()
	}
	if deletion {
		// RFC 6887 section 15.1: "the Suggested External Address and Suggested
		// External Port fields MUST be set to zero".
		r.Lifetime, r.Mapping.ExternalPort = 0, 0
		if r.Mapping.External.Is4() {
			r.Mapping.External = netip.IPv4Unspecified()
		} else {
			r.Mapping.External = netip.IPv6Unspecified()
		}
	}
	var space [64]byte
	r.Options = w.options(space[:0], deletion)
	return r.Append(b)
}

func (w *Want) options(o pcpmsg.Options, deletion bool) pcpmsg.Options {
	if w.ThirdParty.IsValid() {
		o = pcpmsg.ThirdParty(w.ThirdParty).Append(o)
	}
	if w.ThirdPartyID != "" {
		o = pcpmsg.ThirdPartyID(w.ThirdPartyID).Append(o)
	}
	// RFC 6887 section 11.3 has a deletion with PREFER_FAILURE refused.
	if w.OnlySuggested && !deletion {
		o = pcpmsg.PreferFailure{}.Append(o)
	}
	if w.Description != "" && !deletion {
		o = pcpmsg.Description(w.Description).Append(o)
	}
	// RFC 7753 section 4.4: also in a refresh and in a deletion.
	if w.portSet() {
		o = pcpmsg.PortSet{Size: w.Ports, FirstInternal: w.InternalPort, Parity: w.Parity}.Append(o)
	}
	return o
}

// Matches says whether a response is about this mapping: RFC 6887 section 11.4
// has internal address, protocol, internal port and nonce compared.
func (w *Want) Matches(r *pcpmsg.Response) bool {
	m := &r.Mapping
	if r.Opcode != pcpmsg.Map || m.Nonce != w.Nonce || m.Protocol != w.Protocol || m.InternalPort != w.InternalPort {
		return false
	}
	option, ok := r.Options.Find(pcpmsg.CodeThirdParty)
	if !ok {
		return !w.ThirdParty.IsValid()
	}
	address, err := pcpmsg.ParseThirdParty(option.Data)
	return err == nil && netip.Addr(address) == w.ThirdParty.Unmap()
}

// accepts says whether a success gives what was asked for.
func (w *Want) accepts(m *pcpmsg.Mapping) bool {
	// RFC 6887 section 13.2: "the PCP client MUST validate that the external IP
	// address, protocol, port, and nonce in a success response match the
	// associated suggested values from the request."
	return !w.OnlySuggested || netip.AddrPortFrom(m.External, m.ExternalPort) == w.Suggested
}
