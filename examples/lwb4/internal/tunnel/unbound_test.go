package tunnel

import (
	"context"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/lwaftr/lw4o6/examples/lwb4/internal/assign"
	"github.com/lwaftr/lw4o6/examples/lwb4/internal/encap"
)

// noBinding sends ICMPv6 1/5 about a packet of the lwB4's, from an address of the
// AFTR.
func (r *rig) noBinding(from [16]byte, inner []byte) {
	r.Helper()
	outer := append(make([]byte, encap.HeaderLen), inner...)
	encap.New(config().Ends, assigned(), 64).Encapsulate(outer)
	message := append([]byte{1, 5, 0, 0, 0, 0, 0, 0}, outer...)
	r.must(r.aftr.Do(func() error {
		fd, err := unix.Socket(unix.AF_INET6, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.IPPROTO_ICMPV6)
		if err != nil {
			return err
		}
		defer unix.Close(fd)
		if err := unix.Bind(fd, &unix.SockaddrInet6{Addr: from}); err != nil {
			return err
		}
		return unix.Sendto(fd, message, 0, &unix.SockaddrInet6{Addr: b4.As16()})
	}))
}

// TestUnbound: only the AFTR's own errors about what was sent lately are believed.
func TestUnbound(t *testing.T) {
	r := newRig(t)
	r.start()
	_, err := r.socket(ourPort).Write([]byte("who has this?"))
	r.must(err)
	sent, _, _ := r.receive()
	forged := slices.Clone(sent)
	forged[19]++ // to another server
	r.noBinding(other.As16(), sent)
	r.noBinding(br.As16(), forged)
	r.noBinding(br.As16(), sent)
	select {
	case <-r.unbound:
	case <-time.After(patient):
		t.Fatal("the AFTR is not believed")
	}
	s := r.tunnel.Stats()
	if len(r.unbound) != 0 || s.Inbound[encap.NoBinding] != 1 || s.Inbound[encap.Unasked] != 1 {
		t.Errorf("%d more are believed; counted %v", len(r.unbound), s.Inbound)
	}
}

// TestUse: a change of ports counts for the next packet.
func TestUse(t *testing.T) {
	r := newRig(t)
	r.start()
	conn := r.socket(ourPort)
	r.tunnel.Use(assign.Ports{})
	_, err := conn.Write([]byte("too early"))
	r.must(err)
	// What waits in the device is looked at when it is taken out of it.
	ctx, cancel := context.WithTimeout(t.Context(), patient)
	defer cancel()
	for r.tunnel.Stats().Outbound[encap.WrongAddress] == 0 {
		if ctx.Err() != nil {
			t.Fatal("not dropped")
		}
		time.Sleep(time.Millisecond)
	}
	r.tunnel.Use(assigned())
	_, err = conn.Write([]byte("now"))
	r.must(err)
	if inner, _, _ := r.receive(); string(inner[28:]) != "now" {
		t.Errorf("received %q", inner[28:])
	}
}

func TestRecent(t *testing.T) {
	packet := udp(ourPort, 0, "text")
	var r recent
	begin := time.Unix(1<<30, 0)
	if r.has(packet, begin) {
		t.Error("nothing was sent yet")
	}
	r.note(packet, begin)
	for _, row := range []struct {
		after time.Duration
		want  bool
	}{{0, true}, {recentLimit * time.Second, true}, {(recentLimit + 1) * time.Second, false}, {-time.Second, false}} {
		if got := r.has(packet, begin.Add(row.after)); got != row.want {
			t.Errorf("after %s: %t", row.after, got)
		}
	}
	if r.has(udp(ourPort+1, 0, "text"), begin) {
		t.Error("another packet was not sent")
	}
}
