package pcp

import (
	"context"
	"errors"
	"net/netip"
	"time"

	"github.com/lwaftr/lw4o6/pcp/pcpmsg"
	"github.com/lwaftr/lw4o6/plugin/limiter"
	"github.com/lwaftr/lw4o6/plugin/portset"
)

// Server answers requests. Its methods may be called by several goroutines.
type Server struct {
	config Config
	grants Grants
	epoch  *Epoch
	now    func() time.Time
	moves  moves
	counts counts

	pending *pending

	perSource, perPrefix *limiter.Limiter[netip.Prefix]
}

// New returns a server of what grants has. now is time.Now but in tests. The error
// is that of Config.Validate.
func New(config Config, grants Grants, epoch *Epoch, now func() time.Time) (*Server, error) {
	if err := config.Validate(); err != nil {
		return nil, err
	}
	return &Server{
		config: config, grants: grants, epoch: epoch, now: now,
		moves:     moves{last: make(map[place]time.Time)},
		pending:   newPending(config.MaxPending),
		perSource: limiter.New[netip.Prefix](config.SourceRate),
		perPrefix: limiter.New[netip.Prefix](config.PrefixRate),
	}, nil
}

// Answer returns what to send back for a UDP payload: nothing, a response, or one
// for each mapping that the request is about. It waits for Grants until ctx ends;
// a request that is not decided by then gets no answer, and the same one later
// that of the first.
func (s *Server) Answer(ctx context.Context, from Origin, payload []byte) [][]byte {
	return s.answer(from, payload, patient{ctx, s.grants}).answers
}

// outcome is what became of a request.
type outcome struct {
	answers [][]byte
	// later says that it was not answered since that takes time.
	later bool
}

func (s *Server) answer(from Origin, payload []byte, g granter) outcome {
	now := s.now()
	o := outcome{}
	a, err := s.config.read(from, payload)
	switch {
	case err != nil:
	case a.Opcode == pcpmsg.Announce:
		// RFC 6887 section 14.1.2.
		r := pcpmsg.Response{Opcode: pcpmsg.Announce, Epoch: s.epoch.Of(from.LwB4, now)}
		o.answers = [][]byte{r.Append(make([]byte, 0, room))}
	default:
		o.answers, err = s.answerMap(a, now, g)
	}
	if err == nil {
		s.counts.answered(pcpmsg.Success)
		return o
	}
	if errors.Is(err, errLater) {
		return outcome{later: true}
	}
	result, lifetime, ok := resultOf(err, a)
	if !ok {
		s.counts.drop()
		return outcome{}
	}
	s.counts.answered(result)
	return outcome{answers: [][]byte{pcpmsg.AppendError(nil, payload, result, seconds(lifetime), s.epoch.Of(from.LwB4, now))}}
}

// answerMap does what a MAP asks for.
func (s *Server) answerMap(a *ask, now time.Time, g granter) ([][]byte, error) {
	p, err := decide(a, s.grants.Held(a.lwb4), now)
	if err != nil {
		return nil, err
	}
	for _, number := range p.released {
		if err := g.release(a.lwb4, number); err != nil {
			return nil, err
		}
	}
	if a.Lifetime == 0 {
		return [][]byte{s.deleted(a)}, nil
	}
	if err := s.moves.allow(a.lwb4, p.touched, now, s.config.MoveInterval); err != nil {
		return nil, err
	}
	bindings := p.told
	for _, want := range p.acquired {
		want.Contact = s.contact(a, want, len(bindings) > 0)
		b, err := g.acquire(want)
		if err != nil {
			return nil, err
		}
		s.moves.note(b, p.touched, now)
		bindings = append(bindings, b)
	}
	answers := make([][]byte, len(bindings))
	for i, b := range bindings {
		answers[i] = s.granted(a, b, i > 0)
	}
	return answers, nil
}

// contact is where a client can be told of what it asks for, as it is kept.
func (s *Server) contact(a *ask, w Want, further bool) string {
	if a.from.Port == 0 {
		return ""
	}
	internal := a.Mapping.InternalPort
	if further && a.set {
		internal = firstBlock(w.Held.PortSet).First
	}
	var room [contactThird + addressLength]byte
	return string(contactOf(a, internal, s.epoch.Began()).append(room[:0]))
}

// deleted is the answer to a deletion: RFC 6887 section 15.1 has the suggested
// address and port copied, and RFC 7753 section 4.4 the whole set deleted.
func (s *Server) deleted(a *ask) []byte {
	r := pcpmsg.Response{Opcode: pcpmsg.Map, Epoch: s.epoch.Of(a.from.LwB4, s.now()), Body: pcpmsg.Body{Mapping: a.Mapping}}
	r.Options = a.echo()
	return r.Append(make([]byte, 0, room))
}

// granted is the answer for one binding. RFC 7753 section 5.3: further ones have
// internal ports of their own.
func (s *Server) granted(a *ask, b Binding, further bool) []byte {
	now := s.now()
	r := pcpmsg.Response{
		Opcode: pcpmsg.Map, Lifetime: seconds(remaining(b, now)), Epoch: s.epoch.Of(a.from.LwB4, now),
		Body: pcpmsg.Body{Mapping: a.Mapping, Options: a.echo()},
	}
	r.Mapping.External = b.IPv4
	if a.described && !b.Static {
		r.Options = pcpmsg.Description(b.Description).Append(r.Options)
	}
	block := firstBlock(b.PortSet)
	switch size := int(block.Last) - int(block.First) + 1; {
	case a.whole():
		r.Mapping.ExternalPort = 0
	case !a.set:
		r.Mapping.ExternalPort = onePort(a, b, block)
	default:
		r.Mapping.ExternalPort = block.First
		if further {
			r.Mapping.InternalPort = block.First
		}
		// RFC 7753 section 4.2: a single port has no PORT_SET.
		if size > 1 {
			r.Options = pcpmsg.PortSet{Size: uint16(size), FirstInternal: block.First, Parity: a.parity}.Append(r.Options)
		}
	}
	return r.Append(make([]byte, 0, room))
}

// firstBlock is the ports of a set that PORT_SET can tell: those that follow each
// other, without port 0 if they are more than it can count.
func firstBlock(set portset.PortSet) portset.Range {
	for block := range set.Ranges() {
		if block == allPorts {
			block.First = 1
		}
		return block
	}
	return portset.Range{}
}

// onePort is which port of a set a client is told that asks for one: the one that
// leads to its internal port, the one it suggests, or any.
func onePort(a *ask, b Binding, block portset.Range) uint16 {
	for _, port := range []uint16{a.Mapping.InternalPort, a.Mapping.ExternalPort} {
		if port != 0 && b.PortSet.Contains(port) {
			return port
		}
	}
	return block.First
}

// room is for an answer with the options of most: it saves a few allocations.
const room = 96

// echo is the options that were processed and are returned as they were (RFC 6887
// section 7.3).
func (a *ask) echo() pcpmsg.Options {
	o := make(pcpmsg.Options, 0, room)
	if a.thirdParty.IsValid() {
		o = pcpmsg.ThirdParty(a.thirdParty).Append(o)
	}
	if a.thirdPartyID != nil {
		o = a.thirdPartyID.Append(o)
	}
	if a.preferFailure {
		o = pcpmsg.PreferFailure{}.Append(o)
	}
	return o
}

// resultOf is what a request is answered with that failed with err; not ok if it
// is not answered. a is nil if it could not be read.
func resultOf(err error, a *ask) (result pcpmsg.ResultCode, lifetime time.Duration, ok bool) {
	var r *refusal
	if errors.As(err, &r) {
		return r.Result, r.lifetime, true
	}
	var f *pcpmsg.Fault
	switch {
	case errors.As(err, &f):
		result = f.Result
	case errors.Is(err, ErrQuota):
		result = pcpmsg.UserExQuota
	// RFC 6887 section 11.3: all ports of all protocols that cannot be had.
	case errors.Is(err, ErrNotLent) && a.whole():
		result = pcpmsg.UnsuppProtocol
	case errors.Is(err, ErrNotLent), errors.Is(err, ErrLwB4):
		result = pcpmsg.NotAuthorized
	case errors.Is(err, ErrSuggestion):
		result = pcpmsg.CannotProvideExternal
	case errors.Is(err, ErrExhausted), errors.Is(err, ErrRange), errors.Is(err, ErrUnavailable):
		result = pcpmsg.NoResources
	default:
		return 0, 0, false
	}
	return result, result.ErrorLifetime(), true
}

// seconds is a duration in whole seconds, as far as 32 bits go.
func seconds(d time.Duration) uint32 { return uint32(min(d/time.Second, 1<<32-1)) }
