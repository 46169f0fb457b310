package reference

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
)

// ipv4HeaderLen is that of an IPv4 header without options.
const ipv4HeaderLen = 20

// datagram is an IPv4 packet. Its options are not taken apart but kept, as they
// came, in IPv4.Padding.
type datagram struct {
	layers.IPv4
	received []byte // the octets it was decoded from, without padding after them
	origin   bool   // the lwAFTR made it, so its identification is free
}

// parse4 decodes an IPv4 packet that may have padding after it. The header
// checksum is left to the caller.
func parse4(b []byte) (*datagram, error) {
	// RFC 1812 section 5.2.2, tests 1, 3, 4 and 5, and that the link delivered
	// as much as the packet says it is.
	if len(b) < ipv4HeaderLen {
		return nil, errors.New("too short for an IPv4 header")
	}
	version, header, total := b[0]>>4, int(b[0]&15)*4, int(b[2])<<8|int(b[3])
	switch {
	case version != 4:
		return nil, fmt.Errorf("version %d", version)
	case header < ipv4HeaderLen:
		return nil, fmt.Errorf("header of %d octets", header)
	case total < header:
		return nil, fmt.Errorf("total length %d is less than the header's %d", total, header)
	case len(b) < total:
		return nil, fmt.Errorf("%d octets came, total length is %d", len(b), total)
	}
	d := &datagram{received: b[:total]}
	// The library refuses packets for their options, which a router need not
	// understand, so it decodes what is left without them.
	plain := slices.Concat(b[:ipv4HeaderLen], b[header:total])
	plain[0], plain[2], plain[3] = 4<<4|ipv4HeaderLen/4, byte(len(plain)>>8), byte(len(plain))
	if err := d.DecodeFromBytes(plain, gopacket.NilDecodeFeedback); err != nil {
		return nil, err
	}
	d.Options, d.Padding = nil, b[ipv4HeaderLen:header]
	return d, nil
}

func (d *datagram) src() netip.Addr { return netip.AddrFrom4([4]byte(d.SrcIP)) }
func (d *datagram) dst() netip.Addr { return netip.AddrFrom4([4]byte(d.DstIP)) }

func (d *datagram) headerLen() int { return ipv4HeaderLen + len(d.Padding) }
func (d *datagram) len() int       { return d.headerLen() + len(d.Payload) }

func (d *datagram) df() bool       { return d.Flags&layers.IPv4DontFragment != 0 }
func (d *datagram) more() bool     { return d.Flags&layers.IPv4MoreFragments != 0 }
func (d *datagram) fragment() bool { return d.more() || d.FragOffset != 0 }

func (d *datagram) ecn() uint8 { return d.TOS & 3 }

// headerSound reports whether the header checksum that came is right.
func (d *datagram) headerSound() bool { return sound(d.received[:d.headerLen()]) }

// bytes builds the packet with its checksum.
func (d *datagram) bytes() []byte {
	return build(&d.IPv4, gopacket.Payload(d.Payload))
}

// clone is a datagram that can be changed without changing d.
func (d *datagram) clone() *datagram {
	c := *d
	c.Payload = slices.Clone(d.Payload)
	return &c
}

// build serialises layers with lengths and checksums put right.
func build(l ...gopacket.SerializableLayer) []byte {
	into := gopacket.NewSerializeBuffer()
	err := gopacket.SerializeLayers(into, gopacket.SerializeOptions{FixLengths: true, ComputeChecksums: true}, l...)
	if err != nil {
		// Only what this package decoded or made is built.
		panic(fmt.Sprintf("packet cannot be built: %v", err))
	}
	return into.Bytes()
}

// sound reports whether b, an even or odd number of octets with a checksum
// among them, sums up to all ones (RFC 1071).
func sound(b []byte) bool { return gopacket.FoldChecksum(gopacket.ComputeChecksum(b, 0)) == 0 }
