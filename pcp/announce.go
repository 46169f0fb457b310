package pcp

import (
	"context"
	"iter"
	"net/netip"
	"time"

	"github.com/lwaftr/lw4o6/pcp/datagram"
	"github.com/lwaftr/lw4o6/pcp/pcpmsg"
)

// announceRounds is how many times a client is told that state was lost. RFC 6887
// section 14.1.3 allows ten.
const announceRounds = 3

// Announce tells clients that state was lost (RFC 6887 section 14.1.3), those that
// have not asked since the epoch began: all that clients yields, in several rounds,
// at the rate of the configuration. Before each round the clients on the links of
// the servers' addresses from, which may be unknown, are told by multicast. It
// returns nil after that, or the context's error.
func (s *Server) Announce(ctx context.Context, clients iter.Seq[Binding], from []netip.AddrPort, to Sender) error {
	// "provided that the interval between the first two notifications is at least
	// 250 ms, and the interval between subsequent notification at least doubles."
	gap := noticePauses[0]
	for round := range announceRounds {
		began := s.now()
		s.announceLinks(ctx, from, to)
		sent, err := s.announceOnce(ctx, clients, to)
		if err != nil || sent+len(from) == 0 || round == announceRounds-1 {
			return err
		}
		gap = max(gap, s.now().Sub(began))
		if err := pause(ctx, began.Add(gap).Sub(s.now())); err != nil {
			return err
		}
		gap *= 2
	}
	return nil
}

// announceLinks is a round by multicast.
func (s *Server) announceLinks(ctx context.Context, from []netip.AddrPort, to Sender) {
	var out []datagram.Datagram
	for _, server := range from {
		group := netip.IPv6LinkLocalAllNodes()
		if server.Addr().Is4() {
			group = netip.AddrFrom4([4]byte{224, 0, 0, 1})
		}
		out = append(out, datagram.Datagram{
			From: server, To: netip.AddrPortFrom(group, pcpmsg.AnnouncePort), Payload: s.announcement(netip.Addr{}),
		})
	}
	s.send(ctx, to, out)
}

// announceOnce is one round. It returns how many were told.
func (s *Server) announceOnce(ctx context.Context, clients iter.Seq[Binding], to Sender) (sent int, err error) {
	out := make([]datagram.Datagram, 0, batch)
	due := s.now()
	flush := func() error {
		s.send(ctx, to, out)
		sent += len(out)
		due = due.Add(time.Duration(len(out)) * time.Second / time.Duration(s.config.AnnounceRate))
		out = out[:0]
		return pause(ctx, due.Sub(s.now()))
	}
	// A third party is told once, however many it asked for.
	told := make(map[netip.AddrPort]struct{})
	epoch := s.epoch.Began()
	for b := range clients {
		who, err := parseContact(b.Contact)
		if err != nil || who.epoch == epoch {
			continue
		}
		if who.thirdParty.IsValid() {
			at := netip.AddrPortFrom(who.thirdParty, who.port)
			if _, ok := told[at]; ok {
				continue
			}
			if len(told) < maxThirdParties {
				told[at] = struct{}{}
			}
		}
		if out = append(out, who.reaches(b.LwB4, s.announcement(b.LwB4))); len(out) == batch {
			if err := flush(); err != nil {
				return sent, err
			}
		}
	}
	return sent, flush()
}

// maxThirdParties bounds what is remembered of those who were told.
const maxThirdParties = 1 << 12

// announcement is an unsolicited ANNOUNCE.
func (s *Server) announcement(lwb4 netip.Addr) []byte {
	r := pcpmsg.Response{Opcode: pcpmsg.Announce, Epoch: s.epoch.Of(lwb4, s.now())}
	return r.Append(nil)
}

// pause waits, unless ctx ends before.
func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
