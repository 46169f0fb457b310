package pcp

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/lwaftr/lw4o6/pcp/datagram"
)

// Change is what became of a binding otherwise than by its client: From gave way to
// To, or, if To is the zero value, ended.
type Change struct{ From, To Binding }

// contacts remembers, for each binding, where the last answer about it went. It
// knows nothing after a restart.
type contacts struct {
	mu    sync.Mutex
	known map[place]*contact
}

// contact is one request as far as it is needed to answer it again.
type contact struct {
	ends datagram.Datagram // of the request, without its payload
	ask  ask
	at   time.Time // of the request
}

func placeOf(b Binding) place { return place{b.IPv4, b.PortSet} }

// note remembers who was told of bindings.
func (c *contacts) note(d datagram.Datagram, a *ask, bindings []Binding, now time.Time) {
	d.Payload = nil
	kept := *a
	// These are in the packet's memory.
	kept.Options, kept.Opaque, kept.thirdPartyID = nil, nil, slices.Clone(a.thirdPartyID)
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, b := range bindings {
		if !b.Static {
			c.known[placeOf(b)] = &contact{ends: d, ask: kept, at: now}
		}
	}
}

// take forgets the contact of a binding and returns it, nil if there is none.
func (c *contacts) take(b Binding) *contact {
	c.mu.Lock()
	defer c.mu.Unlock()
	found := c.known[placeOf(b)]
	delete(c.known, placeOf(b))
	return found
}

// put remembers a contact for another binding.
func (c *contacts) put(b Binding, who *contact) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.known[placeOf(b)] = who
}

// current says whether a contact is still the last one for a binding.
func (c *contacts) current(b Binding, who *contact) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.known[placeOf(b)] == who
}

// update is a Mapping Update that is to be sent again.
type update struct {
	due     time.Time
	who     *contact
	binding Binding
}

// updatePauses are those between the three times that a Mapping Update is sent: RFC
// 6887 section 14.2, "at least 250 ms, and the third packet after a 500-ms
// interval".
var updatePauses = [...]time.Duration{250 * time.Millisecond, 500 * time.Millisecond}

// Inform tells clients of changes (RFC 6887 section 14.2) until ctx ends or there
// are none any more, and then returns nil. Clients that have not asked since the
// server began are not known: they learn of it when they renew.
func (s *Server) Inform(ctx context.Context, changes <-chan Change, to Sender) error {
	// What waits for the same pause is due in the order in which it came.
	var waiting [len(updatePauses)][]update
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		if next, ok := earliest(waiting[:]); ok {
			timer.Reset(next.Sub(s.now()))
		}
		select {
		case <-ctx.Done():
			return nil
		case c, ok := <-changes:
			if !ok {
				return nil
			}
			who := s.contacts.take(c.From)
			if who == nil || !c.To.IPv4.IsValid() {
				continue
			}
			s.contacts.put(c.To, who)
			s.inform(ctx, to, update{who: who, binding: c.To}, &waiting[0], updatePauses[0])
		case <-timer.C:
			now := s.now()
			for stage := range waiting {
				for len(waiting[stage]) > 0 && !waiting[stage][0].due.After(now) {
					u := waiting[stage][0]
					waiting[stage] = waiting[stage][1:]
					if stage+1 < len(waiting) {
						s.inform(ctx, to, u, &waiting[stage+1], updatePauses[stage+1])
					} else {
						s.inform(ctx, to, u, nil, 0)
					}
				}
			}
		}
	}
}

func earliest(waiting [][]update) (next time.Time, ok bool) {
	for _, stage := range waiting {
		if len(stage) > 0 && (!ok || stage[0].due.Before(next)) {
			next, ok = stage[0].due, true
		}
	}
	return next, ok
}

// inform sends an update, and has it wait for the next time, if there is one. Once
// the client has asked again it is done (RFC 6887 section 14.2).
func (s *Server) inform(ctx context.Context, to Sender, u update, next *[]update, pause time.Duration) {
	if !s.contacts.current(u.binding, u.who) {
		return
	}
	answer := s.granted(&u.who.ask, u.binding, false)
	s.send(ctx, to, []datagram.Datagram{u.who.ends.Reply(answer)})
	if next != nil {
		u.due = s.now().Add(pause)
		*next = append(*next, u)
	}
}
