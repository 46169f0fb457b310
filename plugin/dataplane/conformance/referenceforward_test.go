package conformance

import (
	"bytes"
	"context"
	"encoding/binary"
	"net/netip"
	"slices"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"

	"github.com/lwaftr/lw4o6/plugin/dataplane"
	"github.com/lwaftr/lw4o6/plugin/softwire"
)

// send processes one packet (RFC 7596 sections 6.2 and 8.1).
func (r *reference) send(_ context.Context, side dataplane.Side, packet []byte) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if side == dataplane.SideIPv4 {
		r.fromInternet(packet)
	} else {
		r.fromAccess(packet)
	}
	return nil
}

func (r *reference) fromInternet(packet []byte) {
	ip, ok := header4(packet)
	if !ok || (checksum(packet[:int(ip.IHL)*4]) != 0 && !r.flaws["ignores the header checksum"]) {
		r.drop("malformed")
		return
	}
	sw, ok := r.owner(addr(ip.DstIP), receiverPort(ip))
	if !ok {
		r.drop("unbound")
		return
	}
	if ip.TTL <= 1 {
		r.drop("ttl")
		if !r.flaws["no time exceeded"] && !isError(ip) || r.flaws["errors about errors"] {
			r.emit(dataplane.SideIPv4, timeExceededAbout(packet))
		}
		return
	}
	r.count(&r.counters.Encapsulated, packet)
	r.count(&r.rows[sw.Key()].ToB4, packet)
	r.encapsulate(sw, hop(packet))
}

func (r *reference) encapsulate(sw softwire.Softwire, packet []byte) {
	o := outer{src: sw.BR, dst: sw.B4, class: packet[1], hops: 64}
	switch {
	case r.flaws["class not copied"]:
		o.class = 0
	case r.flaws["wrong outer source"]:
		o.src = r.network.BRs[0]
	case r.flaws["ttl kept"]:
		binary.BigEndian.PutUint16(packet[10:], 0)
		packet[8]++
		binary.BigEndian.PutUint16(packet[10:], checksum(packet[:int(packet[0]&15)*4]))
	}
	r.emit(dataplane.SideIPv6, o.around(packet))
}

func (r *reference) fromAccess(packet []byte) {
	if len(packet) < 40 || packet[0]>>4 != 6 || int(binary.BigEndian.Uint16(packet[4:])) > len(packet)-40 {
		r.drop("malformed")
		return
	}
	src, dst, next, payload := addr(packet[8:24]), addr(packet[24:40]), packet[6], packet[40:]
	if !slices.Contains(r.network.BRs, dst) && !r.flaws["any destination"] {
		r.drop("not ours")
		return
	}
	if next == 17 && len(payload) >= 8 && binary.BigEndian.Uint16(payload[2:]) == pcpPort {
		r.divert(dataplane.ReasonPCP, packet)
		return
	}
	ip, ok := header4(payload)
	if next != 4 || !ok {
		r.drop("not a tunnel")
		return
	}
	if pcp, ok := r.isPCP(ip); ok && pcp {
		r.divert(dataplane.ReasonPCPSoftwire, packet)
		return
	}
	sw, ok := r.permitted(src, dst, addr(ip.SrcIP), senderPort(ip))
	if !ok {
		r.drop("not permitted")
		return
	}
	r.fromB4(sw, ip, payload)
}

func (r *reference) fromB4(sw softwire.Softwire, ip *layers.IPv4, packet []byte) {
	if ip.TTL <= 1 && !r.flaws["forwards expired"] {
		r.drop("ttl")
		if !r.flaws["no time exceeded"] && !isError(ip) {
			r.encapsulate(sw, timeExceededAbout(packet))
		}
		return
	}
	if !r.hasAddress(addr(ip.DstIP)) || r.flaws["no hairpin"] {
		r.count(&r.counters.Decapsulated, packet)
		r.count(&r.rows[sw.Key()].FromB4, packet)
		r.emit(dataplane.SideIPv4, hop(packet))
		return
	}
	to, ok := r.owner(addr(ip.DstIP), receiverPort(ip))
	if !ok {
		r.drop("unbound")
		return
	}
	r.count(&r.counters.Hairpinned, packet)
	r.count(&r.rows[sw.Key()].FromB4, packet)
	r.count(&r.rows[to.Key()].ToB4, packet)
	r.encapsulate(to, hop(packet))
}

// hasAddress reports whether ip is of a pool.
func (r *reference) hasAddress(ip netip.Addr) bool {
	return slices.ContainsFunc(r.network.Pools, func(p netip.Prefix) bool { return p.Contains(ip) })
}

// port is what takes the place of a port; ok is false if there is none.
type port struct {
	number uint16
	ok     bool
}

// owner finds the softwire that inbound packets for ip and p go to.
func (r *reference) owner(ip netip.Addr, p port) (softwire.Softwire, bool) {
	for key, sw := range r.softwires {
		if key.IPv4 == ip && (key.PortSet.Whole() || p.ok && key.PortSet.Contains(p.number)) {
			return sw, true
		}
	}
	return softwire.Softwire{}, false
}

// permitted finds a softwire by which src may send from ip and p through dst.
func (r *reference) permitted(src, dst, ip netip.Addr, p port) (softwire.Softwire, bool) {
	for _, sw := range r.softwires {
		switch inSet := sw.PortSet.Whole() || p.ok && sw.PortSet.Contains(p.number); {
		case sw.B4 != src && !r.flaws[flaw(OuterSource)]:
		case sw.BR != dst && !r.flaws[flaw(OuterDestination)]:
		case sw.IPv4 != ip && !r.flaws[flaw(InnerAddress)]:
		case !inSet && !r.flaws[flaw(InnerPort)]:
		default:
			return sw, true
		}
	}
	return softwire.Softwire{}, false
}

func (r *reference) isPCP(ip *layers.IPv4) (bool, bool) {
	if r.flaws["no pcp"] {
		return false, false
	}
	inside := netip.MustParsePrefix("192.0.0.0/29").Contains(addr(ip.SrcIP)) || r.flaws["pcp from anywhere"]
	return inside && addr(ip.DstIP) == wellKnownAFTR && ip.Protocol == layers.IPProtocolUDP &&
		len(ip.Payload) >= 8 && binary.BigEndian.Uint16(ip.Payload[2:]) == pcpPort, true
}

// receiverPort is the port, or what stands for it, of the packet's destination.
func receiverPort(ip *layers.IPv4) port { return portAt(ip, 2, 0) }

// senderPort is the same of its source.
func senderPort(ip *layers.IPv4) port { return portAt(ip, 0, 2) }

// portAt reads the port at offset; in an ICMP error the one at the offset
// embedded of the packet that it quotes, which went the other way.
func portAt(ip *layers.IPv4, offset, embedded int) port {
	at := func(b []byte, n int) port {
		if len(b) < n+2 {
			return port{}
		}
		return port{binary.BigEndian.Uint16(b[n:]), true}
	}
	const identifier = 4
	switch {
	case ip.Protocol == layers.IPProtocolUDP || ip.Protocol == layers.IPProtocolTCP:
		return at(ip.Payload, offset)
	case ip.Protocol != layers.IPProtocolICMPv4 || len(ip.Payload) < 8:
		return port{}
	case ip.Payload[0] == echoRequest || ip.Payload[0] == echoReply:
		return at(ip.Payload, identifier)
	case !isError(ip) || len(ip.Payload) < 8+20:
		return port{}
	}
	quote := ip.Payload[8:]
	rest := quote[min(len(quote), int(quote[0]&15)*4):]
	switch layers.IPProtocol(quote[9]) {
	case layers.IPProtocolUDP, layers.IPProtocolTCP:
		return at(rest, embedded)
	case layers.IPProtocolICMPv4:
		return at(rest, identifier)
	}
	return port{}
}

func isError(ip *layers.IPv4) bool {
	return ip.Protocol == layers.IPProtocolICMPv4 && len(ip.Payload) > 0 &&
		slices.Contains([]byte{unreachable, timeExceeded, parameterProblem}, ip.Payload[0])
}

// header4 takes a packet apart if all of it is there.
func header4(packet []byte) (*layers.IPv4, bool) {
	if len(packet) < 20 || packet[0]>>4 != 4 {
		return nil, false
	}
	size, total := int(packet[0]&15)*4, int(binary.BigEndian.Uint16(packet[2:]))
	if size < 20 || total < size || total > len(packet) {
		return nil, false
	}
	var ip layers.IPv4
	if err := ip.DecodeFromBytes(packet, gopacket.NilDecodeFeedback); err != nil {
		return nil, false
	}
	return &ip, true
}

// hop is a copy of packet with its TTL decremented.
func hop(packet []byte) []byte {
	packet = bytes.Clone(packet)
	packet[8]--
	packet[10], packet[11] = 0, 0
	size := int(packet[0]&15) * 4
	binary.BigEndian.PutUint16(packet[10:], checksum(packet[:size]))
	return packet
}

// checksum is RFC 1071's, of an even number of bytes.
func checksum(b []byte) uint16 {
	sum := uint32(0)
	for i := 0; i < len(b); i += 2 {
		sum += uint32(binary.BigEndian.Uint16(b[i:]))
	}
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	return ^uint16(sum)
}

func timeExceededAbout(packet []byte) []byte {
	return icmp4(wellKnownAFTR, addr(packet[12:16]), timeExceeded, 0, 0, packet).bytes()
}

func addr(b []byte) netip.Addr {
	a, _ := netip.AddrFromSlice(b)
	return a.Unmap()
}

func (r *reference) emit(side dataplane.Side, packet []byte) { r.out[side] <- packet }

func (r *reference) divert(reason dataplane.Reason, packet []byte) {
	if r.flaws["exceptions are forwarded too"] {
		r.emit(dataplane.SideIPv4, packet[40:])
	}
	select {
	case r.exceptions <- dataplane.Exception{Side: dataplane.SideIPv6, Reason: reason, Packet: bytes.Clone(packet)}:
	default:
		if !r.flaws["exceptions vanish"] {
			r.drop("exceptions full")
		}
	}
}

func (r *reference) drop(cause string) {
	if r.flaws["drops not counted"] {
		return
	}
	if r.events[cause] == nil {
		r.events[cause] = &dataplane.Event{Name: cause, Drop: true}
	}
	r.events[cause].Packets++
}

func (r *reference) count(t *dataplane.Traffic, packet []byte) {
	t.Packets++
	t.Bytes += uint64(len(packet))
	if r.flaws["counts the tunnel header"] {
		t.Bytes += 40
	}
}
