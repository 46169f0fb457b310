package history

import (
	"encoding/binary"
	"net/netip"

	"github.com/lwaftr/lw4o6/plugin/portset"
	"github.com/lwaftr/lw4o6/plugin/softwire"
)

// packKey is k in 58 bits, in the order of softwire.Key.Compare: IPv4 address,
// psid-offset, psid-len, PSID.
func packKey(k softwire.Key) uint64 {
	ip := k.IPv4.As4()
	p := k.PortSet.Params()
	return uint64(binary.BigEndian.Uint32(ip[:]))<<26 | uint64(p.Offset())<<21 | uint64(p.Length())<<16 | uint64(k.PortSet.PSID())
}

// unpackKey is what packKey packed; it reports false for what it never gives.
func unpackKey(n uint64) (softwire.Key, bool) {
	set, err := portset.Of(uint8(n>>21&31), uint8(n>>16&31), uint16(n))
	k := softwire.Key{IPv4: packedIPv4(n), PortSet: set}
	return k, err == nil && packKey(k) == n
}

func packedIPv4(key uint64) netip.Addr {
	var ip [4]byte
	binary.BigEndian.PutUint32(ip[:], uint32(key>>26))
	return netip.AddrFrom4(ip)
}

// appendPrefix writes the length and as many bytes as it needs.
func appendPrefix(b []byte, p netip.Prefix) []byte {
	ip := p.Addr().As16()
	return append(append(b, byte(p.Bits())), ip[:(p.Bits()+7)/8]...)
}

// appendB4 writes what of b4 differs from the subscriber's prefix, in which a
// lwB4's address usually is: how many bytes are the same, how many zeros follow,
// and the rest.
func appendB4(b []byte, b4 netip.Addr, subscriber netip.Prefix) []byte {
	ip, like := b4.As16(), subscriber.Addr().As16()
	same := 0
	for same < 15 && ip[same] == like[same] {
		same++
	}
	zeros := 0
	for zeros < 15-same && ip[same+zeros] == 0 {
		zeros++
	}
	return append(append(b, byte(same<<4|zeros)), ip[same+zeros:]...)
}

func appendText(b []byte, text string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(text))), text...)
}

// fields reads encoded fields from a string, so that texts cost no memory of
// their own. After the first field that is not there, or not valid, bad is set
// and all further ones are zero.
type fields struct {
	rest string
	bad  bool
}

func (f *fields) fail() { f.rest, f.bad = "", true }

// take is the next n bytes, or nothing if there are fewer.
func (f *fields) take(n int) string {
	if n < 0 || n > len(f.rest) {
		f.fail()
		return ""
	}
	s := f.rest[:n]
	f.rest = f.rest[n:]
	return s
}

func (f *fields) byte() byte {
	if s := f.take(1); s != "" {
		return s[0]
	}
	return 0
}

func (f *fields) uvarint() uint64 {
	var n uint64
	for i := range min(len(f.rest), binary.MaxVarintLen64) {
		c := f.rest[i]
		if i == binary.MaxVarintLen64-1 && c > 1 {
			break // more than 64 bits
		}
		n |= uint64(c&0x7f) << (7 * i)
		if c < 0x80 {
			f.rest = f.rest[i+1:]
			return n
		}
	}
	f.fail()
	return 0
}

// varint reads what binary.AppendVarint wrote.
func (f *fields) varint() int64 {
	n := f.uvarint()
	return int64(n>>1) ^ -int64(n&1)
}

func (f *fields) stamp() stamp {
	s := stamp(f.uvarint())
	if s != 0 && !s.valid() {
		f.fail()
		return 0
	}
	return s
}

func (f *fields) key() softwire.Key {
	k, ok := unpackKey(f.uvarint())
	if !ok {
		f.fail()
	}
	return k
}

func (f *fields) addr() netip.Addr {
	var ip [16]byte
	copy(ip[:], f.take(16))
	return netip.AddrFrom16(ip)
}

func (f *fields) prefix() netip.Prefix {
	bits := int(f.byte())
	if bits > 128 {
		f.fail()
		return netip.Prefix{}
	}
	var ip [16]byte
	copy(ip[:], f.take((bits+7)/8))
	return netip.PrefixFrom(netip.AddrFrom16(ip), bits)
}

func (f *fields) b4(subscriber netip.Prefix) netip.Addr {
	counts := f.byte()
	same, zeros := int(counts>>4), int(counts&15)
	if same+zeros > 15 || !subscriber.IsValid() {
		f.fail()
		return netip.Addr{}
	}
	var ip [16]byte
	like := subscriber.Addr().As16()
	copy(ip[:same], like[:])
	copy(ip[same+zeros:], f.take(16-same-zeros))
	return netip.AddrFrom16(ip)
}

func (f *fields) text(most int) string {
	n := f.uvarint()
	if n > uint64(most) {
		f.fail()
		return ""
	}
	return f.take(int(n))
}
