package client

import (
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/lwaftr/lw4o6/pcp/pcpmsg"
	"github.com/lwaftr/lw4o6/plugin/portset"
)

// Grant is what a server gave: Ports ports, from ExternalPort on at External,
// lead to as many from InternalPort on.
type Grant struct {
	External     netip.Addr
	ExternalPort uint16
	InternalPort uint16
	Ports        int // 1 to 65,536
	Lifetime     time.Duration
}

// allPorts is how many there are.
const allPorts = 1 << 16

// grantOf reads a response of success.
func grantOf(w *Want, r *pcpmsg.Response, lifetime time.Duration) Grant {
	m := &r.Mapping
	g := Grant{External: m.External, ExternalPort: m.ExternalPort, InternalPort: m.InternalPort, Ports: 1, Lifetime: lifetime}
	if option, ok := r.Options.Find(pcpmsg.CodePortSet); ok && w.portSet() {
		// A set that is not one, or more than was asked for, is what a server
		// leaves in the response that does not know the option. It gave one port.
		set, err := pcpmsg.ParsePortSet(option.Data)
		if err == nil && set.Size > 0 && set.Size <= w.Ports &&
			int(m.ExternalPort)+int(set.Size) <= allPorts && int(set.FirstInternal)+int(set.Size) <= allPorts {
			g.InternalPort, g.Ports = set.FirstInternal, int(set.Size)
		}
	} else if m.InternalPort == 0 {
		g.ExternalPort, g.Ports = 0, allPorts
	}
	return g
}

// ErrNoPortSet reports a grant that a softwire cannot use.
var ErrNoPortSet = errors.New("not the port set of a softwire")

// PortSet is the grant as the port set of a softwire, with psid-offset 0. The
// error wraps ErrNoPortSet: a softwire does not translate ports, and has a block
// of a power of two that begins at a multiple of its size.
func (g Grant) PortSet() (portset.PortSet, error) {
	if !g.External.Is4() {
		return portset.PortSet{}, fmt.Errorf("%w: the external address is %s", ErrNoPortSet, g.External)
	}
	if g.InternalPort != g.ExternalPort {
		return portset.PortSet{}, fmt.Errorf("%w: external port %d leads to port %d", ErrNoPortSet, g.ExternalPort, g.InternalPort)
	}
	params, err := portset.ParamsFor(g.Ports)
	if err != nil {
		return portset.PortSet{}, fmt.Errorf("%w: %w", ErrNoPortSet, err)
	}
	if int(g.ExternalPort)%g.Ports != 0 {
		return portset.PortSet{}, fmt.Errorf("%w: %d ports begin at %d", ErrNoPortSet, g.Ports, g.ExternalPort)
	}
	return portset.New(params, uint16(int(g.ExternalPort)/g.Ports))
}
