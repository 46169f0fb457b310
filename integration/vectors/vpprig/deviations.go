package vpprig

import "github.com/lwaftr/lw4o6/integration/vectors"

// Deviations are the cases that a stock VPP gets wrong.
func Deviations() []vectors.Deviation {
	return []vectors.Deviation{{
		Case: "incoming ICMPv4 echo request, matches binding table, bad checksum",
		Why:  `"ICMP checksums" in docs/vpp.md`,
		Says: []string{"ipv6 side: unexpected: ", "nothing came out, and no counter says that anything was processed"},
	}}
}
