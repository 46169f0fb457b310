package s46

import (
	"fmt"
	"net/netip"

	"github.com/insomniacslk/dhcp/dhcpv6"
)

// PCPServer is OPTION_V6_PCP_SERVER (86, RFC 7291 section 3): the addresses of
// one PCP server. A message has one of these for each server.
type PCPServer struct {
	// Addresses, at least one, are IPv6 or IPv4; IPv4 is IPv4-mapped on the wire.
	Addresses []netip.Addr
}

// DHCP4o6Servers is OPTION_DHCP4_O_DHCP6_SERVER (88, RFC 7341 section 7.2).
type DHCP4o6Servers struct {
	// Addresses are IPv6. None has clients use the multicast address of servers.
	Addresses []netip.Addr
}

var (
	_ Option = (*PCPServer)(nil)
	_ Option = (*DHCP4o6Servers)(nil)
)

// Code is 86.
func (o *PCPServer) Code() dhcpv6.OptionCode { return dhcpv6.OptionV6PCPServer }

// Validate implements Option. RFC 7291 section 4 has clients discard multicast
// and loopback addresses.
func (o *PCPServer) Validate() error {
	if err := checkCount("addresses", len(o.Addresses), 1); err != nil {
		return err
	}
	for _, a := range o.Addresses {
		if !a.Is4() {
			if err := checkServer(a); err != nil {
				return err
			}
		} else if a.IsUnspecified() || a.IsMulticast() || a.IsLoopback() {
			return fmt.Errorf("%s is not the address of a server: %w", a, ErrValue)
		}
	}
	return nil
}

// ToBytes implements dhcpv6.Option.
func (o *PCPServer) ToBytes() []byte {
	if o.Validate() != nil {
		return nil
	}
	return appendAddresses(o.Addresses)
}

// FromBytes implements dhcpv6.Option.
func (o *PCPServer) FromBytes(b []byte) error {
	addresses, err := readAddresses(b)
	if err != nil {
		return err
	}
	for i, a := range addresses {
		addresses[i] = a.Unmap()
	}
	server := PCPServer{addresses}
	if err := server.Validate(); err != nil {
		return err
	}
	*o = server
	return nil
}

// String is the name of the option and the addresses.
func (o *PCPServer) String() string { return fmt.Sprintf("%s: %s", o.Code(), o.Addresses) }

// Code is 88.
func (o *DHCP4o6Servers) Code() dhcpv6.OptionCode { return dhcpv6.OptionDHCP4oDHCP6Server }

// Validate implements Option.
func (o *DHCP4o6Servers) Validate() error {
	if err := checkCount("addresses", len(o.Addresses), 0); err != nil {
		return err
	}
	for _, a := range o.Addresses {
		if !a.Is6() || a.IsUnspecified() {
			return fmt.Errorf("%s is not the IPv6 address of a server: %w", a, ErrValue)
		}
	}
	return nil
}

// ToBytes implements dhcpv6.Option.
func (o *DHCP4o6Servers) ToBytes() []byte {
	if o.Validate() != nil {
		return nil
	}
	return appendAddresses(o.Addresses)
}

// FromBytes implements dhcpv6.Option.
func (o *DHCP4o6Servers) FromBytes(b []byte) error {
	addresses, err := readAddresses(b)
	if err != nil {
		return err
	}
	servers := DHCP4o6Servers{addresses}
	if err := servers.Validate(); err != nil {
		return err
	}
	*o = servers
	return nil
}

// String is the name of the option and the addresses.
func (o *DHCP4o6Servers) String() string { return fmt.Sprintf("%s: %s", o.Code(), o.Addresses) }

func appendAddresses(addresses []netip.Addr) []byte {
	var b []byte
	for _, a := range addresses {
		octets := a.As16()
		b = append(b, octets[:]...)
	}
	return b
}

func readAddresses(b []byte) ([]netip.Addr, error) {
	if len(b)%16 != 0 {
		return nil, fmt.Errorf("%d octets are not addresses of 16: %w", len(b), ErrLength)
	}
	var addresses []netip.Addr
	for ; len(b) > 0; b = b[16:] {
		addresses = append(addresses, netip.AddrFrom16([16]byte(b)))
	}
	return addresses, nil
}
