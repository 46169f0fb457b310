package scene

import (
	"errors"
	"net/netip"

	"github.com/lwaftr/lw4o6/integration/lwb4sim"
)

// FirstLwB4 is the first simulated lwB4. All others are in further prefixes of
// SimulatedBits bits.
var FirstLwB4 = SimulatedLwB4s.Addr().Next()

// SimulatedBits is the length of a simulated subscriber's prefix.
const SimulatedBits = 56

// SimulatedLwB4s is the prefix of all of them.
var SimulatedLwB4s = netip.MustParsePrefix("2001:db8:1000::/36")

// simulatedLink leads to them: access 1, lwB4s 2.
const simulatedLink = "2001:db8:0:fe::/64"

// SimulatedRelay is the address of a relay that simulated lwB4s are behind.
func SimulatedRelay() netip.Addr { return on(simulatedLink, 2).Addr() }

// OpenLwB4s opens a link to the access router, behind which are simulated lwB4s.
// The caller closes it.
func (s *Scene) OpenLwB4s() (link *lwb4sim.TUN, err error) {
	const device = "lwb4s"
	if err := s.Access.Do(func() (err error) { link, err = lwb4sim.OpenTUN(device); return err }); err != nil {
		return nil, err
	}
	err = s.Access.Address(device, on(simulatedLink, 1))
	if err == nil {
		err = s.Access.Route(SimulatedLwB4s, on(simulatedLink, 2).Addr())
	}
	if err != nil {
		return nil, errors.Join(err, link.Close())
	}
	return link, nil
}
