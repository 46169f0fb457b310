package vppdrv

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"

	"github.com/lwaftr/lw4o6/plugin/dataplane"
	"github.com/lwaftr/lw4o6/plugin/forwarder"
	"github.com/lwaftr/lw4o6/plugin/forwarder/checksum"
	"github.com/lwaftr/lw4o6/vppdrv/plan"
	"github.com/lwaftr/lw4o6/vppdrv/punt"
	"github.com/lwaftr/lw4o6/vppdrv/topology"
)

// slowPath is a Forwarder on the softwires that VPP has, for the packets that
// VPP hands over. What it makes of them VPP sends.
type slowPath struct {
	forwarder *forwarder.Forwarder
	worker    *forwarder.Worker
	mtu       int           // of tunnels
	tooBig    *rate.Limiter // of errors that VPP makes and we mend

	// Counted by the one goroutine that receives: packets that were dealt with,
	// and of these what events say.
	taken, unknown, unsent, errorsLimited atomic.Uint64
	// proofs are packets that came through the topology of ours.
	proofs atomic.Uint64
}

// noIO is for the part of a Forwarder that does not run.
type noIO struct{}

func (noIO) Run(ctx context.Context, _ func() *forwarder.Worker) error {
	<-ctx.Done()
	return nil
}

func (noIO) Send(context.Context, dataplane.Side, []byte) error { return errors.ErrUnsupported }

func newSlowPath(c forwarder.Config) (*slowPath, error) {
	f, err := forwarder.New(c, noIO{})
	if err != nil {
		return nil, err
	}
	p := &slowPath{forwarder: f, worker: f.NewWorker(), mtu: c.TunnelMTU, tooBig: rate.NewLimiter(0, 0)}
	return p, p.tune(c)
}

// tune takes what of a changed configuration is not VPP's.
func (p *slowPath) tune(c forwarder.Config) error {
	if err := p.forwarder.SetConfig(c); err != nil {
		return err
	}
	perSecond := 0
	if c.ICMPv4.TooBig {
		perSecond = c.ICMPv4.Rate.Total
	}
	p.tooBig.SetLimit(rate.Limit(perSecond))
	p.tooBig.SetBurst(perSecond)
	return nil
}

// mirror makes the softwires of the slow path those of m.
func (p *slowPath) mirror(ctx context.Context, m *plan.Model) error {
	var ops []dataplane.Op
	for sw, err := range p.forwarder.Softwires(ctx) {
		if err != nil {
			return err
		}
		if got, ok := m.Get(sw.Key()); !ok || got != sw {
			ops = append(ops, dataplane.Op{Kind: dataplane.Remove, Softwire: sw})
		}
	}
	for sw := range m.Softwires {
		if sw.B4.IsValid() {
			ops = append(ops, dataplane.Op{Kind: dataplane.Put, Softwire: sw})
		}
	}
	return p.apply(ctx, ops)
}

// apply follows ops that VPP has executed.
func (p *slowPath) apply(ctx context.Context, ops []dataplane.Op) error {
	results, err := p.forwarder.Apply(ctx, ops)
	if err != nil {
		return err
	}
	for i, r := range results {
		if r.Err != nil {
			return fmt.Errorf("slow path: %s %s: %w", ops[i].Kind, ops[i].Softwire, r.Err)
		}
	}
	return nil
}

// room is what a Worker may write to before a packet.
const room = 64

// serve takes packets from VPP until ctx ends.
func (p *slowPath) serve(ctx context.Context, socket *punt.Socket, t *topology.Topology) error {
	buf := make([]byte, room, room+1<<16)
	ip4, ip6 := t.Inject()
	for {
		index, packet, err := socket.Receive(ctx)
		switch {
		case ctx.Err() != nil, errors.Is(err, net.ErrClosed):
			return nil
		case errors.Is(err, punt.ErrNoPacket):
			p.unknown.Add(1)
			p.taken.Add(1)
			continue
		case err != nil:
			return err
		}
		reason := t.Reason(topology.Index(index))
		if reason != topology.Unknown {
			p.proofs.Add(1)
		}
		if isProbe(reason, packet) {
			p.taken.Add(1)
			continue
		}
		buf = append(buf[:room], packet...)
		for _, out := range p.process(time.Now(), reason, buf) {
			from := ip4
			if out.Side == dataplane.SideIPv6 {
				from = ip6
			}
			if err := socket.Send(ctx, uint32(from), out.Packet); err != nil {
				p.unsent.Add(1)
			}
		}
		p.taken.Add(1)
	}
}

// process returns what becomes of the packet in buf[room:].
func (p *slowPath) process(now time.Time, reason topology.Reason, buf []byte) []forwarder.Output {
	packet := buf[room:]
	start, side := room, dataplane.SideIPv4
	switch reason {
	case topology.Puzzle, topology.FromB4:
	case topology.Error:
		return p.mend(now, buf)
	case topology.PCP, topology.ICMP6, topology.Tunnel:
		side = dataplane.SideIPv6
	case topology.Nobody, topology.HairpinNobody:
		// VPP has sent it into a tunnel already, to nobody.
		if len(packet) < ip6Header+ip4Header {
			p.unknown.Add(1)
			return nil
		}
		start += ip6Header
	default:
		p.unknown.Add(1)
		return nil
	}
	p.worker.Begin(now)
	if reason == topology.FromB4 || reason == topology.HairpinNobody {
		p.worker.Decapsulated(buf, start, len(buf))
	} else {
		p.worker.Packet(side, buf, start, len(buf))
	}
	return p.worker.End()
}

// The fields of an ICMPv4 error (RFC 792, RFC 1191 section 4).
const (
	icmpError         = ip4Header // VPP's have no IPv4 options
	icmpQuote         = icmpError + 8
	unreachable       = 3
	fragmentationCode = 4
	protoICMP         = 1
)

// mend rights an ICMPv4 error that VPP made about a packet it did not
// encapsulate. It states the MTU of the tunnel with the outer header; and VPP
// makes errors about errors and about fragments.
func (p *slowPath) mend(now time.Time, buf []byte) []forwarder.Output {
	b := buf[room:]
	if len(b) < icmpQuote+ip4Header || b[9] != protoICMP {
		p.unknown.Add(1)
		return nil
	}
	if !answerable(b[icmpQuote:]) || !p.tooBig.AllowN(now, 1) {
		p.errorsLimited.Add(1)
		return nil
	}
	if b[icmpError] == unreachable && b[icmpError+1] == fragmentationCode {
		binary.BigEndian.PutUint16(b[icmpError+6:], uint16(p.mtu-ip6Header))
		b[icmpError+2], b[icmpError+3] = 0, 0
		binary.BigEndian.PutUint16(b[icmpError+2:], checksum.Of(b[icmpError:]))
	}
	// To a lwB4 VPP leads it into the softwire, as it does with its own errors.
	return []forwarder.Output{{Side: dataplane.SideIPv4, Packet: b}}
}

// answerable reports whether an error may be sent about an IPv4 packet
// (RFC 1812 section 4.3.2.7).
func answerable(quoted []byte) bool {
	const offsetMask = 0x1fff
	if binary.BigEndian.Uint16(quoted[6:])&offsetMask != 0 {
		return false
	}
	if quoted[9] != protoICMP || len(quoted) <= ip4Header {
		return true
	}
	switch quoted[ip4Header] {
	case 3, 4, 5, 11, 12: // the errors of RFC 792
		return false
	}
	return true
}
