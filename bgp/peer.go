package bgp

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/sirupsen/logrus"
	"golang.org/x/sync/errgroup"

	"github.com/lwaftr/lw4o6/bgp/feed"
)

// peer keeps a speaker for one peer.
type peer struct {
	config  Peer
	session feed.Session // but for the password and Restarting
	program feed.Program
	log     logrus.FieldLogger
	wake    chan struct{} // holds one when there are sets to send

	mu sync.Mutex
	// kept: the peer may have routes, and packets have been forwarded since it got
	// them.
	kept bool
	// last is the set that holds now, nil before the first one, and pending are
	// those that the speaker has not been sent yet, last the last one.
	last    *feed.Routes
	pending []*feed.Routes
	is      PeerStats
	before  uint64 // is.Flaps when the speaker started
}

// maxPending is how many sets a speaker may be behind, until it misses some. It
// gets the last one in any case.
const maxPending = 64

func newPeer(c Config, p Peer, program feed.Program, log logrus.FieldLogger) *peer {
	session := feed.Session{
		RouterID: c.RouterID, AS: c.AS,
		Peer: p.Address, PeerAS: p.AS, Port: p.Port, Source: p.Source, Passive: p.Passive,
		Multihop: p.Multihop,
		HoldTime: seconds(p.HoldTime), ConnectRetry: seconds(p.ConnectRetry),
		IPv4: slices.Contains(p.families(), IPv4), IPv6: slices.Contains(p.families(), IPv6),
		PrefixLimit: p.PrefixLimit, GracefulRestart: seconds(p.GracefulRestart),
	}
	if p.TTLSecurity > 0 {
		// RFC 5082 section 3: packets leave with TTL 255.
		session.MinTTL = 255 - (p.TTLSecurity - 1)
	}
	program.Args = append(slices.Clone(program.Args), p.Name)
	return &peer{
		config: p, session: session, program: program, log: log, wake: make(chan struct{}, 1),
		is: PeerStats{Name: p.Name, Address: p.Address, AS: p.AS, State: down},
	}
}

func seconds(d time.Duration) uint16 { return uint16(d / time.Second) }

func (p *peer) preserved() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.kept = true
}

func (p *peer) stats() PeerStats {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.is
}

// set has routes sent.
func (p *peer) set(routes []feed.Route) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.last = &feed.Routes{Routes: routes}
	if len(p.pending) == maxPending {
		p.pending = p.pending[1:]
	}
	p.pending = append(p.pending, p.last)
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

// next is what the speaker has to be sent.
func (p *peer) next() []*feed.Routes {
	p.mu.Lock()
	defer p.mu.Unlock()
	sets := p.pending
	p.pending = nil
	return sets
}

// Pauses before a speaker is started again: each time twice as long, unless it has
// lived for a while.
const (
	firstPause = time.Second
	maxPause   = 2 * time.Minute
	goodLife   = 5 * time.Minute
)

// run keeps a speaker until ctx ends.
func (p *peer) run(ctx context.Context) {
	// Before the first set there is nothing to say, and a session that says nothing
	// would have the peer forget what it has.
	select {
	case <-p.wake:
	case <-ctx.Done():
		return
	}
	for pause := firstPause; ; {
		began := time.Now()
		err := p.speak(ctx)
		p.mu.Lock()
		p.is.end(err, time.Now())
		p.mu.Unlock()
		if ctx.Err() != nil {
			return
		}
		if time.Since(began) > goodLife {
			pause = firstPause
		}
		p.log.WithError(err).WithField("again", pause.String()).Error("the BGP speaker has ended; another one is started")
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return
		}
		pause = min(2*pause, maxPause)
	}
}

// speak is the life of one speaker. The error is why it ended.
func (p *peer) speak(ctx context.Context) error {
	session, err := p.opening()
	if err != nil {
		return err
	}
	s, err := start(p.program)
	if err != nil {
		return fmt.Errorf("start a BGP speaker: %w", err)
	}
	p.mu.Lock()
	p.is.PID = s.pid()
	p.is.Starts++
	p.before = p.is.Flaps
	p.pending = []*feed.Routes{p.last}
	p.mu.Unlock()

	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var listener errgroup.Group
	listener.Go(func() error {
		defer cancel()
		return s.listen(p.hear)
	})
	err = p.order(ctx, s, session)
	s.hangUp()
	return errors.Join(err, listener.Wait(), s.wait())
}

// order sends the session and then each set, until ctx ends.
func (p *peer) order(ctx context.Context, s *process, session *feed.Session) error {
	if err := s.send(&feed.Order{Session: session}); err != nil {
		return err
	}
	for {
		for _, routes := range p.next() {
			if err := s.send(&feed.Order{Routes: routes}); err != nil {
				return err
			}
		}
		select {
		case <-p.wake:
		case <-ctx.Done():
			return nil
		}
	}
}

// opening is the session as it is to be opened now.
func (p *peer) opening() (*feed.Session, error) {
	session := p.session
	session.Password = p.config.Password
	if file := p.config.PasswordFile; file != "" {
		text, err := os.ReadFile(file)
		if err == nil {
			session.Password = strings.TrimSpace(string(text))
			err = validPassword(session.Password)
		}
		if err != nil {
			return nil, fmt.Errorf("the password in %s: %w", file, err)
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	session.Restarting = p.kept && session.GracefulRestart > 0
	return &session, nil
}

// hear takes over what the speaker reports.
func (p *peer) hear(r feed.Report) {
	if r.Log != nil {
		p.write(r.Log)
	}
	if r.Status == nil {
		return
	}
	p.mu.Lock()
	before := p.is
	p.is.update(*r.Status, p.before, time.Now())
	now := p.is
	// While this process lives, nothing is announced that is not forwarded. So
	// from now on the peer has nothing that it should not go on using.
	p.kept = p.kept || now.Sessions > 0
	p.mu.Unlock()
	switch {
	case now.Established() && !before.Established():
		p.log.Info("BGP session is up")
	case before.Established() && !now.Established():
		p.log.WithField("reason", now.Error).Warn("BGP session is down")
	}
	if len(now.Withheld) > 0 && len(before.Withheld) == 0 && now.Established() {
		p.log.WithField("routes", fmt.Sprint(now.Withheld)).Error(
			"the BGP peer does not understand IPv6 next hops of IPv4 routes (RFC 8950), so it gets none: switch that on there, or set next-hop-ipv4")
	}
}

// write puts a speaker's line into the log. Sessions are reported by hear.
func (p *peer) write(l *feed.Log) {
	level, err := logrus.ParseLevel(l.Level)
	if err != nil || level < logrus.ErrorLevel || level == logrus.InfoLevel {
		level = logrus.DebugLevel
	}
	fields := make(logrus.Fields, len(l.Fields))
	for key, value := range l.Fields {
		fields["bgp-"+key] = value
	}
	p.log.WithFields(fields).Logln(level, l.Message)
}
