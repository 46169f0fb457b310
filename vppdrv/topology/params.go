package topology

import (
	"go.fd.io/govpp/binapi/ip"
	maps "go.fd.io/govpp/binapi/map"
	mssclamp "go.fd.io/govpp/binapi/mss_clamp"
)

// reassemble makes an interface reassemble: of IPv4, virtually, so that every
// fragment shows the ports of the first one; of IPv6, whole packets.
func (v *vpp) reassemble(index Index, ip6 bool) {
	v.reassembly(&ip.IPReassemblyEnableDisable{
		SwIfIndex: index, EnableIP4: !ip6, EnableIP6: ip6, Type: kindOf(ip6),
	})
}

// passFragments ends what reassemble did.
func (v *vpp) passFragments(index Index, ip6 bool) {
	v.reassembly(&ip.IPReassemblyEnableDisable{SwIfIndex: index, Type: kindOf(ip6)})
}

func kindOf(ip6 bool) ip.IPReassType {
	if ip6 {
		return ip.IP_REASS_TYPE_FULL
	}
	return ip.IP_REASS_TYPE_SHALLOW_VIRTUAL
}

func (v *vpp) reassembly(m *ip.IPReassemblyEnableDisable) {
	v.do("reassembly", func() error {
		_, err := v.ip.IPReassemblyEnableDisable(v.ctx, m)
		return err
	})
}

// expireWalk is how often VPP looks for what expired, in milliseconds.
const expireWalk = 50

// limit bounds reassembly everywhere in VPP.
func (v *vpp) limit(ip6 bool, kind ip.IPReassType, r Reassembly) {
	v.do("reassembly limits", func() error {
		_, err := v.ip.IPReassemblySet(v.ctx, &ip.IPReassemblySet{
			TimeoutMs: r.Timeout, MaxReassemblies: r.Packets, MaxReassemblyLength: r.Fragments,
			ExpireWalkIntervalMs: expireWalk, IsIP6: ip6, Type: kind,
		})
		return err
	})
}

// setParameters sets what is global in the MAP plugin and in reassembly.
func (t *Topology) setParameters(v *vpp) {
	c := t.config
	v.limit(false, ip.IP_REASS_TYPE_SHALLOW_VIRTUAL, c.Reassembly4)
	v.limit(true, ip.IP_REASS_TYPE_FULL, c.Reassembly6)
	v.do("security check", func() error {
		// The defaults leave fragments from lwB4s unchecked.
		_, err := v.maps.MapParamSetSecurityCheck(v.ctx, &maps.MapParamSetSecurityCheck{Enable: true, Fragments: true})
		return err
	})
	v.do("policy error", func() error {
		_, err := v.maps.MapParamSetICMP6(v.ctx, &maps.MapParamSetICMP6{EnableUnreachable: c.PolicyError})
		return err
	})
	v.do("fragmentation", func() error {
		// RFC 6333 section 5.3: the packet inside must not be cut.
		_, err := v.maps.MapParamSetFragmentation(v.ctx, &maps.MapParamSetFragmentation{IgnoreDf: c.IgnoreDF})
		return err
	})
	v.do("traffic class", func() error {
		_, err := v.maps.MapParamSetTrafficClass(v.ctx, &maps.MapParamSetTrafficClass{Copy: true})
		return err
	})
	v.do("MSS to lwB4s", func() error {
		_, err := v.maps.MapParamSetTCP(v.ctx, &maps.MapParamSetTCP{TCPMss: c.MSS})
		return err
	})
	if c.MSS > 0 {
		v.clamp(t.loops[inside], c.MSS, mssclamp.MSS_CLAMP_DIR_RX)
	}
}

// clamp lowers the MSS that IPv4 packets ask for which come in by an interface.
func (v *vpp) clamp(index Index, mss uint16, direction mssclamp.MssClampDir) {
	v.do("MSS from lwB4s (plugin mss_clamp)", func() error {
		_, err := mssclamp.NewServiceClient(v.conn).MssClampEnableDisable(v.ctx, &mssclamp.MssClampEnableDisable{
			SwIfIndex: index, IPv4Mss: mss, IPv4Direction: direction,
		})
		return err
	})
}
