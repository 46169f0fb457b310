package reference

import (
	"encoding/binary"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"

	"github.com/lwaftr/lw4o6/plugin/forwarder"
)

// tcpHeaderLen is that of a TCP header without options.
const tcpHeaderLen = 20

// clamp lowers the MSS of a TCP handshake to what fits both MTUs. Only the
// segment that has the option is looked at, so not fragments.
func (s *step) clamp(d *datagram) {
	if !s.Config.ClampMSS || d.Protocol != layers.IPProtocolTCP || d.fragment() {
		return
	}
	at := mssOption(d.Payload)
	if at < 0 {
		return
	}
	limit := min(s.Config.IPv4MTU, s.Config.TunnelMTU-tunnelHeaderLen) - ipv4HeaderLen - tcpHeaderLen
	mss := int(binary.BigEndian.Uint16(d.Payload[at:]))
	if mss <= limit {
		return
	}
	s.count(forwarder.ClampedMSS)
	s.say("MSS %d becomes %d", mss, limit)
	// The checksum has to be as right or as wrong as it was: it changes by what
	// the sum of the rest changes.
	const checksum = 16
	rest := func() uint32 {
		b := append([]byte(nil), d.Payload...)
		b[checksum], b[checksum+1] = 0, 0
		return uint32(^gopacket.FoldChecksum(gopacket.ComputeChecksum(b, 0)))
	}
	before := rest()
	d.Payload = append([]byte(nil), d.Payload...)
	binary.BigEndian.PutUint16(d.Payload[at:], uint16(limit))
	after := rest()
	old := uint32(^binary.BigEndian.Uint16(d.Payload[checksum:]))
	binary.BigEndian.PutUint16(d.Payload[checksum:], gopacket.FoldChecksum(old+0xffff-before+after))
}

// mssOption returns where in a TCP segment the value of its MSS option is (RFC
// 9293 section 3.1), or -1 if it has none or is no SYN.
func mssOption(tcp []byte) int {
	const syn, end, nop, mss = 2, 0, 1, 2
	if len(tcp) < tcpHeaderLen || tcp[13]&syn == 0 {
		return -1
	}
	header := int(tcp[12]>>4) * 4
	if header < tcpHeaderLen || header > len(tcp) {
		return -1
	}
	for at := tcpHeaderLen; at < header && tcp[at] != end; {
		if tcp[at] == nop {
			at++
			continue
		}
		if at+1 >= header || tcp[at+1] < 2 || at+int(tcp[at+1]) > header {
			return -1
		}
		if tcp[at] == mss && tcp[at+1] == 4 {
			return at + 2
		}
		at += int(tcp[at+1])
	}
	return -1
}
