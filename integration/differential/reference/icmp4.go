package reference

import (
	"encoding/binary"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"

	"github.com/lwaftr/lw4o6/plugin/forwarder"
	"github.com/lwaftr/lw4o6/plugin/softwire"
)

const (
	// maxICMPv4Error is the most octets of an ICMPv4 error (RFC 1812 section
	// 4.3.2.3).
	maxICMPv4Error = 576
	// originTTL is the TTL or hop limit of packets that the lwAFTR makes: the
	// default of the assigned numbers, since that of tunnels is for tunnels.
	originTTL = 64
)

// tunnelHeaderLen is what encapsulation adds.
const tunnelHeaderLen = 40

func (s *step) hostUnreachable(d *datagram, from *softwire.Softwire) {
	if s.mayComplain(d, from, s.Config.ICMPv4.Unreachable) {
		s.complain(d, from, unreachable, layers.ICMPv4CodeHost, 0, forwarder.SentICMPv4Unreachable)
	}
}

func (s *step) timeExceeded(d *datagram, from *softwire.Softwire) {
	if s.mayComplain(d, from, s.Config.ICMPv4.TimeExceeded) {
		s.complain(d, from, timeExceeded, layers.ICMPv4CodeTTLExceeded, 0, forwarder.SentICMPv4TimeExceeded)
	}
}

// tooBig tells d's sender the MTU of the next link (RFC 1191).
func (s *step) tooBig(d *datagram, from *softwire.Softwire, mtu int) {
	if s.mayComplain(d, from, s.Config.ICMPv4.TooBig) {
		s.complain(d, from, unreachable, layers.ICMPv4CodeFragmentationNeeded, uint32(mtu), forwarder.SentICMPv4TooBig)
	}
}

// mayComplain reports whether an ICMPv4 error about d may be sent, if the
// operator allows it (RFC 1812 section 4.3.2.7).
func (s *step) mayComplain(d *datagram, from *softwire.Softwire, allowed bool) bool {
	why := ""
	switch {
	case !allowed:
		why = "it is switched off"
	case from == nil && s.ours(d.src()):
		// A choice: from the Internet that can only be forged.
		why = "its source is behind a softwire"
	case d.FragOffset != 0:
		why = "not the first fragment"
	case martianDestination4(d.dst()):
		why = "not to a unicast address"
	case martianSource4(d.src()):
		why = "not from a unicast address"
	case d.Protocol == layers.IPProtocolICMPv4 && (len(d.Payload) == 0 || !icmpQuery(d.Payload[0])):
		// Of unknown types none is safe: a choice.
		why = "about what may be an ICMP error"
	}
	if why != "" {
		s.say("no ICMPv4 error: %s", why)
		return false
	}
	return true
}

// complain sends an ICMPv4 error about d to where d came from.
func (s *step) complain(d *datagram, from *softwire.Softwire, kind, code uint8, rest uint32, e forwarder.Event) {
	// Data is as it came; what forwarding did to the header need not be undone.
	quote := d.bytes()
	quote = quote[:min(len(quote), maxICMPv4Error-ipv4HeaderLen-icmpHeaderLen)]
	s.count(e)
	s.say("ICMPv4 %d/%d to %s", kind, code, d.src())
	s.reply(s.icmp(d, kind, code, rest, quote), from)
}

// icmp makes an ICMPv4 error that quotes something of a packet whose source it
// is for.
func (s *step) icmp(about *datagram, kind, code uint8, rest uint32, quote []byte) *datagram {
	body := binary.BigEndian.AppendUint32(nil, rest)
	body = append(body, quote...)
	message := &layers.ICMPv4{
		TypeCode: layers.CreateICMPv4TypeCode(kind, code),
		Id:       binary.BigEndian.Uint16(body),
		Seq:      binary.BigEndian.Uint16(body[2:]),
	}
	return &datagram{
		IPv4: layers.IPv4{
			Version: 4,
			// RFC 1812 section 4.3.2.5 wants the TOS of what provoked the error, and
			// recommends precedence 6 or 7; that of what provoked it is a choice.
			// ECN is no part of it (RFC 3168).
			TOS:      about.TOS &^ 3,
			TTL:      originTTL,
			Protocol: layers.IPProtocolICMPv4,
			SrcIP:    s.Config.IPv4Address.AsSlice(),
			DstIP:    about.SrcIP,
			BaseLayer: layers.BaseLayer{
				Payload: build(message, gopacket.Payload(body[4:])),
			},
		},
		origin: true,
	}
}

// reply sends a packet of the lwAFTR's own making to where the packet that it
// answers came from.
func (s *step) reply(d *datagram, from *softwire.Softwire) {
	if from == nil {
		s.emit4(d)
		return
	}
	s.tunnel(d, from)
}

// local processes a packet to the lwAFTR's own IPv4 address.
func (s *step) local(d *datagram, from *softwire.Softwire) {
	if d.Protocol != layers.IPProtocolICMPv4 {
		s.drop(forwarder.DropLocal, "protocol %d", d.Protocol)
		return
	}
	if d.fragment() {
		// RFC 1812 section 4.3.3.6: be prepared to reassemble echo requests.
		if d = s.gather(d, from); d == nil {
			return
		}
	}
	if !sound(d.Payload) {
		s.drop(forwarder.DropLocal, "ICMPv4 checksum")
		return
	}
	if len(d.Payload) < icmpHeaderLen || d.Payload[0] != echoRequest || d.Payload[1] != 0 {
		s.drop(forwarder.DropLocal, "ICMPv4, and no echo request")
		return
	}
	// RFC 792, RFC 1812 section 4.3.3.6: all of the data comes back, from the
	// address that was asked. The TOS is that of the request (4.3.2.5). Options
	// are left out: to answer with an unreversed source route is not allowed.
	answer := *d
	answer.SrcIP, answer.DstIP = d.DstIP, d.SrcIP
	answer.TTL, answer.Flags, answer.Padding, answer.origin = originTTL, 0, nil, true
	answer.Payload = build(
		&layers.ICMPv4{
			TypeCode: layers.CreateICMPv4TypeCode(echoReply, 0),
			Id:       binary.BigEndian.Uint16(d.Payload[4:]),
			Seq:      binary.BigEndian.Uint16(d.Payload[6:]),
		},
		gopacket.Payload(d.Payload[icmpHeaderLen:]),
	)
	s.count(forwarder.EchoReplyIPv4)
	s.say("echo reply to %s", d.src())
	s.reply(&answer, from)
}
