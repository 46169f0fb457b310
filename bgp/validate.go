package bgp

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/lwaftr/lw4o6/plugin/config/element"
	"github.com/lwaftr/lw4o6/plugin/pool"
)

// Bounds of a Config.
const (
	maxPeers       = 64
	maxCommunities = 32
	maxPrepend     = 16
	maxPrefixLimit = 100_000
	maxRestart     = 4095 * time.Second // RFC 4724: 12 bits
	maxHold        = 65535 * time.Second
	minHold        = 3 * time.Second // RFC 4271 section 4.2
	maxRetry       = 5 * time.Minute
	maxPassword    = 80 // Linux: TCP_MD5SIG_MAXKEYLEN
)

// Validate reports everything that is wrong with c, with elements (package
// element). Files that c names are not read. Pools are those that c may name.
func (c Config) Validate(pools pool.Pools) error {
	if len(c.Peers) == 0 {
		return nil
	}
	known := make(map[string]bool, len(pools))
	for _, p := range pools {
		known[p.Name] = true
	}
	var errs []error
	if id := c.RouterID; !id.Is4() || !unicast(id) {
		errs = append(errs, element.Errorf("router-id", "%s is not an IPv4 address that only this router has", id))
	}
	errs = append(errs, validAS("as", c.AS))
	if n := len(c.Peers); n > maxPeers {
		errs = append(errs, element.Errorf("peers", "%d peers; at most %d are allowed", n, maxPeers))
	}
	for i, p := range c.Peers {
		err := errors.Join(p.validate(c.AS), unknownPools(p.Pools, known), p.besides(c.Peers[:i]))
		errs = append(errs, element.At(element.Item("peers", i), err))
	}
	internal := slices.ContainsFunc(c.Peers, func(p Peer) bool { return p.internal(c.AS) })
	external := slices.ContainsFunc(c.Peers, func(p Peer) bool { return !p.internal(c.AS) })
	for i, p := range c.Pools {
		err := p.Attributes.validate(internal, external)
		if !known[p.Pool] {
			err = errors.Join(err, element.Errorf("pool", "there is no pool %q", p.Pool))
		}
		if slices.ContainsFunc(c.Pools[:i], func(o PoolAttributes) bool { return o.Pool == p.Pool }) {
			err = errors.Join(err, element.Errorf("pool", "%q has attributes above", p.Pool))
		}
		errs = append(errs, element.At(element.Item("pools", i), err))
	}
	if c.Drain.Prepend > maxPrepend {
		errs = append(errs, element.Errorf("drain.prepend", "%d: want 0 to %d", c.Drain.Prepend, maxPrepend))
	}
	return errors.Join(errs...)
}

func unknownPools(names []string, known map[string]bool) error {
	var errs []error
	for i, name := range names {
		if !known[name] {
			errs = append(errs, element.Errorf(element.Item("pools", i), "there is no pool %q", name))
		}
	}
	return errors.Join(errs...)
}

// besides reports what makes p impossible besides others.
func (p Peer) besides(others []Peer) error {
	var errs []error
	for _, o := range others {
		if o.Name == p.Name {
			errs = append(errs, element.Errorf("name", "%q is the name of another peer too", p.Name))
		}
		if o.Address == p.Address {
			errs = append(errs, element.Errorf("address", "%s is the address of peer %q too", p.Address, o.Name))
		}
		if o.Passive && p.Passive && o.Source == p.Source {
			errs = append(errs, element.Errorf("passive", "peer %q listens on %s already: give this one another source-address", o.Name, p.Source))
		}
	}
	return errors.Join(errs...)
}

// validate reports what is wrong with p by itself, in the AS as.
func (p Peer) validate(as uint32) error {
	var errs []error
	add := func(path, format string, args ...any) {
		errs = append(errs, element.Errorf(path, format, args...))
	}
	if !pool.ValidName(p.Name) {
		add("name", "%q is not a name: want 1 to 63 letters, digits, dots, dashes and underscores", p.Name)
	}
	errs = append(errs, validAS("as", p.AS), p.validateTransport(p.internal(as)), p.validateRoutes(), p.Attributes.validate(p.internal(as), !p.internal(as)))
	for _, t := range []struct {
		key       string
		is        time.Duration
		low, high time.Duration
	}{
		{"hold-time", p.HoldTime, minHold, maxHold},
		{"connect-retry", p.ConnectRetry, time.Second, maxRetry},
		{"graceful-restart", p.GracefulRestart, 0, maxRestart},
	} {
		if t.is < t.low || t.is > t.high || t.is%time.Second != 0 {
			add(t.key, "%s: want whole seconds from %s to %s", t.is, t.low, t.high)
		}
	}
	if p.PrefixLimit < 1 || p.PrefixLimit > maxPrefixLimit {
		add("prefix-limit", "%d: want 1 to %d", p.PrefixLimit, maxPrefixLimit)
	}
	return errors.Join(errs...)
}

// validateTransport is about the TCP connection.
func (p Peer) validateTransport(internal bool) error {
	var errs []error
	add := func(path, format string, args ...any) {
		errs = append(errs, element.Errorf(path, format, args...))
	}
	if !unicast(p.Address) {
		add("address", "%s is not an address of a peer: want a unicast address that is not link-local", p.Address)
	}
	if p.Port == 0 {
		add("port", "0 is not a port of TCP")
	}
	switch s := p.Source; {
	case !s.IsValid() && p.Passive:
		add("source-address", "is missing: a passive session waits on it")
	case !s.IsValid():
	case !unicast(s) || s.Is4() != p.Address.Is4():
		add("source-address", "%s is not an address to reach %s from", s, p.Address)
	case s == p.Address:
		add("source-address", "%s is the peer's address", s)
	}
	switch {
	case p.Password != "" && p.PasswordFile != "":
		add("password-file", "there is a password besides: use one of them")
	case p.Password != "":
		if err := validPassword(p.Password); err != nil {
			errs = append(errs, element.At("password", err))
		}
	}
	switch {
	case p.TTLSecurity == 255:
		add("ttl-security", "255 hops would be any packet: want 1 to 254, or 0 for none")
	case p.TTLSecurity > 0 && p.Multihop > 0:
		add("multihop", "does not go with ttl-security, which bounds the number of hops by itself")
	case p.Multihop > 0 && internal:
		add("multihop", "is for peers of another AS; in AS %d any distance works", p.AS)
	case p.Multihop == 1:
		add("multihop", "1 is for neighbours, which need none: leave it out")
	}
	return errors.Join(errs...)
}

// validateRoutes is about which routes p gets, and their next hops.
func (p Peer) validateRoutes() error {
	var errs []error
	for i, f := range p.Families {
		switch {
		case f != IPv4 && f != IPv6:
			errs = append(errs, element.Errorf(element.Item("families", i), "%q is neither %s nor %s", f, IPv4, IPv6))
		case slices.Contains(p.Families[:i], f):
			errs = append(errs, element.Errorf(element.Item("families", i), "%s is there twice", f))
		}
	}
	for _, hop := range []struct {
		key    string
		is     netip.Addr
		family Family
		native bool // the session's own addresses serve as next hops
	}{
		{"next-hop-ipv4", p.NextHopIPv4, IPv4, p.Address.Is4()},
		{"next-hop-ipv6", p.NextHopIPv6, IPv6, p.Address.Is6()},
	} {
		has := slices.Contains(p.families(), hop.family)
		var err error
		switch {
		case hop.is.IsValid() && !has:
			err = fmt.Errorf("the families of this peer are without %s", hop.family)
		case hop.is.IsValid() && (!unicast(hop.is) || hop.family == IPv6 && !hop.is.Is6()):
			err = fmt.Errorf("%s cannot be the next hop of %s routes", hop.is, hop.family)
		case !hop.is.IsValid() && has && !hop.native:
			err = fmt.Errorf("is missing: the session with %s has no address for it; name one, or leave %s out of families", p.Address, hop.family)
		}
		if err != nil {
			errs = append(errs, element.At(hop.key, err))
		}
	}
	return errors.Join(errs...)
}

// validate reports what is wrong with a; internal and external say whether there
// are iBGP and eBGP sessions that use it.
func (a Attributes) validate(internal, external bool) error {
	var errs []error
	for _, list := range []struct {
		key string
		n   int
	}{{"communities", len(a.Communities)}, {"large-communities", len(a.LargeCommunities)}} {
		if list.n > maxCommunities {
			errs = append(errs, element.Errorf(list.key, "%d; at most %d are allowed", list.n, maxCommunities))
		}
	}
	switch {
	case a.Prepend == nil:
	case *a.Prepend > maxPrepend:
		errs = append(errs, element.Errorf("prepend", "%d: want 0 to %d", *a.Prepend, maxPrepend))
	case !external:
		errs = append(errs, element.Errorf("prepend", "is for peers of other ASes: within the AS such a path is a loop"))
	}
	if a.LocalPreference != nil && !internal {
		errs = append(errs, element.Errorf("local-preference", "is only sent to peers of the own AS (RFC 4271 section 5.1.5)"))
	}
	return errors.Join(errs...)
}

// validAS refuses numbers that are no AS (RFC 7607, RFC 7300), and AS_TRANS (RFC
// 6793 section 9).
func validAS(path string, as uint32) error {
	if reservedAS(as) || as == 23456 {
		return element.Errorf(path, "%d is not the number of an AS", as)
	}
	return nil
}

func validPassword(password string) error {
	if len(password) == 0 || len(password) > maxPassword {
		return fmt.Errorf("has %d octets; want 1 to %d", len(password), maxPassword)
	}
	return nil
}

// unicast says whether a can be the address of a session or a next hop.
func unicast(a netip.Addr) bool {
	return a.IsValid() && !a.Is4In6() && a.Zone() == "" && !a.IsUnspecified() && !a.IsMulticast() &&
		!a.IsLinkLocalUnicast() && a != netip.AddrFrom4([4]byte{255, 255, 255, 255})
}
