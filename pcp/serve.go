package pcp

import (
	"context"
	"fmt"
	"net/netip"
	"sync"

	"github.com/lwaftr/lw4o6/pcp/datagram"
	"github.com/lwaftr/lw4o6/pcp/pcpmsg"
)

// Packets carries packets between lwB4s and the server, each from its IPv6 header
// on.
type Packets interface {
	// Receive fills into with packets that came for the server, waiting for the
	// first, and returns how many. The packets are the caller's. An error other than
	// the context's ends the server.
	Receive(ctx context.Context, into [][]byte) (int, error)
	// Send sends a packet to a lwB4. It keeps nothing of it.
	Send(ctx context.Context, packet []byte) error
}

// batch is how many packets are taken at once.
const batch = 64

// Run serves until ctx ends, and then returns nil. What it answers leaves from
// the address that was asked (RFC 6887 section 8.3 has clients insist on that).
func (s *Server) Run(ctx context.Context, packets Packets) error {
	var handlers sync.WaitGroup
	defer handlers.Wait()
	slots := make(chan struct{}, s.config.MaxPending)
	into := make([][]byte, batch)
	for {
		n, err := packets.Receive(ctx, into)
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return fmt.Errorf("receive PCP packets: %w", err)
		}
		for _, packet := range into[:n] {
			d, from, ok := s.admit(packet)
			if !ok {
				s.counts.drop()
				continue
			}
			select {
			case slots <- struct{}{}:
			default:
				// RFC 6887 section 8.2: overloaded, "it MAY simply silently discard
				// requests, as the requests will be retried by PCP clients".
				s.counts.drop()
				continue
			}
			handlers.Go(func() {
				defer func() { <-slots }()
				s.serve(ctx, packets, d, from)
			})
		}
	}
}

// admit takes a packet apart and says whether it is looked at: not if it is no
// PCP, or of somebody who sends too many.
func (s *Server) admit(packet []byte) (datagram.Datagram, Origin, bool) {
	d, err := datagram.Parse(packet)
	if err != nil || d.To.Port() != pcpmsg.ServerPort {
		return d, Origin{}, false
	}
	from := Origin{LwB4: d.From.Addr(), Source: d.From.Addr()}
	if d.OuterFrom.IsValid() {
		from.LwB4, from.Softwire = d.OuterFrom, true
	}
	if s.config.speaksForOthers(from) {
		return d, from, true
	}
	now := s.now()
	// A flood from one address does not use up what its prefix may send.
	whole := netip.PrefixFrom(from.LwB4, from.LwB4.BitLen())
	prefix, err := from.LwB4.Prefix(s.config.PrefixLen)
	return d, from, err == nil && s.perSource.allow(now, whole) && s.perPrefix.allow(now, prefix)
}

// serve answers one request.
func (s *Server) serve(ctx context.Context, packets Packets, d datagram.Datagram, from Origin) {
	ctx, cancel := context.WithTimeout(ctx, s.config.Patience)
	defer cancel()
	answers, a, told := s.answer(ctx, from, d.Payload)
	if len(told) > 0 {
		s.contacts.note(d, a, told, s.now())
	}
	for _, answer := range answers {
		if err := packets.Send(ctx, d.Reply(answer).Packet()); err != nil {
			s.counts.unsent()
		}
	}
}
