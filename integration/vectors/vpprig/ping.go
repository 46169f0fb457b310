package vpprig

import (
	"fmt"
	"net"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"

	"github.com/lwaftr/lw4o6/plugin/dataplane"
)

// pingData is in every ping, and in the answer to it.
const pingData = "the end of a case"

// ping is an echo request from the far end of a side to VPP.
func ping(side dataplane.Side) ([]byte, error) {
	ttl := uint8(64)
	var all []gopacket.SerializableLayer
	if side == dataplane.SideIPv4 {
		all = append(all,
			&layers.IPv4{Version: 4, TTL: ttl, Protocol: layers.IPProtocolICMPv4, SrcIP: net.ParseIP(far4), DstIP: net.ParseIP(vpp4)},
			&layers.ICMPv4{TypeCode: layers.CreateICMPv4TypeCode(layers.ICMPv4TypeEchoRequest, 0)})
	} else {
		ip := &layers.IPv6{Version: 6, HopLimit: ttl, NextHeader: layers.IPProtocolICMPv6, SrcIP: net.ParseIP(far6), DstIP: net.ParseIP(vpp6)}
		icmp := &layers.ICMPv6{TypeCode: layers.CreateICMPv6TypeCode(layers.ICMPv6TypeEchoRequest, 0)}
		if err := icmp.SetNetworkLayerForChecksum(ip); err != nil {
			return nil, fmt.Errorf("ping: %w", err)
		}
		all = append(all, ip, icmp, &layers.ICMPv6Echo{})
	}
	b := gopacket.NewSerializeBuffer()
	options := gopacket.SerializeOptions{FixLengths: true, ComputeChecksums: true}
	if err := gopacket.SerializeLayers(b, options, append(all, gopacket.Payload(pingData))...); err != nil {
		return nil, fmt.Errorf("ping: %w", err)
	}
	return b.Bytes(), nil
}
