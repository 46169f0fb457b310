package lwb4sim

import (
	"context"
	"net/netip"
	"testing"
	"time"
)

// TestSocket: one socket is all lwB4s of a loader, each with its own address.
func TestSocket(t *testing.T) {
	ns := newNode(t)
	config := LoadConfig{Population: people(500, false), Window: 100, Timeout: time.Second}
	check(t, ns.Address("lo", netip.PrefixFrom(config.Population.BR, 128)))
	check(t, ns.Own(netip.MustParsePrefix("2001:db8:1000::/36")))
	script := answer(t, ns, config.Population)
	var socket *Socket
	check(t, ns.Do(func() (err error) { socket, err = OpenSocket(config.Population); return err }))
	t.Cleanup(func() { check(t, socket.Close()) })

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
