package stream

import (
	"encoding/binary"
	"net/netip"

	"github.com/lwaftr/lw4o6/plugin/portset"
	"github.com/lwaftr/lw4o6/plugin/softwire"
)

// parser takes the content of a message apart. After failed became true it returns
// nothing of use.
type parser struct {
	rest   []byte
	failed bool
}

// bytes returns the next n octets.
func (p *parser) bytes(n int) []byte {
	if n > len(p.rest) {
		p.failed = true
		return make([]byte, n)
	}
	b := p.rest[:n]
	p.rest = p.rest[n:]
	return b
}

// finished says whether everything was there, and nothing else.
func (p *parser) finished() bool { return !p.failed && len(p.rest) == 0 }

func (p *parser) uint8() uint8   { return p.bytes(1)[0] }
func (p *parser) uint16() uint16 { return binary.BigEndian.Uint16(p.bytes(2)) }
func (p *parser) uint32() uint32 { return binary.BigEndian.Uint32(p.bytes(4)) }
func (p *parser) uint64() uint64 { return binary.BigEndian.Uint64(p.bytes(8)) }

func (p *parser) addr() netip.Addr { return netip.AddrFrom16([16]byte(p.bytes(16))) }

func (p *parser) prefix() netip.Prefix {
	prefix := netip.PrefixFrom(p.addr(), int(p.uint8()))
	if !prefix.IsValid() {
		p.failed = true
	}
	return prefix
}

func (p *parser) key() softwire.Key {
	ipv4 := netip.AddrFrom4([4]byte(p.bytes(4)))
	set, err := portset.Of(p.uint8(), p.uint8(), p.uint16())
	if err != nil {
		p.failed = true
	}
	return softwire.Key{IPv4: ipv4, PortSet: set}
}

func (p *parser) text() string {
	n := int(p.uint16())
	if n > len(p.rest) {
		p.failed = true
		return ""
	}
	s := string(p.rest[:n])
	p.rest = p.rest[n:]
	return s
}
