package topology

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/netip"
)

// Config is what the topology depends on. A topology that was made for another
// one is made anew.
type Config struct {
	// Tag is the mark of everything that is ours, "lw4o6:" and the instance.
	Tag string
	// Tables is the first of the FIB table numbers that are ours, of which
	// there are TableCount for each address family.
	Tables uint32
	// IPv4Table and IPv6Table are the tables in which the operator routes: the
	// IPv4 Internet and the access network.
	IPv4Table, IPv6Table uint32

	// Own4 is the source of the ICMPv4 errors that VPP sends.
	Own4 netip.Addr
	// TunnelMTU is the largest tunnel packet in octets, outer header included.
	TunnelMTU uint16
	// IgnoreDF cuts tunnel packets although the packet inside says not to.
	IgnoreDF bool
	// MSS is the largest MSS that TCP may ask for through a softwire; 0 leaves
	// it alone.
	MSS uint16
	// Hairpin forwards between lwB4s.
	Hairpin bool
	// ICMPFromIPv4 and ICMPFromB4 forward ICMPv4 that comes from that side (RFC
	// 7596 section 8.1).
	ICMPFromIPv4, ICMPFromB4 bool
	// PolicyError answers unknown lwB4s with ICMPv6 type 1 code 5.
	PolicyError bool

	Reassembly4, Reassembly6 Reassembly

	// ExceptionRate is how many packets of a kind VPP hands over per second; 0
	// does not limit them, nor needs PolicerMessages.
	ExceptionRate uint32

	// Fill is that of plan.Layout, for which the domains are made.
	Fill uint8
}

// Reassembly bounds what VPP holds of incomplete packets.
type Reassembly struct {
	Packets   uint32
	Fragments uint32 // of one packet
	Timeout   uint32 // in milliseconds
}

// version changes with what is made of a Config.
const version = 6

// mark tells topologies for different Configs apart.
func (c Config) mark() string {
	sum := sha256.Sum256(fmt.Appendf(nil, "%d %+v", version, c))
	return hex.EncodeToString(sum[:6])
}

// The FIB tables that are ours, as offsets from Config.Tables.
const (
	// IPv4.
	tableInside        = iota // where decapsulated packets go
	tableErrors               // where errors go that VPP makes while it encapsulates
	tableHairpinErrors        // the same, of packets from lwB4s
	tablePuzzles              // to the slow path
	tableExpired              // to the slow path, from lwB4 to lwB4
	tableNoPorts              // packets whose protocol has no ports
	tableNothing              // no route at all

	// IPv6.
	tableBR      = iota - 7 // what is for BR addresses themselves
	tablePCP                // to the loop of PCP
	tableICMP6              // to the loop of ICMPv6
	tableTunnels            // to the loop of odd tunnel packets
	tableHairpin            // where packets from lwB4 to lwB4 go, encapsulated
	tableVoid               // no route at all
)

// TableCount is how many FIB table numbers are ours.
const TableCount = 8

func (c Config) table(offset uint32) uint32 { return c.Tables + offset }

// A role is what one of our interfaces is for. Each is the end of its tag.
type role string

const (
	// Packets for the pools enter by encap, those of lwB4s by hairpin. Both
	// look alike; two of them so that VPP counts them apart.
	encap   role = "encap"
	hairpin role = "hairpin"
	// decap is one for each BR address, which stands behind it in the tag.
	// Until it is complete it has another tag.
	decap    role = "decap"
	decapNew role = "decap-new"
	// Decapsulated packets enter IPv4 by inside, as by any interface.
	inside role = "inside"
	// whole and shared take packets whose protocol has no ports, and such that
	// are too short for ports, to whole and to shared addresses.
	whole  role = "whole"
	shared role = "shared"
	// The rest lead to the control logic.
	puzzles role = "puzzles" // IPv4 that VPP would not treat well
	expired role = "expired" // such packets from lwB4 to lwB4
	own     role = "own"     // IPv4 from lwB4s to the lwAFTR itself
	errors4 role = "errors"  // ICMPv4 errors that VPP made
	pcp     role = "pcp"
	icmp6   role = "icmp6"
	tunnels role = "tunnels" // tunnel packets that VPP would not treat well
	nobody  role = "nobody"  // tunnel packets to plan.Layout.Nowhere
	// The same, of packets from lwB4s.
	hairpinNobody role = "hairpin-nobody"
)

// roles are all but decap.
func roles() []role {
	return []role{encap, hairpin, whole, shared, inside, puzzles, expired, own, errors4, pcp, icmp6, tunnels, nobody, hairpinNobody}
}

func (c Config) tag(r role) string { return c.Tag + ":" + string(r) }
