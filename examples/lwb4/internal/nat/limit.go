package nat

import (
	"fmt"
	"strings"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"

	"github.com/lwaftr/lw4o6/examples/lwb4/internal/assign"
)

// The counters of the table.
const (
	counterDropped    = "dropped"    // what must not enter or leave the softwire
	counterExhausted  = "exhausted"  // connections that there was no port for
	counterUnassigned = "unassigned" // packets while there were no ports
)

// Counts is what the table did not let through, in packets, since it was there.
type Counts struct {
	Dropped    uint64 // must not enter or leave the softwire
	Exhausted  uint64 // began a connection that there was no port for; the host was told
	Unassigned uint64 // came from the LAN while no ports were assigned; the host was told
}

// Read reads the counters.
func Read() (c Counts, err error) {
	conn, err := nftables.New()
	if err != nil {
		return c, fmt.Errorf("nftables: %w", err)
	}
	objects, err := conn.GetObjects(&nftables.Table{Family: nftables.TableFamilyIPv4, Name: tableName})
	if err != nil {
		return c, fmt.Errorf("nftables: counters of table ip %s: %w", tableName, err)
	}
	for _, o := range objects {
		counter, ok := o.(*nftables.CounterObj)
		if !ok {
			continue
		}
		switch counter.Name {
		case counterDropped:
			c.Dropped = counter.Packets
		case counterExhausted:
			c.Exhausted = counter.Packets
		case counterUnassigned:
			c.Unassigned = counter.Packets
		}
	}
	return c, nil
}

func count(counter string) []expr.Any {
	return []expr.Any{&expr.Objref{Type: unix.NFT_OBJECT_COUNTER, Name: counter}}
}

// limitDestinations is how many destinations are watched at a time.
const limitDestinations = 65535

// destinations begins the names of sets that count connections by destination.
const destinations = "destinations-"

// limitName is the set that counts connections through some ports by destination.
// Each of its elements has the limit that it was made with, so other ports have
// another set.
func limitName(open assign.Ports) string {
	name := destinations
	for _, s := range open.Sets {
		p := s.Params()
		name += fmt.Sprintf("%x.%x.%x-", p.Offset(), p.Length(), s.PSID())
	}
	return strings.TrimRight(name, "-")
}

// watchDestinations makes the set for the ports that are open, and removes that for
// others.
func watchDestinations(conn *nftables.Conn, table *nftables.Table, open assign.Ports) error {
	name := limitName(open)
	// The table may be new, and have none.
	existing, _ := conn.GetSets(table)
	for _, s := range existing {
		if strings.HasPrefix(s.Name, destinations) && s.Name != name {
			conn.DelSet(s)
		}
	}
	return conn.AddSet(&nftables.Set{
		Table: table, Name: name, Dynamic: true, Concatenation: true, Size: limitDestinations,
		KeyType: nftables.MustConcatSetType(nftables.TypeIPAddr, nftables.TypeInetProto, nftables.TypeInetService),
	}, nil)
}

// looked is how many ports the kernel looks at in a row for a free one
// (nf_nat_l4proto_unique_tuple in Linux's net/netfilter/nf_nat_core.c).
const looked = 128

// toOne is how many connections of so many ports go to one destination: so many that
// the kernel finds a port for the last one, too, although ports that are in use stand
// in rows. One that it finds none for is lost without a word.
func toOne(ports int) int {
	if ports <= looked {
		return ports
	}
	return ports / 4 * 3
}

// beyond matches the beginning of a connection of a protocol for which there is no
// port: a port serves one connection to each destination, address and port.
func beyond(protocol uint8, open assign.Ports) []expr.Any {
	return concat(
		protocolIs(protocol),
		stateIs(expr.CtStateBitNEW),
		[]expr.Any{
			&expr.Payload{DestRegister: regMatch, Base: expr.PayloadBaseNetworkHeader, Offset: offsetDestination, Len: 4},
			&expr.Meta{Key: expr.MetaKeyL4PROTO, Register: regMatch + 1},
			&expr.Payload{DestRegister: regMatch + 2, Base: expr.PayloadBaseTransportHeader, Offset: 2, Len: 2},
			&expr.Dynset{
				SrcRegKey: regMatch, SetName: limitName(open), Operation: uint32(unix.NFT_DYNSET_OP_ADD),
				Exprs: []expr.Any{&expr.Connlimit{Count: uint32(toOne(open.Count())), Flags: expr.NFT_CONNLIMIT_F_INV}},
			},
		},
		count(counterExhausted),
	)
}

// answer tells the sender that nothing will come of it.
func answer(protocol uint8) []expr.Any {
	if protocol == unix.IPPROTO_TCP {
		return []expr.Any{&expr.Reject{Type: unix.NFT_REJECT_TCP_RST}}
	}
	return reject(icmpProhibited)
}

// Codes of ICMP destination unreachable.
const (
	icmpNoNetwork  = 0
	icmpProhibited = 13
)

func reject(code uint8) []expr.Any {
	return []expr.Any{&expr.Reject{Type: unix.NFT_REJECT_ICMP_UNREACH, Code: code}}
}
