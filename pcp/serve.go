package pcp

import (
	"context"
	"fmt"
	"net/netip"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/lwaftr/lw4o6/pcp/datagram"
	"github.com/lwaftr/lw4o6/pcp/pcpmsg"
)

// Transport carries datagrams between clients and the server. Its methods may be
// called by several goroutines.
type Transport interface {
	// Receive fills into with requests, waiting for the first, and returns how
	// many. Their payloads may be in the memory of the payloads that into has,
	// which have room for Room octets. A longer one is cut, and a packet that is no
	// datagram for the server is a zero one. An error other than the context's ends
	// the server.
	Receive(ctx context.Context, into []datagram.Datagram) (int, error)
	Sender
}

// Sender carries datagrams to clients.
type Sender interface {
	// Send sends datagrams and returns how many it could. It keeps nothing of them.
	Send(ctx context.Context, out []datagram.Datagram) (sent int)
}

// Room is the most octets that are looked at: enough to know that a message is too
// long.
const Room = pcpmsg.MaxLength + 4

// batch is how many datagrams are taken at once.
const batch = 64

// Run serves with so many workers until ctx ends, and then returns nil. Several
// transports may be served at the same time. What it answers leaves from the
// address that was asked (RFC 6887 section 8.3 has clients insist on that).
func (s *Server) Run(ctx context.Context, t Transport, workers int) error {
	group, ctx := errgroup.WithContext(ctx)
	for range workers {
		group.Go(func() error { return s.work(ctx, t) })
	}
	return group.Wait()
}

// work is one worker. It answers what needs no waiting itself, in batches, so
// that nobody who renews waits for those who get something new.
func (s *Server) work(ctx context.Context, t Transport) error {
	var handlers sync.WaitGroup
	defer handlers.Wait()
	var now granter = atOnce{s.grants}
	in := make([]datagram.Datagram, batch)
	memory := make([]byte, batch*Room)
	for i := range in {
		in[i].Payload = memory[i*Room : i*Room : (i+1)*Room]
	}
	var out []datagram.Datagram
	for {
		n, err := t.Receive(ctx, in)
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return fmt.Errorf("receive PCP requests: %w", err)
		}
		out = out[:0]
		for _, d := range in[:n] {
			from, ok := s.admit(d)
			if !ok {
				s.counts.drop()
				continue
			}
			if o := s.answer(from, d.Payload, now); o.later {
				s.defers(ctx, &handlers, t, d, from)
			} else {
				out = replies(out, d, o)
			}
		}
		s.send(ctx, t, out)
	}
}

// defers has one request that may have to wait answered beside the worker, if not
// too many wait.
func (s *Server) defers(ctx context.Context, handlers *sync.WaitGroup, to Sender, d datagram.Datagram, from Origin) {
	begin, ok := s.pending.enter(waiting{datagram: d, from: from, to: to, until: time.Now().Add(s.config.Patience)})
	if !ok {
		// RFC 6887 section 8.2: overloaded, "it MAY simply silently discard requests,
		// as the requests will be retried by PCP clients".
		s.counts.drop()
	}
	if begin {
		handlers.Go(func() {
			for w, ok := s.pending.next(); ok; w, ok = s.pending.next() {
				s.handle(ctx, w)
				s.pending.leave(w.waiter)
			}
		})
	}
}

// handle answers a request that waited, if it is not too late.
func (s *Server) handle(ctx context.Context, w waiting) {
	ctx, cancel := context.WithDeadline(ctx, w.until)
	defer cancel()
	if ctx.Err() != nil {
		s.counts.drop()
		return
	}
	s.send(ctx, w.to, replies(nil, w.datagram, s.answer(w.from, w.datagram.Payload, patient{ctx, s.grants})))
}

// admit says where a request is from and whether it is looked at: not if it is no
// request, or of somebody who sends too many.
func (s *Server) admit(d datagram.Datagram) (Origin, bool) {
	source := d.From.Addr().WithZone("")
	from := Origin{LwB4: source, Source: source, Port: d.From.Port(), Server: d.To.Addr()}
	if d.OuterFrom.IsValid() {
		from.LwB4, from.Softwire, from.Server = d.OuterFrom, true, d.OuterTo
	}
	switch {
	// Nobody can be answered there.
	case from.Port == 0, !unicast(source), !unicast(from.LwB4):
		return from, false
	case s.config.speaksForOthers(from):
		return from, true
	// RFC 6887 section 8.2: not "the normal arrival interface" of a lwB4, which is
	// known by an IPv6 address.
	case !from.LwB4.Is6():
		return from, false
	}
	now := s.now()
	// A flood from one address does not use up what its prefix may send.
	whole := netip.PrefixFrom(from.LwB4, from.LwB4.BitLen())
	prefix, err := from.LwB4.Prefix(s.config.PrefixLen)
	return from, err == nil && s.perSource.Allow(now, whole) && s.perPrefix.Allow(now, prefix)
}

func unicast(a netip.Addr) bool { return a.IsValid() && !a.IsUnspecified() && !a.IsMulticast() }

// replies appends to out what a request is answered with.
func replies(out []datagram.Datagram, d datagram.Datagram, o outcome) []datagram.Datagram {
	for _, answer := range o.answers {
		out = append(out, d.Reply(answer))
	}
	return out
}

func (s *Server) send(ctx context.Context, to Sender, out []datagram.Datagram) {
	if len(out) > 0 {
		s.counts.unsent(len(out) - to.Send(ctx, out))
	}
}
