package bindings

import (
	"fmt"
	"net/netip"

	"github.com/lwaftr/lw4o6/plugin/config/element"
	"github.com/lwaftr/lw4o6/plugin/pool"
	"github.com/lwaftr/lw4o6/plugin/portset"
	"github.com/lwaftr/lw4o6/plugin/softwire"
)

// The keys of an Entry: leaf names of RFC 8676.
const (
	keyIPv4       = "binding-ipv4-addr"
	keyIPv6Info   = "binding-ipv6info"
	keyPSIDOffset = "psid-offset"
	keyPSIDLen    = "psid-len"
	keyPSID       = "psid"
	keyBR         = "br-ipv6-addr"
)

// Entry is one softwire as it is written down. What is nil or zero comes from
// the pool that holds the address.
type Entry struct {
	IPv4 netip.Addr `yaml:"binding-ipv4-addr" config:"required"`
	// IPv6Info is the lwB4's address, or the prefix it is made from.
	IPv6Info   IPv6Info   `yaml:"binding-ipv6info" config:"required"`
	PSIDOffset *uint8     `yaml:"psid-offset"`
	PSIDLen    *uint8     `yaml:"psid-len"`
	PSID       *uint16    `yaml:"psid"` // right-justified; not for a whole address
	BR         netip.Addr `yaml:"br-ipv6-addr"`
}

// Softwire is the softwire that e describes among pools. The error is of
// package element and wraps those of package portset and softwire.
func (e Entry) Softwire(pools *pool.Index) (softwire.Softwire, error) {
	p, ok := pools.Find(e.IPv4)
	if !ok {
		return softwire.Softwire{}, element.Errorf(keyIPv4, "%s is in no pool", e.IPv4)
	}
	if !p.Allows(pool.Static) {
		return softwire.Softwire{}, element.Errorf(keyIPv4, "%s is in pool %q, whose mechanisms do not include %s", e.IPv4, p.Name, pool.Static)
	}
	if e.PSIDOffset != nil {
		p.PSIDOffset = *e.PSIDOffset
	}
	if e.PSIDLen != nil {
		p.PSIDLen = *e.PSIDLen
	}
	if e.BR.IsValid() {
		p.BR = e.BR
	}
	params, err := p.Params()
	if err != nil {
		return softwire.Softwire{}, element.At(keyPSIDLen, err)
	}
	var psid uint16
	switch {
	case e.PSID != nil:
		psid = *e.PSID
	case !params.Whole():
		return softwire.Softwire{}, element.Errorf(keyPSID, "is missing: with psid-len %d an address has %d port sets", params.Length(), params.Sets())
	}
	set, err := portset.New(params, psid)
	if err != nil {
		return softwire.Softwire{}, element.At(keyPSID, err)
	}
	b4 := e.IPv6Info.B4(e.IPv4, psid)
	s := softwire.Softwire{IPv4: e.IPv4, PortSet: set, B4: b4, BR: p.BR}
	return s, s.Validate()
}

// IPv6Info is the binding-ipv6info of RFC 8676: an address, kept as a prefix
// of 128 bits, or a shorter prefix.
type IPv6Info struct{ prefix netip.Prefix }

// AddressInfo is the IPv6Info of the lwB4 address a.
func AddressInfo(a netip.Addr) IPv6Info { return IPv6Info{netip.PrefixFrom(a, 128)} }

// PrefixInfo is the IPv6Info of the prefix p.
func PrefixInfo(p netip.Prefix) IPv6Info { return IPv6Info{p} }

// UnmarshalText accepts an IPv6 address or an IPv6 prefix.
func (i *IPv6Info) UnmarshalText(text []byte) error {
	s := string(text)
	if a, err := netip.ParseAddr(s); err == nil && a.Is6() && a.Zone() == "" {
		*i = AddressInfo(a)
		return nil
	}
	p, err := netip.ParsePrefix(s)
	if err != nil || !p.Addr().Is6() || p != p.Masked() {
		return fmt.Errorf("%.60q is neither an IPv6 address nor an IPv6 prefix", s)
	}
	*i = PrefixInfo(p)
	return nil
}

// MarshalText is the address or the prefix.
func (i IPv6Info) MarshalText() ([]byte, error) {
	if i.prefix.Bits() == 128 {
		return i.prefix.Addr().MarshalText()
	}
	return i.prefix.MarshalText()
}

// B4 is the tunnel address of the lwB4 that holds psid of ipv4.
func (i IPv6Info) B4(ipv4 netip.Addr, psid uint16) netip.Addr {
	bits := i.prefix.Bits()
	if bits < 0 || bits == 128 || !ipv4.Is4() {
		return i.prefix.Addr()
	}
	// RFC 7596 section 5.1, figure 3: a prefix shorter than 64 is padded with
	// zeros, then follow 16 zero bits, the IPv4 address and the PSID.
	a, v4 := i.prefix.Addr().As16(), ipv4.As4()
	id := [8]byte{0, 0, v4[0], v4[1], v4[2], v4[3], byte(psid >> 8), byte(psid)}
	// RFC 7597 section 6: a longer prefix overwrites the most significant
	// parts of the interface identifier.
	for bit := max(bits, 64); bit < 128; bit++ {
		a[bit/8] |= id[bit/8-8] & (0x80 >> (bit % 8))
	}
	return netip.AddrFrom16(a)
}
