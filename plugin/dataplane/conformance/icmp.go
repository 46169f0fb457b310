package conformance

import (
	"bytes"
	"errors"
	"fmt"
	"slices"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
)

// matchError says why got is not an ICMPv4 error of that type and code about p,
// sent to p's source.
func matchError(p packet4, kind, code uint8, got []byte) error {
	decoded := decode(got)
	ip, ok := decoded.NetworkLayer().(*layers.IPv4)
	if !ok || decoded.ErrorLayer() != nil {
		return fmt.Errorf("got %s, want an ICMPv4 error", describe(got))
	}
	icmp, ok := decoded.Layer(layers.LayerTypeICMPv4).(*layers.ICMPv4)
	if !ok {
		return fmt.Errorf("got %s, want an ICMPv4 error", describe(got))
	}
	switch {
	case icmp.TypeCode != layers.CreateICMPv4TypeCode(kind, code):
		return fmt.Errorf("got ICMPv4 %s, want %d/%d", icmp.TypeCode, kind, code)
	case ip.SrcIP.IsUnspecified() || bytes.Equal(ip.SrcIP.To4(), p.src.AsSlice()):
		return fmt.Errorf("the error comes from %s", ip.SrcIP)
	case !bytes.Equal(ip.DstIP.To4(), p.src.AsSlice()):
		return fmt.Errorf("the error goes to %s, want %s", ip.DstIP, p.src)
	case ip.TTL < 2:
		return fmt.Errorf("the error has a TTL of %d", ip.TTL)
	}
	return errors.Join(
		checksumsRight(ip, icmp),
		matchQuote(p, icmp.Payload),
	)
}

// checksumsRight recomputes the checksums of an ICMPv4 message.
func checksumsRight(ip *layers.IPv4, icmp *layers.ICMPv4) error {
	header := *ip
	again := serialize(&header, gopacket.Payload(ip.Payload))
	if header.Checksum != ip.Checksum {
		return fmt.Errorf("IPv4 header checksum %#04x, want %#04x in %x", ip.Checksum, header.Checksum, again)
	}
	message := *icmp
	serialize(&message, gopacket.Payload(icmp.Payload))
	if message.Checksum != icmp.Checksum {
		return fmt.Errorf("ICMPv4 checksum %#04x, want %#04x", icmp.Checksum, message.Checksum)
	}
	return nil
}

// matchQuote compares what an error quotes with p. A router may have
// decremented the TTL already, and mended the checksum for it or not.
func matchQuote(p packet4, quote []byte) error {
	mask := func(b []byte) []byte {
		b = slices.Clone(b)
		b[8], b[10], b[11] = 0, 0, 0
		return b
	}
	want := p.bytes()
	least := len(p.quoted())
	if len(quote) < least {
		return fmt.Errorf("the error quotes %d bytes, want at least %d", len(quote), least)
	}
	n := min(len(quote), len(want))
	if !bytes.Equal(mask(quote[:n]), mask(want[:n])) {
		return fmt.Errorf("the error quotes %x, want the start of %x", quote, want)
	}
	return nil
}

// isErrorAbout reports whether got, which came out of the side that in went
// into, is an ICMP error to the sender of in: what a lwAFTR may send for a
// packet that it drops (RFC 7596 section 6.2).
func isErrorAbout(in, got []byte) bool {
	if src, dst, inner, ok := open(got); ok {
		// An ICMPv4 error to a lwB4 goes back through its tunnel.
		inSrc, inDst, inInner, ok := open(in)
		return ok && src == inDst && dst == inSrc && isErrorAbout(inInner, inner)
	}
	if len(in) < 20 || len(got) < 28 || in[0]>>4 != got[0]>>4 {
		return false
	}
	if got[0]>>4 == 4 {
		types := []byte{unreachable, timeExceeded, parameterProblem}
		return got[9] == uint8(layers.IPProtocolICMPv4) && bytes.Equal(got[16:20], in[12:16]) &&
			slices.Contains(types, got[20])
	}
	if len(in) < 40 || len(got) < 48 {
		return false
	}
	// RFC 4443 section 2.1: types below 128 are errors.
	return got[6] == uint8(layers.IPProtocolICMPv6) && bytes.Equal(got[24:40], in[8:24]) && got[40] < 128
}
