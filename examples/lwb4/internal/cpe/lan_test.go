package cpe

import (
	"context"
	"net"
	"net/netip"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/nftables"

	"github.com/lwaftr/lw4o6/examples/lwb4/internal/nat"
	"github.com/lwaftr/lw4o6/examples/lwb4/internal/status"
	"github.com/lwaftr/lw4o6/integration/netlab"
	"github.com/lwaftr/lw4o6/pcp/client"
	"github.com/lwaftr/lw4o6/pcp/pcpmsg"
)

// TestHostAsksByPCP: a host of the LAN gets one of the CPE's ports, which the kernel's
// rules have, and gives it back.
func TestHostAsksByPCP(t *testing.T) {
	node, rest := home(t)
	config := valid()
	config.Status.Socket = filepath.Join(t.TempDir(), "lwb4.sock")
	stop := running(t, node, config)
	defer stop()
	must(t, rest.Address("host", netip.MustParsePrefix("192.168.1.2/24")))
	var conn net.PacketConn
	must(t, rest.Do(func() (err error) {
		conn, err = client.ListenFrom(t.Context(), netip.MustParseAddr("192.168.1.2"))
		return err
	}))
	defer conn.Close()
	c, err := client.New(conn, client.Config{Servers: []netip.AddrPort{netip.MustParseAddrPort("192.168.1.1:5351")}})
	must(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	ended := make(chan error, 1)
	go func() { ended <- c.Run(ctx) }()
	defer func() { cancel(); must(t, <-ended) }()
	want := client.Want{Nonce: client.NewNonce(), Protocol: uint8(nat.TCP), InternalPort: 80, Lifetime: time.Hour}
	before := elements(t, node)
	g, err := c.Request(ctx, want)
	must(t, err)
	if g.External != valid().Softwire.IPv4 || g.ExternalPort < 5120 || g.ExternalPort > 6143 || g.Lifetime != time.Hour {
		t.Errorf("granted %+v", g)
	}
	if n := elements(t, node); n != before+2 {
		t.Errorf("%d elements in the maps, want one in each of two", n-before)
	}
	s, err := status.Read(ctx, config.Status.Socket)
	must(t, err)
	if s.State != "up" || len(s.Sets) != 1 || s.Sets[0].Set != "0/6/5" || len(s.Mappings) != 1 || s.Mappings[0].Port != g.ExternalPort {
		t.Errorf("status %+v", s)
	}
	must(t, c.Delete(ctx, want))
	if n := elements(t, node); n != before {
		t.Errorf("%d elements are left", n-before)
	}
	if _, err := c.Request(ctx, client.Want{Nonce: client.NewNonce(), Lifetime: time.Hour}); err == nil {
		t.Error("all ports of all protocols were granted")
	}
	if a, err := c.Announce(ctx); err != nil || a.Server.Port() != pcpmsg.ServerPort {
		t.Errorf("%+v, %v", a, err)
	}
}

// elements is how many elements the NAT's maps have.
func elements(t *testing.T, node *netlab.Namespace) (n int) {
	t.Helper()
	must(t, node.Do(func() error {
		conn, err := nftables.New()
		if err != nil {
			return err
		}
		sets, err := conn.GetSets(&nftables.Table{Family: nftables.TableFamilyIPv4, Name: "lwb4"})
		if err != nil {
			return err
		}
		for _, s := range sets {
			if !s.IsMap {
				continue
			}
			all, err := conn.GetSetElements(s)
			if err != nil {
				return err
			}
			n += len(all)
		}
		return nil
	}))
	return n
}
