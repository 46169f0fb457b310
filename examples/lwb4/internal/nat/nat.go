// Package nat owns the CPE's NAT44: an nftables table that translates what a
// LAN sends into a softwire to one IPv4 address and port set, and that lets
// nothing else into the softwire.
//
// Translation and verification do not share their arithmetic. The source NAT
// picks a port by building it from the port set's fields; afterwards every
// packet is held against the port set's definition and dropped if it is not
// within, whatever the NAT thought.
package nat

import (
	"errors"
	"fmt"
	"net/netip"

	"github.com/google/nftables"
	"golang.org/x/sys/unix"

	"github.com/lwaftr/lw4o6/plugin/portset"
)

// Config says what to translate.
type Config struct {
	Tunnel  string          // interface of the softwire
	LAN     string          // interface of the subscriber's hosts
	Prefix  netip.Prefix    // IPv4 prefix of these hosts
	Address netip.Addr      // the IPv4 address to translate to
	PortSet portset.PortSet // its ports that are ours
	// MSS is the largest TCP payload in octets that is let through in either
	// direction; handshakes that offer more are changed.
	MSS      uint16
	Forwards []Forward
}

// Forward lets the Internet reach one service of the LAN.
type Forward struct {
	Protocol Protocol
	Port     uint16         // the port of the shared address, within the port set
	To       netip.AddrPort // the host in the LAN
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
// transaction, replacing one that was left behind. The error says what the
// kernel lacks or refuses.
func Install(c Config) error { return install(chains(c)) }

func install(chains []chain) error {
	conn, err := nftables.New()
	if err != nil {
		return fmt.Errorf("nftables: %w", err)
	}
	table := &nftables.Table{Family: nftables.TableFamilyIPv4, Name: tableName}
	// Adding before deleting makes the deletion succeed in every case.
	conn.AddTable(table)
	conn.DelTable(table)
	conn.AddTable(table)
	for _, ch := range chains {
		kernel := conn.AddChain(&nftables.Chain{
			Table: table, Name: ch.name, Type: ch.kind, Hooknum: ch.hook, Priority: ch.priority,
		})
		for _, r := range ch.rules {
			conn.AddRule(&nftables.Rule{Table: table, Chain: kernel, Exprs: r})
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
		return fmt.Errorf("%w: the kernel lacks nf_tables, nft_nat, nft_hash or nft_ct", err)
	}
	return err
}
