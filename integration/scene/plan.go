package scene

import (
	"fmt"
	"net/netip"

	"github.com/lwaftr/lw4o6/plugin/portset"
	"github.com/lwaftr/lw4o6/plugin/softwire"
)

// The addresses of the scene, from the ranges for documentation but for the
// subscribers' own.
var (
	// ServerAddr is the host in the Internet.
	ServerAddr = netip.MustParseAddr("203.0.113.1")
	// RouterAddr is the lwAFTR's own IPv4 address in ICMP errors.
	RouterAddr = netip.MustParseAddr("192.0.0.8")
	// BR is the lwAFTR's tunnel endpoint.
	BR = netip.MustParseAddr("2001:db8:ffff::1")
	// Pool is the shared addresses.
	Pool = netip.MustParsePrefix("192.0.2.0/24")

	// OperatorAddr is the access router, where an operator sits who may ask for
	// port sets of others by PCP.
	OperatorAddr = on(aftrLink, 1).Addr()

	anyIPv4 = netip.MustParsePrefix("0.0.0.0/0")
	anyIPv6 = netip.MustParsePrefix("::/0")
)

// Ports of the services, on the server and on the subscribers' hosts.
const (
	filePort = 80
	echoPort = 7
)

// Subscribers is how many there are. They are numbered from 1.
const Subscribers = 2

// Subscriber is what is particular to one subscriber.
type Subscriber struct {
	Number   int
	Softwire softwire.Softwire
	Prefix   netip.Prefix // delegated; the lwB4's address is in it
	LAN      netip.Prefix
	Host     netip.Addr // in the LAN
	Gateway  netip.Addr // the CPE in the LAN
	// FilePort and EchoPort are the ports of the IPv4 address behind which the
	// host's own services are found from outside.
	FilePort, EchoPort uint16
}

// subscriber plans the one of that number: its PSID if the address is shared,
// and its own address otherwise.
func subscriber(number int, params portset.Params) (Subscriber, error) {
	psid, last := uint16(number), byte(1)
	if params.Whole() {
		psid, last = 0, byte(number)
	}
	ports, err := portset.New(params, psid)
	if err != nil {
		return Subscriber{}, fmt.Errorf("subscriber %d: %w", number, err)
	}
	prefix := netip.MustParsePrefix(fmt.Sprintf("2001:db8:1:%d00::/56", number))
	s := Subscriber{
		Number: number,
		Softwire: softwire.Softwire{
			IPv4: netip.AddrFrom4([4]byte{192, 0, 2, last}), PortSet: ports, B4: prefix.Addr().Next(), BR: BR,
		},
		Prefix:  prefix,
		LAN:     netip.PrefixFrom(netip.AddrFrom4([4]byte{192, 168, byte(number), 0}), 24),
		Host:    netip.AddrFrom4([4]byte{192, 168, byte(number), 2}),
		Gateway: netip.AddrFrom4([4]byte{192, 168, byte(number), 1}),
	}
	// From the last range: the first one of a whole address has port 0.
	for r := range ports.Ranges() {
		s.FilePort, s.EchoPort = r.Last, r.First
	}
	if s.EchoPort == 0 {
		s.EchoPort = echoPort
	}
	return s, nil
}

// RouterAccess is the lwAFTR's own address towards the access router.
func RouterAccess() netip.Addr { return on(aftrLink, 2).Addr() }

// DHCPServer is the address of the DHCPv6 server.
func DHCPServer() netip.Addr { return on(dhcpLink, 2).Addr() }

// Link is the subnet between the access router and the CPE of the subscriber.
func (s Subscriber) Link() netip.Prefix { return netip.MustParsePrefix(fmt.Sprintf(cpeLink, s.Number)) }

// Service is one of the host's services as it is found from outside.
func (s Subscriber) Service(port uint16) netip.AddrPort {
	return netip.AddrPortFrom(s.Softwire.IPv4, port)
}

// on is the address of a number on a link's subnet of IPv4 or IPv6, with the
// subnet's length.
func on(link string, number int) netip.Prefix {
	p := netip.MustParsePrefix(link)
	a := p.Addr()
	for range number {
		a = a.Next()
	}
	return netip.PrefixFrom(a, p.Bits())
}

// The subnets of the links.
const (
	internetLink = "198.51.100.0/24"    // aftr 1, internet 2
	aftrLink     = "2001:db8:0:ff::/64" // access 1, aftr 2
	cpeLink      = "2001:db8:0:%d::/64" // access 1, CPE 2
	dhcpLink     = "2001:db8:0:fd::/64" // access 1, DHCPv6 server 2
	plainAFTR    = "10.0.255.0/24"      // the same for IPv4, without a tunnel
	plainCPE     = "10.0.%d.0/24"
)
