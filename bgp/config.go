package bgp

import (
	"net/netip"
	"time"
)

// Config is what an operator says of BGP.
type Config struct {
	// RouterID is the BGP identifier, an IPv4 address that no other speaker uses.
	RouterID netip.Addr `yaml:"router-id"`
	AS       uint32     `yaml:"as"`
	// Peers are who is told of routes. Without any there is no BGP.
	Peers []Peer `yaml:"peers"`
	// Pools are attributes of the routes of certain pools.
	Pools []PoolAttributes `yaml:"pools"`
	// Drain is what makes routes less wanted while traffic should leave, besides
	// GRACEFUL_SHUTDOWN (RFC 8326).
	Drain Drain `yaml:"drain"`
}

// Peer is one session.
type Peer struct {
	Name    string     `yaml:"name" config:"required"`
	Address netip.Addr `yaml:"address" config:"required"`
	AS      uint32     `yaml:"as" config:"required"`
	Port    uint16     `yaml:"port"`
	// Source is the address to connect from; the kernel's choice if it is invalid.
	Source netip.Addr `yaml:"source-address"`
	// Password is that of TCP MD5 (RFC 2385), or PasswordFile is where it is.
	Password     string `yaml:"password"`
	PasswordFile string `yaml:"password-file"`
	// TTLSecurity is how many hops away the peer may be (GTSM, RFC 5082), or 0.
	TTLSecurity uint8 `yaml:"ttl-security"`
	// Multihop is the TTL of packets to an eBGP peer that is no neighbour, or 0.
	Multihop uint8 `yaml:"multihop"`
	// Passive waits for the peer on Source and port 179 instead of connecting.
	Passive      bool          `yaml:"passive"`
	HoldTime     time.Duration `yaml:"hold-time"`
	ConnectRetry time.Duration `yaml:"connect-retry"`
	// Families are those of the routes that the peer gets.
	Families []Family `yaml:"families"`
	// NextHopIPv4 is the next hop of IPv4 routes, of either family, and NextHopIPv6
	// that of IPv6 routes. Without one it is the session's source address.
	NextHopIPv4 netip.Addr `yaml:"next-hop-ipv4"`
	NextHopIPv6 netip.Addr `yaml:"next-hop-ipv6"`
	// Pools are those whose routes the peer gets; all if there are none.
	Pools []string `yaml:"pools"`
	// GracefulRestart is how long the peer keeps routes when the session ends
	// without a word (RFC 4724); 0: not at all.
	GracefulRestart time.Duration `yaml:"graceful-restart"`
	// PrefixLimit is how many routes per family the peer may send. They are not
	// used.
	PrefixLimit uint32 `yaml:"prefix-limit"`
	Attributes
}

// Family is an address family of routes.
type Family string

// The families.
const (
	IPv4 Family = "ipv4"
	IPv6 Family = "ipv6"
)

// SetDefaults implements config.Defaulter.
func (p *Peer) SetDefaults() {
	p.Port = 179
	p.HoldTime = 90 * time.Second
	p.ConnectRetry = 5 * time.Second
	p.PrefixLimit = 1000
}

// families are those of p, which are both if it says none.
func (p Peer) families() []Family {
	if len(p.Families) == 0 {
		return []Family{IPv4, IPv6}
	}
	return p.Families
}

// internal says whether the session is iBGP in the AS as.
func (p Peer) internal(as uint32) bool { return p.AS == as }

// Attributes are path attributes of routes.
type Attributes struct {
	Communities      []Community      `yaml:"communities"`
	LargeCommunities []LargeCommunity `yaml:"large-communities"`
	// MED and LocalPreference are not sent if they are nil; LocalPreference is for
	// iBGP.
	MED             *uint32 `yaml:"med"`
	LocalPreference *uint32 `yaml:"local-preference"`
	// Prepend is how many times the own AS stands in the path once more. It is for
	// eBGP.
	Prepend *uint8 `yaml:"prepend"`
}

// PoolAttributes are added to those of the peer, or stand in their place where
// there can be one only.
type PoolAttributes struct {
	Pool string `yaml:"pool" config:"required"`
	Attributes
}

// Drain is what Config.Drain says.
type Drain struct {
	// MED stands in the place of the usual one.
	MED *uint32 `yaml:"med"`
	// Prepend is added to the usual ones, for eBGP.
	Prepend uint8 `yaml:"prepend"`
}
