package softwire

import (
	"encoding/binary"
	"net/netip"

	"github.com/lwaftr/lw4o6/plugin/portset"
)

// locator is a Key in one word that sorts as Key.Compare does: the IPv4 address
// in the high half, then a byte each of psid-offset and psid-len, and the PSID.
type locator uint64

// locate returns the locator of k. It reports false for an address that is not
// IPv4, which no table holds.
func locate(k Key) (locator, bool) {
	if !k.IPv4.Is4() {
		return 0, false
	}
	ip := k.IPv4.As4()
	return newLocator(binary.BigEndian.Uint32(ip[:]), k.PortSet.Params(), k.PortSet.PSID()), true
}

func newLocator(ip uint32, p portset.Params, psid uint16) locator {
	return locator(ip)<<32 | locator(p.Offset())<<24 | locator(p.Length())<<16 | locator(psid)
}

func (l locator) ip() uint32   { return uint32(l >> 32) }
func (l locator) psid() uint16 { return uint16(l) }

// params cannot fail: a locator is only made from parameters.
func (l locator) params() portset.Params {
	p, _ := portset.NewParams(uint8(l>>24), uint8(l>>16))
	return p
}

func (l locator) key() Key {
	return Key{IPv4: addr4(l.ip()), PortSet: setOf(l.params(), l.psid())}
}

// setOf cannot fail: it is only given PSIDs of sets that were made before.
func setOf(p portset.Params, psid uint16) portset.PortSet {
	s, _ := portset.New(p, psid)
	return s
}

func addr4(ip uint32) netip.Addr {
	return netip.AddrFrom4([4]byte{byte(ip >> 24), byte(ip >> 16), byte(ip >> 8), byte(ip)})
}
