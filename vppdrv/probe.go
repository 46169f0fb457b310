package vppdrv

import (
	"bytes"
	"encoding/binary"
	"net/netip"

	"github.com/lwaftr/lw4o6/plugin/forwarder/checksum"
	"github.com/lwaftr/lw4o6/vppdrv/plan"
	"github.com/lwaftr/lw4o6/vppdrv/topology"
)

// A probe is a tunnel packet from nobody to a BR address, with a UDP packet from
// plan.Probe to itself inside. VPP decapsulates it, finds that its destination
// is behind a softwire, encapsulates it and hands it over: the way of a packet
// between two lwB4s. It has some data, because very short packets take another
// way.
const (
	probeLength = ip6Header + ip4Header + udpHeader + probeData
	udpHeader   = 8
	probeData   = 8
	discardPort = 9
)

func probePacket(nowhere, br netip.Addr) []byte {
	const version6, version4, ipInIP, udp, ttl = 0x60, 0x45, 4, 17, 64
	b := make([]byte, probeLength)
	b[0], b[6], b[7] = version6, ipInIP, ttl
	binary.BigEndian.PutUint16(b[4:], probeLength-ip6Header)
	copy(b[8:], nowhere.AsSlice())
	copy(b[24:], br.AsSlice())
	i := b[ip6Header:]
	i[0], i[8], i[9] = version4, ttl, udp
	binary.BigEndian.PutUint16(i[2:], probeLength-ip6Header)
	copy(i[12:], plan.Probe().Addr().AsSlice())
	copy(i[16:], plan.Probe().Addr().AsSlice())
	binary.BigEndian.PutUint16(i[10:], checksum.Of(i[:ip4Header]))
	u := i[ip4Header:] // without a checksum (RFC 768)
	binary.BigEndian.PutUint16(u, discardPort)
	binary.BigEndian.PutUint16(u[2:], discardPort)
	binary.BigEndian.PutUint16(u[4:], udpHeader+probeData)
	return b
}

// isProbe reports whether an exception is a probe that came through VPP.
func isProbe(reason topology.Reason, packet []byte) bool {
	const destination = ip6Header + 16
	return reason == topology.HairpinNobody && len(packet) >= probeLength &&
		bytes.Equal(packet[destination:destination+4], plan.Probe().Addr().AsSlice())
}
