package lwb4sim

import (
	"net/netip"

	"github.com/lwaftr/lw4o6/pcp/client"
	"github.com/lwaftr/lw4o6/pcp/datagram"
	"github.com/lwaftr/lw4o6/pcp/pcpmsg"
)

// lwb4 is one simulated lwB4. The fleet's mutex guards it.
type lwb4 struct {
	fleet  *pcpFleet
	index  int
	life   int         // how many lives it had
	set    *client.Set // nil before it begins
	status client.Status
}

func (b *lwb4) wake() {
	f := b.fleet
	if b.set == nil {
		b.begin()
		// What a Population wants is valid, and a new set has room for it.
		_ = b.set.Add(f.now, f.config.Population.want(b.index, b.life), true)
	} else {
		b.set.Wake(f.now)
	}
	b.fleet.alarm(b.index, b.set.Next())
}

// begin makes a client that knows nothing.
func (b *lwb4) begin() {
	f := b.fleet
	p := &f.config.Population
	// The servers and the timing were looked at by NewFleet.
	b.set, _ = client.NewSet(client.SetConfig{
		Servers:   []netip.AddrPort{p.server()},
		Client:    p.client(b.index).Addr(),
		Timing:    f.config.Timing,
		Random:    f.random.Float64,
		Send:      b.send,
		Report:    b.report,
		StateLost: func(netip.AddrPort) { f.counts.Resets++ },
	})
}

func (b *lwb4) send(_ netip.AddrPort, request []byte) {
	b.fleet.send(b.fleet.config.Population.packet(b.index, request))
}

func (b *lwb4) receive(d datagram.Datagram) {
	if b.set == nil || b.set.Receive(b.fleet.now, d.From, d.Payload) != nil {
		b.fleet.counts.Ignored++
		return
	}
	b.fleet.alarm(b.index, b.set.Next())
}

// report notes a status in the counts.
func (b *lwb4) report(_ pcpmsg.Nonce, s client.Status) {
	c := &b.fleet.counts
	was := b.status
	c.Held += number(s.Held) - number(was.Held)
	c.Refused += number(s.Err != nil) - number(was.Err != nil)
	if was.Held && !s.Held && !s.Closed {
		c.Lost++
	}
	if s.Held && was.Grant.Ports > 0 && !sameSet(s.Grant, was.Grant) {
		c.Moved++
	}
	b.status = s
}

func sameSet(a, b client.Grant) bool {
	return a.External == b.External && a.ExternalPort == b.ExternalPort && a.Ports == b.Ports
}

func number(b bool) int {
	if b {
		return 1
	}
	return 0
}

func (b *lwb4) forget() {
	b.report(pcpmsg.Nonce{}, client.Status{Closed: true})
	b.set = nil
	b.life++
}

func (b *lwb4) release() error {
	if b.set == nil {
		b.begin()
	}
	err := b.set.Delete(b.fleet.now, b.fleet.config.Population.want(b.index, b.life))
	b.fleet.alarm(b.index, b.set.Next())
	return err
}

func (b *lwb4) held() Holding {
	h := Holding{LwB4: b.fleet.config.Population.Address(b.index), Err: b.status.Err}
	if b.status.Held {
		if set, err := b.status.Grant.PortSet(); err != nil {
			h.Err = err
		} else {
			h.Held, h.IPv4, h.PortSet = true, b.status.Grant.External, set
		}
	}
	return h
}
