package server

import (
	"context"
	"errors"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv6"
	"github.com/insomniacslk/dhcp/iana"
	"github.com/sirupsen/logrus"

	"github.com/lwaftr/lw4o6/coredhcp-plugin/delegation"
	"github.com/lwaftr/lw4o6/plugin/limiter"
)

// Server answers DHCPv6 messages. Its methods may be called by several goroutines
// once Load has returned.
type Server struct {
	config    Config
	keeper    *delegation.Keeper
	softwires Softwires
	log       logrus.FieldLogger

	perClient *limiter.Limiter[string]
	perLink   *limiter.Limiter[string]
	turns     *turns
	// whole is for all of a message, patient for its softwire.
	whole, patient *deadlines

	replays *replays
	counts  counts
}

// New returns a Server that keeps what it delegates in st. wall is time.Now but in
// tests. It does nothing before Load. The error is that of Config.Validate.
func New(config Config, st delegation.Store, softwires Softwires, wall func() time.Time, log logrus.FieldLogger) (*Server, error) {
	if err := config.Validate(); err != nil {
		return nil, err
	}
	return &Server{
		config: config, softwires: softwires, log: log,
		keeper:    delegation.NewKeeper(config.Delegation(), st, wall, log),
		perClient: limiter.New[string](config.ClientRate),
		perLink:   limiter.New[string](config.LinkRate),
		turns:     newTurns(working, config.MaxPending, turnPatience),
		whole:     newDeadlines(timeout),
		patient:   newDeadlines(config.Patience),
		replays:   newReplays(),
	}, nil
}

// Load takes in what was delegated before. It is called once, before everything
// else. Errors are those of delegation.Keeper.Load.
func (s *Server) Load(ctx context.Context) error { return s.keeper.Load(ctx) }

// Delegations returns everything that is known of prefixes, in no order.
func (s *Server) Delegations() []delegation.Delegation { return s.keeper.All() }

// Run ends what expires, and gives softwires back, until ctx ends, and then returns
// nil. It is called once, after Load.
func (s *Server) Run(ctx context.Context) error {
	return s.keeper.Run(ctx, func(ctx context.Context, d delegation.Delegation) error {
		return s.softwires.Release(ctx, Want{Prefix: d.Prefix, Last: d.Softwire})
	})
}

// Answer completes resp, which has the identifiers and the type of the answer to
// req and what other handlers have put there; nil is no answer. device is the
// server's that req came in by, if that is known. With stop nothing else is to look
// at the message. It waits until ctx ends at most, and some seconds.
func (s *Server) Answer(ctx context.Context, device string, req, resp dhcpv6.DHCPv6) (answer dhcpv6.DHCPv6, stop bool) {
	to, ok := resp.(*dhcpv6.Message)
	if !ok || to == nil {
		return resp, false
	}
	q, err := s.questionOf(device, req, to)
	switch {
	case errors.Is(err, errElsewhere):
		s.counts.add(elsewhere)
		return nil, true
	case err != nil:
		s.warn(malformed, q, err)
		return nil, true
	case !s.admit(q):
		s.warn(limited, q, nil)
		return nil, true
	}
	if !s.turns.take(ctx, q.kind != dhcpv6.MessageTypeSolicit) {
		s.warn(overloaded, q, nil)
		return nil, true
	}
	defer s.turns.pass()
	s.counts.add(received(q.kind))
	if err := s.answer(s.whole.within(ctx), q, to); err != nil {
		if !errors.Is(err, errSilence) {
			s.warn(failed, q, err)
		}
		return nil, true
	}
	s.counts.add(answered)
	return to, false
}

// timeout bounds what a message may take altogether. Clients ask again after
// seconds.
const timeout = 10 * time.Second

// admit says whether a message is looked at: not if its sender sends too many.
func (s *Server) admit(q question) bool {
	now := s.keeper.Now()
	at := q.at.line()
	if at == "" {
		at = q.at.address.String() + q.at.device
	}
	// A flood from one client does not use up what its link may send.
	return (q.who.Client == "" || s.perClient.Allow(now, q.who.Client)) && s.perLink.Allow(now, at)
}

// errSilence is why an answer that would say nothing is not sent.
var errSilence = errors.New("nothing to say")

// answer puts into to what answers q.
func (s *Server) answer(ctx context.Context, q question, to *dhcpv6.Message) error {
	switch q.kind {
	case dhcpv6.MessageTypeSolicit:
		// RFC 8415 section 18.3.1.
		if to.MessageType == dhcpv6.MessageTypeReply && s.config.RapidCommit {
			return s.lease(ctx, q, to)
		}
		to.MessageType = dhcpv6.MessageTypeAdvertise
		to.Options.Del(dhcpv6.OptionRapidCommit)
		return s.advertise(ctx, q, to)
	case dhcpv6.MessageTypeRequest, dhcpv6.MessageTypeRenew, dhcpv6.MessageTypeRebind:
		return s.lease(ctx, q, to)
	case dhcpv6.MessageTypeRelease:
		return s.release(ctx, q, to)
	case dhcpv6.MessageTypeConfirm:
		// RFC 8415 section 18.3.3: it is about addresses. Who has none to check sends
		// no Reply; another handler may.
		if !q.addresses {
			return errSilence
		}
	case dhcpv6.MessageTypeDecline:
		// RFC 8415 section 18.3.8: it is about addresses, too.
		to.AddOption(&dhcpv6.OptStatusCode{StatusCode: iana.StatusSuccess})
	case dhcpv6.MessageTypeInformationRequest:
		s.inform(q, to)
	}
	return nil
}

// inform answers an Information-request: what is known of the client's softwire,
// and what does not depend on who it is.
func (s *Server) inform(q question, to *dhcpv6.Message) {
	now := s.keeper.Now()
	told := told{pool: s.first(q)}
	for _, d := range s.keeper.Held(q.who.Client) {
		if d.Provisioned(now) {
			told.softwire, told.prefix = d.Softwire, d.Prefix
			break
		}
	}
	told.add(q.asked, to)
}

// pools are those for the clients of a link, in order: those that say so, or else
// those that are for everybody.
func (s *Server) pools(at link) []*Pool {
	var chosen, others []*Pool
	for i := range s.config.Pools {
		p := &s.config.Pools[i]
		switch serves, byRule := p.serves(at); {
		case serves && byRule:
			chosen = append(chosen, p)
		case serves:
			others = append(others, p)
		}
	}
	if len(chosen) > 0 {
		return chosen
	}
	return others
}

// first is the pool whose options a client is told that has no prefix.
func (s *Server) first(q question) *Pool {
	if pools := s.pools(q.at); len(pools) > 0 {
		return pools[0]
	}
	return &Pool{}
}
