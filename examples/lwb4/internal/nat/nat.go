// Package nat owns the CPE's NAT44: an nftables table that translates what a
// LAN sends into a softwire to one IPv4 address and its port sets, and that lets
// nothing else into the softwire; and the kernel's record of flows, as far as
// they go through that translation.
//
// Translation and verification do not share their arithmetic. The source NAT
// picks a port by building it from the fields of a port set; afterwards every
// packet is held against the definition of port sets and dropped if it is in none
// of them, whatever the NAT thought.
package nat

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"github.com/google/nftables"
	"golang.org/x/sys/unix"

	"github.com/lwaftr/lw4o6/examples/lwb4/internal/assign"
	"github.com/lwaftr/lw4o6/plugin/portset"
)

// Config says what to translate.
type Config struct {
	Tunnel string       // interface of the softwire
	LAN    string       // interface of the subscriber's hosts
	Prefix netip.Prefix // IPv4 prefix of these hosts
	// Ports are what to translate to. Without any nothing of the LAN gets into the
	// softwire, and its senders are told.
	Ports assign.Ports
	// Closed are those of the sets that no new flow gets a port of.
	Closed []portset.PortSet
	// MSS is the largest TCP payload in octets that is let through in either
	// direction; handshakes that offer more are changed.
	MSS      uint16
	Forwards []Forward
	Mappings []Mapping
}

// open are the ports that new flows get.
func (c Config) open() assign.Ports {
	closed := func(s portset.PortSet) bool { return slices.Contains(c.Closed, s) }
	return assign.Ports{IPv4: c.Ports.IPv4, Sets: slices.DeleteFunc(slices.Clone(c.Ports.Sets), closed)}
}

// Forward lets the Internet reach one service of the LAN.
type Forward struct {
	Protocol Protocol
	Port     uint16         // the port of the shared address, within the port set
	To       netip.AddrPort // the host in the LAN
}

// Mapping gives a port of a host in the LAN one of ours, for what the host sends
// and for what it is sent.
type Mapping struct {
	Protocol Protocol
	Host     netip.AddrPort // in the LAN
	Port     uint16         // of the shared address
	// Peer, if it is set, is the only one who may send to the host.
	Peer netip.AddrPort
}

// Protocol is a transport protocol that services can be forwarded by.
type Protocol uint8

// The protocols.
const (
	TCP Protocol = unix.IPPROTO_TCP
	UDP Protocol = unix.IPPROTO_UDP
)

// String is "tcp" or "udp".
func (p Protocol) String() string {
	switch p {
	case TCP:
		return "tcp"
	case UDP:
		return "udp"
	}
	return fmt.Sprintf("protocol %d", uint8(p))
}

// UnmarshalText reads what String writes.
func (p *Protocol) UnmarshalText(text []byte) error {
	for _, known := range []Protocol{TCP, UDP} {
		if string(text) == known.String() {
			*p = known
			return nil
		}
	}
	return fmt.Errorf("%.20q is not a protocol that can be forwarded: use tcp or udp", text)
}

// tableName is the table in the kernel's ip family.
const tableName = "lwb4"

// Install puts the table into the kernel's current network namespace in one
// transaction. What an earlier Install put there gives way; its counters stay.
// The error says what the kernel lacks or refuses.
func Install(c Config) error { return install(c, chains(c)) }

func install(c Config, chains []chain) error {
	conn, err := nftables.New()
	if err != nil {
		return fmt.Errorf("nftables: %w", err)
	}
	table := conn.AddTable(&nftables.Table{Family: nftables.TableFamilyIPv4, Name: tableName})
	for _, name := range []string{counterDropped, counterExhausted, counterUnassigned} {
		conn.AddObj(&nftables.CounterObj{Table: table, Name: name})
	}
	kernel := make([]*nftables.Chain, len(chains))
	for i, ch := range chains {
		kernel[i] = conn.AddChain(&nftables.Chain{
			Table: table, Name: ch.name, Type: ch.kind, Hooknum: ch.hook, Priority: ch.priority,
		})
		conn.FlushChain(kernel[i])
	}
	// Sets that are not used any more can be removed now that no rule is left.
	if err := fill(conn, table, c); err != nil {
		return fmt.Errorf("nftables: mappings of table ip %s: %w", tableName, err)
	}
	for i, ch := range chains {
		for _, r := range ch.rules {
			conn.AddRule(&nftables.Rule{Table: table, Chain: kernel[i], Exprs: r})
		}
	}
	if err := conn.Flush(); err != nil {
		return fmt.Errorf("nftables: install table ip %s: %w", tableName, explain(err))
	}
	return nil
}

// Remove takes the table out of the kernel. It is no error if it is not there.
func Remove() error {
	conn, err := nftables.New()
	if err != nil {
		return fmt.Errorf("nftables: %w", err)
	}
	table := &nftables.Table{Family: nftables.TableFamilyIPv4, Name: tableName}
	// Adding before deleting makes the deletion succeed in every case.
	conn.AddTable(table)
	conn.DelTable(table)
	if err := conn.Flush(); err != nil {
		return fmt.Errorf("nftables: remove table ip %s: %w", tableName, explain(err))
	}
	return nil
}

func explain(err error) error {
	switch {
	case errors.Is(err, unix.EPERM), errors.Is(err, unix.EACCES):
		return fmt.Errorf("%w: run as root", err)
	case errors.Is(err, unix.ENOENT), errors.Is(err, unix.EOPNOTSUPP), errors.Is(err, unix.EPROTONOSUPPORT):
		return fmt.Errorf("%w: the kernel lacks nf_tables, nft_nat, nft_hash, nft_ct, nft_connlimit or nft_reject", err)
	}
	return err
}
