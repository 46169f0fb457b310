package plan

import (
	"encoding/binary"
	"fmt"
	"net/netip"
)

// AddPool makes the domain of a pool, whose packets for nobody are answered
// from br. It takes a spare domain.
func (m *Model) AddPool(pool netip.Prefix, br netip.Addr) (Step, error) {
	s := Step{IPv4: pool.Addr(), pool: pool}
	if index, has := m.pools[pool]; has {
		s.index = index
		return s, nil
	}
	if d := m.domains[pool.Addr()]; d != nil && pool.IsSingleIP() {
		// The domain of the address stands for the pool until it is empty.
		s.index = d.index
		return s, nil
	}
	if len(m.spares) == 0 {
		return s, fmt.Errorf("pool %s: %w", pool, ErrSpares)
	}
	s.takes, s.index = true, m.spares[len(m.spares)-1]
	s.Lines = append([]string{DeleteLine(s.index)}, m.createPool(pool, br, s.index)...)
	return s, nil
}

// Probe is an address that is a pool without a route: a packet from Nowhere to
// it, as if from it, is decapsulated, encapsulated again, and comes back as one
// for nobody.
func Probe() netip.Prefix { return netip.PrefixFrom(key(probing, 1), 32) }

// RemovePool makes the domain of a pool a spare one. Its route must be gone,
// with all packets that took it.
func (m *Model) RemovePool(pool netip.Prefix) Step {
	index, has := m.pools[pool]
	s := Step{IPv4: pool.Addr(), pool: pool, index: index, drops: true}
	if has && !(pool.IsSingleIP() && m.domains[pool.Addr()] != nil) {
		s.frees = true
		s.Lines = []string{DeleteLine(index), m.spareLine(keyOf(index))}
	}
	return s
}

// createPool makes a domain with two equal rules, so that VPP checks what comes
// from the pool's free addresses.
func (m *Model) createPool(pool netip.Prefix, br netip.Addr, index uint32) []string {
	nobody := m.nobody(wholeLength)
	if pool == Probe() {
		nobody = m.layout.Nowhere
	}
	return []string{
		m.domainLine(usePool, pool, br, 0, wholeLength),
		ruleLine(index, 0, nobody), ruleLine(index, 1, nobody),
	}
}

// MoreSpares returns command lines that make n more spare domains. Their indexes
// are known when they have been read back.
func (m *Model) MoreSpares(n int) []string {
	lines := make([]string, n)
	for i := range lines {
		lines[i] = m.spareLine(m.serial.next())
	}
	return lines
}

// SetSpares makes known the spare domains among those that were found in VPP.
func (m *Model) SetSpares(found []Domain) {
	m.spares = m.spares[:0]
	for _, f := range found {
		if u, ours := m.layout.useOf(f.Tag); ours && u == useSpare {
			m.spares = append(m.spares, f.Index)
		}
	}
}

// Spare domains need IPv4 addresses that no packet has and that differ. Those
// that had an index before are told apart by it, new ones by a serial number.
const (
	byIndex  = 0xf0000000 // 240.0.0.0/6
	bySerial = 0xf4000000 // 244.0.0.0/6
	probing  = 0xf8000000 // 248.0.0.0/6
	keyBits  = 26
)

func keyOf(index uint32) netip.Addr { return key(byIndex, index) }

func key(class, n uint32) netip.Addr {
	var b [4]byte
	binary.BigEndian.PutUint32(b[:], class|n&(1<<keyBits-1))
	return netip.AddrFrom4(b)
}

// serial numbers spare domains.
type serial uint32

func (s *serial) next() netip.Addr {
	*s++
	return key(bySerial, uint32(*s))
}

// after makes s go on after the number of a spare domain that was found.
func (s *serial) after(a netip.Addr) {
	b := a.As4()
	if n := binary.BigEndian.Uint32(b[:]); n&^(1<<keyBits-1) == bySerial {
		*s = max(*s, serial(n&(1<<keyBits-1)))
	}
}

// spareLine makes a domain that lets nothing through: its lwB4 addresses are
// computed from a prefix that nobody knows.
func (m *Model) spareLine(key netip.Addr) string {
	secret := netip.PrefixFrom(m.layout.Nowhere, 48).Masked()
	return fmt.Sprintf("map add domain tag %s ip4-pfx %s/32 ip6-pfx %s ip6-src ::/128 ea-bits-len 1 psid-offset 0 psid-len 1 mtu %d",
		m.layout.tag(useSpare), key, secret, m.layout.MTU)
}
