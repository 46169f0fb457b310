package pcp

import (
	"net/netip"
	"unicode/utf8"

	"github.com/lwaftr/lw4o6/pcp/pcpmsg"
	"github.com/lwaftr/lw4o6/plugin/portset"
)

// readOptions takes the options in the order in which they appear (RFC 6887
// section 7.3).
func (c *Config) readOptions(a *ask, from Origin) error {
	var seen [256]bool
	for o := range a.Options.All() {
		if !c.serves(a.Opcode, o.Code, from) {
			// RFC 6887 section 7.3: "UNSUPP_OPTION if the option is unrecognized,
			// unimplemented, or disabled, or if the client is not authorized to use the
			// option."
			if o.Code.Mandatory() {
				return fault(pcpmsg.UnsuppOption, o.Code.String())
			}
			continue
		}
		// RFC 6887 section 7.3: all that are served may appear once.
		if seen[o.Code] {
			return fault(pcpmsg.MalformedOption, o.Code.String()+" twice")
		}
		seen[o.Code] = true
		if err := a.readOption(o); err != nil {
			return err
		}
	}
	return nil
}

// serves says whether an option is processed. FILTER is not: a lwAFTR that
// accepted it would have to drop what it does not allow, and cannot. PREFIX64
// is ignored, as its RFC allows.
func (c *Config) serves(opcode pcpmsg.Opcode, code pcpmsg.OptionCode, from Origin) bool {
	if opcode != pcpmsg.Map {
		return false
	}
	switch code {
	case pcpmsg.CodePortSet, pcpmsg.CodePreferFailure, pcpmsg.CodeDescription:
		return true
	case pcpmsg.CodeThirdParty, pcpmsg.CodeThirdPartyID:
		return c.speaksForOthers(from)
	}
	return false
}

func (a *ask) readOption(o pcpmsg.Option) error {
	switch o.Code {
	case pcpmsg.CodePortSet:
		p, err := pcpmsg.ParsePortSet(o.Data)
		if err != nil {
			return err
		}
		return a.readPortSet(p)
	case pcpmsg.CodeDescription:
		// RFC 7220 section 3: an invalid one is as if it was not there.
		if text, valid := pcpmsg.ParseDescription(o.Data); valid {
			a.described, a.description = true, cut(string(text))
		}
	case pcpmsg.CodePreferFailure:
		_, err := pcpmsg.ParsePreferFailure(o.Data)
		a.preferFailure = true
		return err
	case pcpmsg.CodeThirdParty:
		t, err := pcpmsg.ParseThirdParty(o.Data)
		a.thirdParty = netip.Addr(t)
		return err
	case pcpmsg.CodeThirdPartyID:
		id, err := pcpmsg.ParseThirdPartyID(o.Data)
		a.thirdPartyID = id
		return err
	}
	return nil
}

// maxDescription is the most octets of a description that are kept, as many as RFC
// 7220 section 3 wants.
const maxDescription = 128

// cut is as much of a text as is kept, in whole characters.
func cut(text string) string {
	if len(text) <= maxDescription {
		return text
	}
	end := maxDescription
	for !utf8.RuneStart(text[end]) {
		end--
	}
	return text[:end]
}

func (a *ask) readPortSet(p pcpmsg.PortSet) error {
	switch {
	// RFC 7753 section 4.2.
	case p.Size == 0 && a.Lifetime != 0:
		return fault(pcpmsg.MalformedOption, "PORT_SET of no port")
	// RFC 7753 section 4: "this field MUST be set equal to the Internal Port field
	// in the MAP Opcode by the PCP client."
	case p.FirstInternal != a.Mapping.InternalPort:
		return fault(pcpmsg.MalformedOption, "PORT_SET begins at another port than MAP")
	// RFC 7753 section 4.2: for one port the option "is silently ignored".
	case p.Size == 1:
		return nil
	}
	last := min(int(p.FirstInternal)+max(int(p.Size), 1)-1, 0xffff)
	a.set, a.parity = true, p.Parity
	a.within = portset.Range{First: p.FirstInternal, Last: uint16(last)}
	return nil
}

// addressLength is the length of a THIRD_PARTY_ID that names a lwB4: its IPv6
// address.
const addressLength = 16

// thirdPartyRules finds whose mapping a third party asks for: that of the lwB4
// whose address THIRD_PARTY has, or, if that is one of those that all lwB4s have
// in their softwires, of the one whose address THIRD_PARTY_ID has (RFC 7843).
func (a *ask) thirdPartyRules(from Origin) error {
	switch {
	// RFC 7843 section 5.2.
	case !a.thirdParty.IsValid() && a.thirdPartyID != nil:
		return fault(pcpmsg.ThirdPartyMissingOption, "THIRD_PARTY_ID without THIRD_PARTY")
	case !a.thirdParty.IsValid() && !a.lwb4.Is6():
		return fault(pcpmsg.NotAuthorized, "over IPv4 and not about a lwB4")
	case !a.thirdParty.IsValid():
		return nil
	// RFC 6887 section 13.1.
	case a.thirdParty == from.Source:
		return fault(pcpmsg.MalformedRequest, "THIRD_PARTY is the sender")
	}
	a.strict = true
	switch {
	case a.thirdParty.Is6() && a.thirdPartyID == nil:
		a.lwb4 = a.thirdParty
		return nil
	case a.thirdPartyID == nil:
		return fault(pcpmsg.ThirdPartyMissingOption, "an address that all lwB4s have, without THIRD_PARTY_ID")
	case len(a.thirdPartyID) != addressLength:
		return fault(pcpmsg.UnsuppThirdPartyIDLength, "THIRD_PARTY_ID is not the address of a lwB4")
	}
	a.lwb4 = netip.AddrFrom16([addressLength]byte(a.thirdPartyID))
	if a.lwb4.Is4In6() || a.thirdParty.Is6() && a.thirdParty != a.lwb4 {
		return fault(pcpmsg.ThirdPartyIDUnknown, "THIRD_PARTY_ID names another lwB4")
	}
	return nil
}
