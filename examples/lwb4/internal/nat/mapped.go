package nat

import (
	"net/netip"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

// Names of the maps that forwards and mappings are in.
const (
	mapInbound  = "inbound"  // protocol and our port: the host
	mapPeers    = "peers"    // the same and who sends: the host
	mapOutbound = "outbound" // the host and protocol: our port
)

// fill puts forwards and mappings into their maps.
func fill(conn *nftables.Conn, table *nftables.Table, c Config) error {
	var inbound, peers, outbound []nftables.SetElement
	for _, f := range c.Forwards {
		inbound = append(inbound, nftables.SetElement{Key: key(cell(byte(f.Protocol)), cell(be16(f.Port)...)), Val: host(f.To)})
	}
	for _, m := range c.Mappings {
		protocol, port := cell(byte(m.Protocol)), cell(be16(m.Port)...)
		outbound = append(outbound, nftables.SetElement{
			Key: key(m.Host.Addr().AsSlice(), protocol, cell(be16(m.Host.Port())...)), Val: be16(m.Port),
		})
		if m.Peer.IsValid() {
			peers = append(peers, nftables.SetElement{
				Key: key(protocol, port, m.Peer.Addr().AsSlice(), cell(be16(m.Peer.Port())...)), Val: host(m.Host),
			})
		} else {
			inbound = append(inbound, nftables.SetElement{Key: key(protocol, port), Val: host(m.Host)})
		}
	}
	toHost := nftables.MustConcatSetType(nftables.TypeIPAddr, nftables.TypeInetService)
	for _, one := range []struct {
		name     string
		key      nftables.SetDatatype
		data     nftables.SetDatatype
		elements []nftables.SetElement
	}{
		{mapInbound, nftables.MustConcatSetType(nftables.TypeInetProto, nftables.TypeInetService), toHost, inbound},
		{mapPeers, nftables.MustConcatSetType(nftables.TypeInetProto, nftables.TypeInetService,
			nftables.TypeIPAddr, nftables.TypeInetService), toHost, peers},
		{mapOutbound, nftables.MustConcatSetType(nftables.TypeIPAddr, nftables.TypeInetProto, nftables.TypeInetService),
			nftables.TypeInetService, outbound},
	} {
		set := &nftables.Set{Table: table, Name: one.name, IsMap: true, Concatenation: true, KeyType: one.key, DataType: one.data}
		if err := conn.AddSet(set, nil); err != nil {
			return err
		}
		conn.FlushSet(set)
		if err := conn.SetAddElements(set, one.elements); err != nil {
			return err
		}
	}
	return watchDestinations(conn, table, c.open())
}

// cell is one field of a key: the kernel aligns each to a register.
func cell(b ...byte) []byte { return append(b, make([]byte, 4-len(b))...) }

func key(cells ...[]byte) (all []byte) {
	for _, c := range cells {
		all = append(all, c...)
	}
	return all
}

// host is an address and port as a map has them.
func host(a netip.AddrPort) []byte { return key(a.Addr().AsSlice(), cell(be16(a.Port())...)) }

// inboundKey loads protocol and destination port.
func inboundKey() []expr.Any {
	return []expr.Any{
		&expr.Meta{Key: expr.MetaKeyL4PROTO, Register: regMatch},
		&expr.Payload{DestRegister: regMatch + 1, Base: expr.PayloadBaseTransportHeader, Offset: 2, Len: 2},
	}
}

// peerKey loads source address and port behind inboundKey.
func peerKey() []expr.Any {
	return []expr.Any{
		&expr.Payload{DestRegister: regMatch + 2, Base: expr.PayloadBaseNetworkHeader, Offset: offsetSource, Len: 4},
		&expr.Payload{DestRegister: regMatch + 3, Base: expr.PayloadBaseTransportHeader, Offset: 0, Len: 2},
	}
}

// translateToHost translates the destination to what a map has for a key.
func translateToHost(in string, key ...[]expr.Any) []expr.Any {
	return concat(concat(key...), []expr.Any{
		&expr.Lookup{SourceRegister: regMatch, DestRegister: regAddress, IsDestRegSet: true, SetName: in},
		&expr.NAT{Type: expr.NATTypeDestNAT, Family: unix.NFPROTO_IPV4, RegAddrMin: regAddress, RegProtoMin: regLow},
	})
}

// translateMapped translates a source that has a mapping to its port.
func translateMapped(to netip.Addr) []expr.Any {
	return []expr.Any{
		&expr.Payload{DestRegister: regMatch, Base: expr.PayloadBaseNetworkHeader, Offset: offsetSource, Len: 4},
		&expr.Meta{Key: expr.MetaKeyL4PROTO, Register: regMatch + 1},
		&expr.Payload{DestRegister: regMatch + 2, Base: expr.PayloadBaseTransportHeader, Offset: 0, Len: 2},
		&expr.Lookup{SourceRegister: regMatch, DestRegister: regLow, IsDestRegSet: true, SetName: mapOutbound},
		immediate(regAddress, to.AsSlice()),
		&expr.NAT{
			Type: expr.NATTypeSourceNAT, Family: unix.NFPROTO_IPV4,
			RegAddrMin: regAddress, RegProtoMin: regLow, RegProtoMax: regLow,
		},
	}
}
