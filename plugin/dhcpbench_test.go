package plugin

import (
	"encoding/binary"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/insomniacslk/dhcp/dhcpv6"

	"github.com/lwaftr/lw4o6/coredhcp-plugin/listen"
	"github.com/lwaftr/lw4o6/coredhcp-plugin/server"
	"github.com/lwaftr/lw4o6/plugin/pool"
)

// dhcpCrowd is clients that nobody knows yet, each with one exchange of four
// messages.
type dhcpCrowd struct {
	duid             dhcpv6.DUID
	solicit, request []byte
}

func newDHCPCrowd(duid dhcpv6.DUID) dhcpCrowd {
	build := func(kind dhcpv6.MessageType, more ...dhcpv6.Option) []byte {
		m := &dhcpv6.Message{MessageType: kind}
		m.AddOption(&dhcpv6.OptionGeneric{OptionCode: dhcpv6.OptionClientID, OptionData: []byte{0, 3, 0, 1, 0, 0, 0, 0, 0, 0}})
		for _, o := range more {
			m.AddOption(o)
		}
		m.AddOption(dhcpv6.OptElapsedTime(0))
		m.AddOption(dhcpv6.OptRequestedOption(dhcpv6.OptionS46ContLW))
		m.AddOption(&dhcpv6.OptIAPD{IaId: [4]byte{1}})
		return m.ToBytes()
	}
	return dhcpCrowd{
		duid:    duid,
		solicit: build(dhcpv6.MessageTypeSolicit),
		request: build(dhcpv6.MessageTypeRequest, dhcpv6.OptServerID(duid)),
	}
}

// message is one of client number i.
func (c dhcpCrowd) message(from []byte, i uint32) []byte {
	m := append([]byte(nil), from...)
	m[1] = byte(i)
	binary.BigEndian.PutUint32(m[4+4+6:], i)
	return m
}

// BenchmarkDHCPv6Exchange: a server and its leases without sockets, with as many
// exchanges under way as many clients have that ask at the same time.
func BenchmarkDHCPv6Exchange(b *testing.B) {
	run := benchmarked(b, func(c *Config) {
		c.Softwires.Static, c.Pools[0].Prefixes = nil, []netip.Prefix{netip.MustParsePrefix("10.0.0.0/14")}
		c.Pools[0].Mechanisms = append(c.Pools[0].Mechanisms, pool.DHCPv6)
		var p server.Pool
		p.SetDefaults()
		p.Name, p.Prefixes = "access", []netip.Prefix{netip.MustParsePrefix("2001:db8:8000::/36")}
		c.DHCPv6.Enabled, c.DHCPv6.ClientRate = true, 0
		c.DHCPv6.Listen = []listen.Config{{Address: netip.MustParseAddr("::1")}}
		c.DHCPv6.Pools = []server.Pool{p}
	})
	duid, err := storedDUID(b.Context(), run.store)
	if err != nil {
		b.Fatal(err)
	}
	all, self := newDHCPCrowd(duid), server.Identifier(duid)
	var next atomic.Uint32
	var clients sync.WaitGroup
	b.ReportAllocs()
	b.ResetTimer()
	for range 512 {
		clients.Go(func() {
			for i := next.Add(1); int(i) <= b.N; i = next.Add(1) {
				if run.dhcpv6.Respond(b.Context(), "eth0", self, all.message(all.solicit, i)) == nil {
					b.Error("no Advertise")
					return
				}
				answer := run.dhcpv6.Respond(b.Context(), "eth0", self, all.message(all.request, i))
				m, err := dhcpv6.MessageFromBytes(answer)
				if i%1024 == 1 && (err != nil || m.GetOneOption(dhcpv6.OptionS46ContLW) == nil) {
					b.Errorf("%v %v", err, m)
				}
			}
		})
	}
	clients.Wait()
}
