package store

import (
	"encoding/binary"
	"fmt"
	"net/netip"

	"github.com/lwaftr/lw4o6/plugin/portset"
	"github.com/lwaftr/lw4o6/plugin/softwire"
)

// keySize is the length of an encoded key.
const keySize = 8

// AppendKey appends key to b: the IPv4 address, psid-offset, psid-len and the
// PSID, which takes two bytes, in network byte order. Encoded keys order like
// Key.Compare.
func AppendKey(b []byte, key softwire.Key) []byte {
	ip, params := key.IPv4.As4(), key.PortSet.Params()
	b = append(b, ip[:]...)
	b = append(b, params.Offset(), params.Length())
	return binary.BigEndian.AppendUint16(b, key.PortSet.PSID())
}

// ParseKey reads what AppendKey wrote. The error wraps ErrCorrupt.
func ParseKey(b []byte) (softwire.Key, error) {
	if len(b) != keySize {
		return softwire.Key{}, fmt.Errorf("%w: a key of %d bytes instead of %d", ErrCorrupt, len(b), keySize)
	}
	set, err := portset.Of(b[4], b[5], binary.BigEndian.Uint16(b[6:]))
	if err != nil {
		return softwire.Key{}, fmt.Errorf("%w: %w", ErrCorrupt, err)
	}
	return softwire.Key{IPv4: netip.AddrFrom4([4]byte(b[:4])), PortSet: set}, nil
}
