package pcpmsg

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"unicode/utf8"
)

// Lengths of option data, in octets.
const (
	thirdPartyLength = 16
	filterLength     = 20
	portSetLength    = 5
	maxVariable      = 1016 // of THIRD_PARTY_ID and DESCRIPTION
)

// ThirdParty asks for a mapping of another host: its internal address (RFC 6887
// section 13.1).
type ThirdParty netip.Addr

// ParseThirdParty reads the data of a THIRD_PARTY option. The error is a *Fault.
func ParseThirdParty(data []byte) (ThirdParty, error) {
	if len(data) != thirdPartyLength {
		return ThirdParty{}, errThirdPartyLength
	}
	return ThirdParty(parseAddr(data)), nil
}

// Append returns the options with this one behind them.
func (t ThirdParty) Append(o Options) Options {
	var data [thirdPartyLength]byte
	return o.Append(Option{CodeThirdParty, appendAddr(data[:0], netip.Addr(t))})
}

// ThirdPartyID tells hosts with equal internal addresses apart, in octets whose
// meaning client and server agreed on, at most 1016 (RFC 7843).
type ThirdPartyID []byte

// ParseThirdPartyID reads the data of a THIRD_PARTY_ID option. The error is a
// *Fault.
func ParseThirdPartyID(data []byte) (ThirdPartyID, error) {
	if len(data) > maxVariable {
		return nil, errThirdPartyIDWidth
	}
	return data, nil
}

// Append returns the options with this one behind them.
func (t ThirdPartyID) Append(o Options) Options { return o.Append(Option{CodeThirdPartyID, t}) }

// PreferFailure asks for the suggested address and port or none (RFC 6887
// section 13.2).
type PreferFailure struct{}

// ParsePreferFailure reads the data of a PREFER_FAILURE option. The error is a
// *Fault.
func ParsePreferFailure(data []byte) (PreferFailure, error) {
	if len(data) != 0 {
		return PreferFailure{}, errPreferFailLength
	}
	return PreferFailure{}, nil
}

// Append returns the options with this one behind them.
func (PreferFailure) Append(o Options) Options { return o.Append(Option{Code: CodePreferFailure}) }

// Filter lets only a remote peer reach a mapping (RFC 6887 section 13.3).
type Filter struct {
	// PrefixLength is how many bits of the address count, as on the wire: for an
	// IPv4 address 96 more than those of IPv4. 0 removes all filters.
	PrefixLength uint8
	Port         uint16 // 0 is all
	Remote       netip.Addr
}

// ParseFilter reads the data of a FILTER option. The error is a *Fault.
func ParseFilter(data []byte) (Filter, error) {
	if len(data) != filterLength {
		return Filter{}, errFilterLength
	}
	f := Filter{PrefixLength: data[1], Port: binary.BigEndian.Uint16(data[2:]), Remote: parseAddr(data[4:])}
	// RFC 6887 section 13.3: IPv4 "valid prefix lengths are between 96 and 128
	// bits", IPv6 between 0 and 128; "The value 0 indicates 'no filter'".
	if f.PrefixLength > 128 || f.Remote.Is4() && f.PrefixLength < 96 && f.PrefixLength != 0 {
		return Filter{}, errFilterPrefix
	}
	return f, nil
}

// Append returns the options with this one behind them.
func (f Filter) Append(o Options) Options {
	var data [filterLength]byte
	b := append(data[:0], 0, f.PrefixLength)
	b = binary.BigEndian.AppendUint16(b, f.Port)
	return o.Append(Option{CodeFilter, appendAddr(b, f.Remote)})
}

// PortSet asks for, or grants, consecutive ports from the internal and the
// external port of a MAP on (RFC 7753 section 4).
type PortSet struct {
	Size          uint16 // in ports; in a request 0xffff is as many as there may be
	FirstInternal uint16 // in a request the internal port of the MAP
	Parity        bool   // whether odd ports shall be odd outside, and even ones even
}

// AllPorts is the Size that asks for as many ports as the server may give.
const AllPorts = 0xffff

const parityBit = 1

// ParsePortSet reads the data of a PORT_SET option. The error is a *Fault. A
// Size of 0 is no error here, since it is none in a deletion (RFC 7753 section
// 4.2).
func ParsePortSet(data []byte) (PortSet, error) {
	if len(data) != portSetLength {
		return PortSet{}, errPortSetLength
	}
	return PortSet{
		Size:          binary.BigEndian.Uint16(data),
		FirstInternal: binary.BigEndian.Uint16(data[2:]),
		Parity:        data[4]&parityBit != 0,
	}, nil
}

// Append returns the options with this one behind them.
func (p PortSet) Append(o Options) Options {
	var data [portSetLength]byte
	binary.BigEndian.PutUint16(data[:], p.Size)
	binary.BigEndian.PutUint16(data[2:], p.FirstInternal)
	if p.Parity {
		data[4] = parityBit
	}
	return o.Append(Option{CodePortSet, data[:]})
}

// Description is a text about a mapping, for people; an empty one erases what
// was said before (RFC 7220).
type Description string

// ParseDescription reads the data of a DESCRIPTION option. An option that is not
// valid is no fault of the request: RFC 7220 section 3 has the server ignore it.
func ParseDescription(data []byte) (text Description, valid bool) {
	// RFC 7220 section 2: at most 1016 octets of UTF-8, which "MUST NOT be null
	// terminated".
	if len(data) > maxVariable || !utf8.Valid(data) || bytes.HasSuffix(data, []byte{0}) {
		return "", false
	}
	return Description(data), true
}

// Append returns the options with this one behind them.
func (d Description) Append(o Options) Options {
	return o.Append(Option{CodeDescription, []byte(d)})
}
