package lwb4sim

import (
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv6"
	"github.com/insomniacslk/dhcp/iana"

	"github.com/lwaftr/lw4o6/coredhcp-plugin/s46"
	"github.com/lwaftr/lw4o6/pcp/datagram"
	"github.com/lwaftr/lw4o6/plugin/portset"
)

// dhcpScript is a server that does what a test needs and no more: it gives each
// client the next prefix and port set.
type dhcpScript struct {
	mu     sync.Mutex
	leases map[string]int // by DUID
	next   int
	now    dhcpRules
	seen   map[dhcpv6.MessageType]int
}

// dhcpRules is what the server does.
type dhcpRules struct {
	down       bool // nothing is answered
	noSoftwire bool
	shared     bool // everybody gets the same
	twice      bool // two prefixes in each answer
}

const dhcpValid = time.Hour

func newDHCPScript() *dhcpScript {
	return &dhcpScript{leases: make(map[string]int), seen: make(map[dhcpv6.MessageType]int)}
}

func (s *dhcpScript) rule(r dhcpRules) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.now = r
}

// lose has the server lose its state, as at a restart without a disk.
func (s *dhcpScript) lose() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.leases = make(map[string]int)
}

func (s *dhcpScript) count(types ...dhcpv6.MessageType) (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, t := range types {
		n += s.seen[t]
	}
	return n
}

func (s *dhcpScript) held() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.leases)
}

// answer answers a message of a client, or returns nil.
func (s *dhcpScript) answer(m *dhcpv6.Message) *dhcpv6.Message {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.seen[m.MessageType]++
	if s.now.down {
		return nil
	}
	answer := &dhcpv6.Message{MessageType: dhcpv6.MessageTypeReply, TransactionID: m.TransactionID}
	answer.AddOption(dhcpv6.OptClientID(m.Options.ClientID()))
	answer.AddOption(dhcpv6.OptServerID(&dhcpv6.DUIDEN{EnterpriseNumber: 1}))
	client := m.Options.ClientID().String()
	ia := &dhcpv6.OptIAPD{IaId: m.Options.OneIAPD().IaId}
	switch m.MessageType {
	case dhcpv6.MessageTypeRelease:
		delete(s.leases, client)
		return answer
	case dhcpv6.MessageTypeRenew, dhcpv6.MessageTypeRebind:
		if _, known := s.leases[client]; !known {
			ia.Options.Add(&dhcpv6.OptStatusCode{StatusCode: iana.StatusNoBinding})
			answer.AddOption(ia)
			return answer
		}
	case dhcpv6.MessageTypeSolicit:
		if m.GetOneOption(dhcpv6.OptionRapidCommit) == nil {
			answer.MessageType = dhcpv6.MessageTypeAdvertise
		} else {
			answer.AddOption(&dhcpv6.OptionGeneric{OptionCode: dhcpv6.OptionRapidCommit})
		}
	}
	number, known := s.leases[client]
	if !known {
		number = s.next
		s.next++
		s.leases[client] = number
	}
	if s.now.shared {
		number = 0
	}
	s.give(answer, ia, number)
	return answer
}

func (s *dhcpScript) give(answer *dhcpv6.Message, ia *dhcpv6.OptIAPD, number int) {
	prefix := netip.PrefixFrom(netip.AddrFrom16([16]byte{0: 0x20, 1: 1, 2: 0xd, 3: 0xb8, 4: byte(number >> 8), 5: byte(number)}), 56)
	ip := &net.IPNet{IP: prefix.Addr().AsSlice(), Mask: net.CIDRMask(56, 128)}
	ia.Options.Add(&dhcpv6.OptIAPrefix{Prefix: ip, PreferredLifetime: dhcpValid, ValidLifetime: dhcpValid})
	if s.now.twice {
		ia.Options.Add(ia.Options.Options[0])
	}
	answer.AddOption(ia)
	if s.now.noSoftwire {
		ia.T1, ia.T2 = time.Minute, 2*time.Minute
		return
	}
	set, err := portset.Of(0, 6, uint16(1+number%63))
	if err != nil {
		panic(err)
	}
	v4 := netip.AddrFrom4([4]byte{192, 0, byte(2 + number/63/256), byte(number / 63)})
	if err := s46.Add(answer, s46.NewLW(netip.MustParseAddr("2001:db8:ff::1"), v4, set, prefix)); err != nil {
		panic(err)
	}
}

// reply answers a datagram.
func (s *dhcpScript) reply(d *datagram.Datagram) []byte {
	asked, err := dhcpv6.FromBytes(d.Payload)
	if err != nil {
		return nil
	}
	inner, err := asked.GetInnerMessage()
	if err != nil {
		return nil
	}
	answer := s.answer(inner)
	if answer == nil {
		return nil
	}
	if d.To.Addr() == allServers {
		d.To = netip.AddrPortFrom(netip.MustParseAddr("fe80::1"), d.To.Port())
	}
	forward, ok := asked.(*dhcpv6.RelayMessage)
	if !ok {
		return answer.ToBytes()
	}
	reply, err := dhcpv6.NewRelayReplFromRelayForw(forward, answer)
	if err != nil {
		panic(err)
	}
	return reply.ToBytes()
}
