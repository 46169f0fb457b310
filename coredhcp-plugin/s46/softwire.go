package s46

import (
	"net/netip"

	"github.com/lwaftr/lw4o6/plugin/portset"
)

// NewLW returns the container that tells a lwB4 of its softwire: to br, with the
// port set of an IPv4 address, and from a tunnel address in prefix, which should
// be one that was delegated to it: some CPEs look for exactly that. The port
// parameters are there for a whole address, too, since those CPEs otherwise
// derive some from the prefix.
func NewLW(br, ipv4 netip.Addr, set portset.PortSet, prefix netip.Prefix) *LW {
	p := set.Params()
	return &LW{
		BRs: []BR{{br}},
		Bind: &V4V6Bind{
			IPv4: ipv4, Prefix: prefix,
			PortParams: &PortParams{Offset: p.Offset(), Length: p.Length(), PSID: set.PSID()},
		},
	}
}
