package pcp

import (
	"net/netip"

	"github.com/lwaftr/lw4o6/pcp/pcpmsg"
	"github.com/lwaftr/lw4o6/plugin/portset"
)

// Origin is where a request came from.
type Origin struct {
	// LwB4 is the IPv6 source address, the outer one in a softwire.
	LwB4 netip.Addr
	// Source is the source address of the datagram: the inner one in a softwire,
	// otherwise LwB4.
	Source   netip.Addr
	Softwire bool
	// Port is the source port, and Server the address that was asked: the outer one
	// in a softwire. With Port 0 the client is not told of changes.
	Port   uint16
	Server netip.Addr
}

// ask is a MAP request that is well-formed and allowed.
type ask struct {
	pcpmsg.Request
	from Origin
	lwb4 netip.Addr // whose mapping it is about
	// within are the internal ports that may be mapped.
	within portset.Range
	// set says that a port set was asked for, and not one port or all.
	set           bool
	parity        bool
	preferFailure bool
	// described says that there is a description, which may be empty.
	described   bool
	description string
	// thirdParty and its ID are as in the request, to be returned.
	thirdParty   netip.Addr
	thirdPartyID pcpmsg.ThirdPartyID
	// strict says that the nonce has to be that of the mapping.
	strict bool
}

// softwireSources are the addresses of lwB4s in the softwire (RFC 6333 section
// 5.7). Hosts behind a lwB4 cannot send from them.
var softwireSources = netip.PrefixFrom(netip.AddrFrom4([4]byte{192, 0, 0, 0}), 29)

// fault is a result that a request is answered with, and why, for logs.
func fault(result pcpmsg.ResultCode, reason string) error {
	return &pcpmsg.Fault{Result: result, Reason: reason}
}

// read parses a request and makes the checks that need no state, in the order of
// RFC 6887 section 8.2. The error is a *pcpmsg.Fault or wraps pcpmsg.ErrDrop.
func (c *Config) read(from Origin, payload []byte) (*ask, error) {
	// RFC 6887 section 8.2: other interfaces than that of the client's packets are
	// ignored. What is not the lwB4's own address came from behind it.
	if from.Softwire && !softwireSources.Contains(from.Source) {
		return nil, pcpmsg.ErrDrop
	}
	r, err := pcpmsg.ParseRequest(payload)
	if err != nil {
		return nil, err
	}
	// RFC 6887 section 8.2: "If they do not match, the error ADDRESS_MISMATCH MUST
	// be returned."
	if r.Client != from.Source {
		return nil, fault(pcpmsg.AddressMismatch, "the request names another source address")
	}
	a := &ask{Request: r, from: from, lwb4: from.LwB4, strict: !from.Softwire || c.SoftwireNonce == NonceStrict}
	switch r.Opcode {
	case pcpmsg.Announce, pcpmsg.Map:
	default:
		// PEER is about mappings of single flows, which a lwAFTR does not have.
		return nil, fault(pcpmsg.UnsuppOpcode, r.Opcode.String())
	}
	// RFC 6887 section 7.3: "If the overall option structure of a request cannot
	// successfully be parsed", before any of them is looked at.
	if err := r.Options.Validate(); err != nil {
		return nil, err
	}
	if err := c.readOptions(a, from); err != nil {
		return nil, err
	}
	if r.Opcode == pcpmsg.Map {
		return a, c.readMap(a, from)
	}
	return a, nil
}

// readMap checks what the fields and options of a MAP say together.
func (c *Config) readMap(a *ask, from Origin) error {
	m := &a.Mapping
	switch {
	// RFC 6887 section 11.3, but for the request that RFC 7753 section 5.2 has
	// lwB4s send, of all protocols and from a port on.
	case m.Protocol == 0 && m.InternalPort != 0 && !a.set:
		return fault(pcpmsg.MalformedRequest, "a port of all protocols")
	// RFC 6887 section 13.2.
	case a.preferFailure && m.ExternalPort == 0:
		return fault(pcpmsg.MalformedOption, "PREFER_FAILURE without a suggested port")
	// RFC 6887 section 11.3: "option does not make sense (e.g., the PREFER_FAILURE
	// option is included in a request with lifetime=0)".
	case a.preferFailure && a.Lifetime == 0:
		return fault(pcpmsg.MalformedOption, "PREFER_FAILURE in a deletion")
	// RFC 7753 section 4.2.
	case a.preferFailure && a.set:
		return fault(pcpmsg.MalformedOption, "PREFER_FAILURE with PORT_SET")
	// RFC 6887 section 11.3: no mapping for a protocol that was not asked for, and
	// a port set is for all of them (RFC 7596 section 3).
	case m.Protocol != 0 && (!c.AnyProtocol || m.InternalPort == 0):
		return fault(pcpmsg.UnsuppProtocol, "a port set is for all protocols")
	}
	if err := a.thirdPartyRules(from); err != nil {
		return err
	}
	if !a.set {
		a.within = allPorts
	}
	return nil
}
