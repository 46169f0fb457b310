package pcp

import (
	"context"
	"time"

	"github.com/lwaftr/lw4o6/pcp/datagram"
	"github.com/lwaftr/lw4o6/pcp/pcpmsg"
)

// Change is what became of a binding otherwise than by its client: From gave way to
// To, or, if To is the zero value, was taken from it.
type Change struct{ From, To Binding }

// notice is a message to a client that is to be sent again.
type notice struct {
	Change
	who contact
	due time.Time
}

// noticePauses are those between the three times that a client is told. RFC 6887
// section 14.2, of Mapping Updates: "at least 250 ms, and the third packet after a
// 500-ms interval". For announcements section 14.1.3 has pauses of at least 250 ms
// that double.
var noticePauses = [...]time.Duration{250 * time.Millisecond, 500 * time.Millisecond}

// Inform tells clients of changes until ctx ends or there are none any more, and
// then returns nil: of another port set by a Mapping Update (RFC 6887 section 14.2),
// and of a lost one by an epoch that begins anew for that client, and an
// announcement.
func (s *Server) Inform(ctx context.Context, changes <-chan Change, to Sender) error {
	// What waits for the same pause is due in the order in which it came.
	var waiting [len(noticePauses)][]notice
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
			who, err := parseContact(c.From.Contact)
			if err != nil {
				continue
			}
			if c.lost() {
				// A third party would ask for everything that it ever asked for.
				if who.thirdParty.IsValid() {
					continue
				}
				s.epoch.resetOne(c.From.LwB4, s.now())
			}
			s.inform(ctx, to, notice{Change: c, who: who}, &waiting[0], noticePauses[0])
		case <-timer.C:
			now := s.now()
			for stage := range waiting {
				for len(waiting[stage]) > 0 && !waiting[stage][0].due.After(now) {
					n := waiting[stage][0]
					waiting[stage] = waiting[stage][1:]
					if stage+1 < len(waiting) {
						s.inform(ctx, to, n, &waiting[stage+1], noticePauses[stage+1])
					} else {
						s.inform(ctx, to, n, nil, 0)
					}
				}
			}
		}
	}
}

func (c Change) lost() bool { return !c.To.IPv4.IsValid() }

func earliest(waiting [][]notice) (next time.Time, ok bool) {
	for _, stage := range waiting {
		if len(stage) > 0 && (!ok || stage[0].due.Before(next)) {
			next, ok = stage[0].due, true
		}
	}
	return next, ok
}

// inform sends a notice, and has it wait for the next time, if there is one. Once
// the client has asked again it is done (RFC 6887 section 14.2).
func (s *Server) inform(ctx context.Context, to Sender, n notice, next *[]notice, pause time.Duration) {
	if s.knows(n.Change) {
		return
	}
	var answer []byte
	if n.lost() {
		answer = s.announcement(n.From.LwB4)
	} else {
		answer = s.updated(n.who.ask(n.To), n.To)
	}
	s.send(ctx, to, []datagram.Datagram{n.who.reaches(n.From.LwB4, answer)})
	if next != nil {
		n.due = s.now().Add(pause)
		*next = append(*next, n)
	}
}

// knows says whether the client has asked since a change, and so knows of it: then
// it has a port set again, or has extended the one that it got.
func (s *Server) knows(c Change) bool {
	for _, b := range s.grants.Held(c.From.LwB4) {
		if b.Number == c.From.Number {
			return c.lost() || placeOf(b) != placeOf(c.To) || !b.Expires.Equal(c.To.Expires)
		}
	}
	return !c.lost()
}

// updated is a Mapping Update.
func (s *Server) updated(a *ask, b Binding) []byte {
	// RFC 6887 section 14.2: if PREFER_FAILURE came with the request "and the same
	// external IP address, protocol, and port cannot be provided, the error
	// CANNOT_PROVIDE_EXTERNAL SHOULD be sent."
	if a.preferFailure {
		r := pcpmsg.Response{
			Opcode: pcpmsg.Map, Result: pcpmsg.CannotProvideExternal, Epoch: s.epoch.Of(a.from.LwB4, s.now()),
			Lifetime: seconds(pcpmsg.CannotProvideExternal.ErrorLifetime()),
			Body:     pcpmsg.Body{Mapping: a.Mapping, Options: a.echo()},
		}
		return r.Append(nil)
	}
	return s.granted(a, b, false)
}
