package lwb4sim

import (
	"context"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/lwaftr/lw4o6/integration/netlab"
)

// TestSocket: one socket is all lwB4s of a loader, each with its own address.
func TestSocket(t *testing.T) {
	netlab.Require(t)
	lab := netlab.New()
	t.Cleanup(func() { check(t, lab.Close()) })
	ns, err := lab.Namespace("lwb4sim")
	check(t, err)
	config := LoadConfig{Population: people(500, false), Window: 100, Timeout: time.Second}
	check(t, ns.Address("lo", netip.PrefixFrom(config.Population.BR, 128)))
	check(t, ns.Own(netip.MustParsePrefix("2001:db8:1000::/36")))
	server := config.Population.server().String()
	var answering net.PacketConn
	var socket *Socket
	check(t, ns.Do(func() (err error) { answering, err = net.ListenPacket("udp", server); return err }))
	t.Cleanup(func() { _ = answering.Close() })
	check(t, ns.Do(func() (err error) { socket, err = OpenSocket(config.Population); return err }))
	t.Cleanup(func() { check(t, socket.Close()) })
	script := newScript()
	go serveSocket(script, answering)

	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	loader, err := NewLoader(socket, config)
	check(t, err)
	first, err := loader.Within(ctx, 50*time.Millisecond)
	if err != nil || first.Granted != 500 || script.held() != 500 || first.Elapsed < 50*time.Millisecond {
		t.Fatalf("%+v, %v, the server has %d", first, err, script.held())
	}
	renewals, err := loader.For(ctx, 50*time.Millisecond)
	if err != nil || renewals.Granted == 0 || script.changed != 500 {
		t.Fatalf("%+v, %v, %d changes", renewals, err, script.changed)
	}
	// Nobody answers, and the deadline counts.
	if n, err := socket.Receive(make([]Letter, 1), time.Now().Add(time.Millisecond)); n != 0 || err != nil {
		t.Errorf("%d, %v", n, err)
	}
}
