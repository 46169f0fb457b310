package vppdrv

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/lwaftr/lw4o6/plugin/dataplane"
	"github.com/lwaftr/lw4o6/plugin/forwarder/checksum"
	"github.com/lwaftr/lw4o6/plugin/softwire"
	"github.com/lwaftr/lw4o6/vppdrv/vpptest"
)

// flow is packets both ways through a softwire, all of which must arrive. With
// a spoofer they come from that address instead, and none may arrive.
type flow struct {
	softwire.Softwire
	port    uint16
	spoofer netip.Addr
}

func flowOf(s softwire.Softwire) *flow {
	f := &flow{Softwire: s}
	for r := range s.PortSet.Ranges() {
		f.port = r.First
	}
	return f
}

// traffic is flows through a bench while something else happens. On a busy
// machine packets may be lost before they reach VPP; of those that it received
// none may be.
type traffic struct {
	b       *bench
	flows   []*flow
	outside *vpptest.Port // spoofers send here
	before  map[dataplane.Side]uint64
	arrived map[dataplane.Side]*atomic.Uint64
	wrong   atomic.Pointer[string] // the first packet that should not have come
	group   sync.WaitGroup
	stop    context.CancelFunc // of sending
	end     context.CancelFunc // of receiving
}

// A packet says which flow it is of.
const (
	trafficMark   = 0x6c773466
	remotePort    = 40000
	trafficLength = ip4Header + 8 + 8
)

var remote = addr("198.51.100.7")

// startTraffic sends packets of each flow in turn, one each way every pause.
func startTraffic(t *testing.T, b *bench, pause time.Duration, flows ...*flow) *traffic {
	tr := &traffic{b: b, flows: flows, outside: b.vpp.AddPort(), before: make(map[dataplane.Side]uint64), arrived: make(map[dataplane.Side]*atomic.Uint64)}
	b.vpp.CLI("set interface ip address %s 2001:db9:1::1/64", tr.outside.Interface)
	send, stop := context.WithCancel(context.Background())
	receive, end := context.WithCancel(context.Background())
	tr.stop, tr.end = stop, end
	for side := range b.ports {
		tr.before[side], tr.arrived[side] = tr.received(t, side), new(atomic.Uint64)
		tr.group.Go(func() { tr.receive(receive, t, side) })
	}
	tr.group.Go(func() { tr.send(send, t, pause) })
	t.Cleanup(func() {
		stop()
		end()
		tr.group.Wait()
	})
	return tr
}

// received is how many packets VPP has received from a side.
func (tr *traffic) received(t *testing.T, side dataplane.Side) uint64 {
	t.Helper()
	r, err := tr.b.Driver.stats.Read(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return r.Interfaces[tr.b.ports[side].Index].Rx.Packets
}

func (tr *traffic) send(ctx context.Context, t *testing.T, pause time.Duration) {
	tick := time.NewTicker(pause)
	defer tick.Stop()
	for i := 0; ; i++ {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		if err := tr.sendFlow(i % len(tr.flows)); err != nil {
			t.Errorf("sending: %v", err)
			return
		}
	}
}

func (tr *traffic) sendFlow(number int) error {
	f := tr.flows[number]
	up := udp(f.IPv4, remote, f.port, remotePort, number)
	if f.spoofer.IsValid() {
		return tr.outside.Send(tunnelled(f.spoofer, f.BR, up))
	}
	return errors.Join(
		tr.b.ports[dataplane.SideIPv6].Send(tunnelled(f.B4, f.BR, up)),
		tr.b.ports[dataplane.SideIPv4].Send(udp(remote, f.IPv4, remotePort, f.port, number)))
}

func (tr *traffic) receive(ctx context.Context, t *testing.T, side dataplane.Side) {
	for {
		packet, err := tr.b.ports[side].Receive(ctx)
		if errors.Is(err, context.Canceled) {
			return
		}
		if err != nil {
			t.Errorf("receiving: %v", err)
			return
		}
		if err := tr.take(side, packet); err != nil {
			text := err.Error()
			tr.wrong.CompareAndSwap(nil, &text)
		}
	}
}

// take counts a packet that VPP sent. The error says what is wrong with it.
func (tr *traffic) take(side dataplane.Side, packet []byte) error {
	ip4 := packet
	if side == dataplane.SideIPv6 {
		if len(packet) < ip6Header || packet[6] != 4 {
			return nil // an ICMPv6 error, say
		}
		ip4 = packet[ip6Header:]
	}
	if len(ip4) != trafficLength || binary.BigEndian.Uint32(ip4[ip4Header+8:]) != trafficMark {
		return nil
	}
	f := tr.flows[binary.BigEndian.Uint32(ip4[ip4Header+12:])]
	if f.spoofer.IsValid() {
		return fmt.Errorf("%s: a packet of %s was let through", f.Softwire, f.spoofer)
	}
	if side == dataplane.SideIPv6 && (!bytes.Equal(packet[8:24], f.BR.AsSlice()) || !bytes.Equal(packet[24:40], f.B4.AsSlice())) {
		return fmt.Errorf("%s: a packet went from %x to %x", f.Softwire, packet[8:24], packet[24:40])
	}
	tr.arrived[side].Add(1)
	return nil
}

// finish stops sending and requires that every packet that VPP received has
// arrived, and nothing else. It returns how many came by each side.
func (tr *traffic) finish(t *testing.T) map[dataplane.Side]uint64 {
	t.Helper()
	tr.stop()
	arrived := make(map[dataplane.Side]uint64)
	for from, to := range map[dataplane.Side]dataplane.Side{
		dataplane.SideIPv4: dataplane.SideIPv6, dataplane.SideIPv6: dataplane.SideIPv4,
	} {
		var received, missed uint64
		for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); sleep(t.Context(), time.Millisecond) {
			more, err := tr.b.ports[to].Missed()
			if err != nil {
				t.Fatal(err)
			}
			missed += more
			// VPP counts a packet before it forwards it.
			arrived[from] = tr.arrived[to].Load()
			if received = tr.received(t, from) - tr.before[from]; arrived[from]+missed >= received {
				break
			}
		}
		if arrived[from]+missed != received || arrived[from] == 0 {
			t.Errorf("of %d packets from the %s side %d arrived, and %d were missed", received, from, arrived[from], missed)
		}
	}
	tr.end()
	tr.group.Wait()
	if text := tr.wrong.Load(); text != nil {
		t.Error(*text)
	}
	return arrived
}

// udp is a packet of a flow.
func udp(from, to netip.Addr, fromPort, toPort uint16, flow int) []byte {
	b := make([]byte, trafficLength)
	b[0], b[8], b[9] = 0x45, 64, 17
	binary.BigEndian.PutUint16(b[2:], trafficLength)
	copy(b[12:], from.AsSlice())
	copy(b[16:], to.AsSlice())
	binary.BigEndian.PutUint16(b[10:], checksum.Of(b[:ip4Header]))
	u := b[ip4Header:] // without a checksum (RFC 768)
	binary.BigEndian.PutUint16(u, fromPort)
	binary.BigEndian.PutUint16(u[2:], toPort)
	binary.BigEndian.PutUint16(u[4:], uint16(len(u)))
	binary.BigEndian.PutUint32(u[8:], trafficMark)
	binary.BigEndian.PutUint32(u[12:], uint32(flow))
	return b
}

func tunnelled(from, to netip.Addr, packet []byte) []byte {
	b := make([]byte, ip6Header, ip6Header+len(packet))
	b[0], b[6], b[7] = 0x60, 4, 64
	binary.BigEndian.PutUint16(b[4:], uint16(len(packet)))
	copy(b[8:], from.AsSlice())
	copy(b[24:], to.AsSlice())
	return append(b, packet...)
}
