package bgp

import (
	"context"
	"errors"
	"sync"

	"github.com/sirupsen/logrus"
	"golang.org/x/sync/errgroup"

	"github.com/lwaftr/lw4o6/bgp/feed"
	"github.com/lwaftr/lw4o6/plugin/announce"
)

// Speakers announces to all peers of a Config.
type Speakers struct {
	config Config
	peers  []*peer
	order  sync.Mutex // of calls of Set
}

var _ announce.Announcer = (*Speakers)(nil)

// ErrProgram is a program that cannot be a speaker.
var ErrProgram = errors.New("this program cannot speak BGP: have it call speaker.Main first of all, and hand on what that returns")

// New makes the Speakers of a Config that Validate accepts. Program is from
// speaker.Main. The error is ErrProgram, if there are peers but no program.
func New(c Config, program feed.Program, log logrus.FieldLogger) (*Speakers, error) {
	if len(c.Peers) > 0 && program.Path == "" {
		return nil, ErrProgram
	}
	s := &Speakers{config: c}
	for _, p := range c.Peers {
		s.peers = append(s.peers, newPeer(c, p, program, log.WithField("peer", p.Name)))
	}
	return s, nil
}

// ForwardingPreserved says that packets have been forwarded all along since an
// earlier process announced routes. Peers with graceful restart then go on using
// what they have until they have the first set. To be called before the first Set;
// without it such peers forget the routes when the session comes back, and
// have them again milliseconds later.
func (s *Speakers) ForwardingPreserved() {
	for _, p := range s.peers {
		p.preserved()
	}
}

// Set is as announce.Announcer.Set. It does not wait for peers.
func (s *Speakers) Set(ctx context.Context, all []announce.Announcement) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if all == nil {
		return nil
	}
	if err := checkAnnouncements(all); err != nil {
		return err
	}
	s.order.Lock()
	defer s.order.Unlock()
	for _, p := range s.peers {
		p.set(s.config.routes(p.config, all))
	}
	return nil
}

// Run keeps a speaker for each peer until ctx ends. Then sessions end with a
// NOTIFICATION, and peers forget the routes; those with graceful restart end
// without, and the peers keep the routes for that long.
func (s *Speakers) Run(ctx context.Context) error {
	var group errgroup.Group
	for _, p := range s.peers {
		group.Go(func() error {
			p.run(ctx)
			return nil
		})
	}
	return group.Wait()
}

// Stats says how each peer is, in the order of the configuration.
func (s *Speakers) Stats() []PeerStats {
	all := make([]PeerStats, len(s.peers))
	for i, p := range s.peers {
		all[i] = p.stats()
	}
	return all
}
