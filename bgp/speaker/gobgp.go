package speaker

import (
	"context"
	"fmt"
	"net/netip"
	"strings"

	api "github.com/osrg/gobgp/v3/api"
	"github.com/osrg/gobgp/v3/pkg/server"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/lwaftr/lw4o6/bgp/feed"
)

// gobgp is GoBGP with the one peer of a session. This file is all that knows its
// API. Its calls know no deadlines: a speaker that hangs in one stops reporting,
// and the router starts another.
type gobgp struct {
	session feed.Session
	server  *server.BgpServer
}

// deferral is how long GoBGP waits after a restart for the peer to have sent its
// routes, before it sends its own (RFC 4724 section 4.1), in seconds. It needs
// nobody's routes.
const deferral = 3

// startGoBGP starts GoBGP without its peer.
func startGoBGP(session feed.Session, log *journal) (*gobgp, error) {
	g := &gobgp{session: session, server: server.NewBgpServer(server.LoggerOption(log))}
	go g.server.Serve() // ends with the process
	global := &api.Global{Asn: session.AS, RouterId: session.RouterID.String(), ListenPort: -1}
	if session.Passive {
		global.ListenPort = listenPort
		global.ListenAddresses = []string{session.Source.String()}
	}
	ctx := context.Background()
	if err := g.server.StartBgp(ctx, &api.StartBgpRequest{Global: global}); err != nil {
		return nil, fmt.Errorf("start GoBGP: %w", err)
	}
	if err := g.rejectRoutes(ctx); err != nil {
		return nil, fmt.Errorf("reject routes of the peer: %w", err)
	}
	return g, nil
}

// listenPort is where a passive speaker waits for its peer.
const listenPort = 179

// rejectRoutes has no route of the peer chosen or handed on. The default of this
// policy is for our own routes, too, so they are accepted before it.
func (g *gobgp) rejectRoutes(ctx context.Context) error {
	const name = "own-routes"
	policy := &api.Policy{Name: name, Statements: []*api.Statement{{
		Name:       name,
		Conditions: &api.Conditions{RouteType: api.Conditions_ROUTE_TYPE_LOCAL},
		Actions:    &api.Actions{RouteAction: api.RouteAction_ACCEPT},
	}}}
	if err := g.server.AddPolicy(ctx, &api.AddPolicyRequest{Policy: policy}); err != nil {
		return err
	}
	return g.server.SetPolicyAssignment(ctx, &api.SetPolicyAssignmentRequest{Assignment: &api.PolicyAssignment{
		Name: "global", Direction: api.PolicyDirection_IMPORT, DefaultAction: api.RouteAction_REJECT,
		Policies: []*api.Policy{{Name: name}},
	}})
}

// connect adds the peer. changed is called whenever state may be another, and
// must not wait.
func (g *gobgp) connect(changed func()) error {
	ctx := context.Background()
	watch := &api.WatchEventRequest{Peer: &api.WatchEventRequest_Peer{}}
	if err := g.server.WatchEvent(ctx, watch, func(*api.WatchEventResponse) { changed() }); err != nil {
		return fmt.Errorf("watch the peer: %w", err)
	}
	if err := g.server.AddPeer(ctx, &api.AddPeerRequest{Peer: g.peer()}); err != nil {
		return fmt.Errorf("add the peer: %w", err)
	}
	return nil
}

func (g *gobgp) peer() *api.Peer {
	s := g.session
	p := &api.Peer{
		Conf: &api.PeerConf{NeighborAddress: s.Peer.String(), PeerAsn: s.PeerAS, AuthPassword: s.Password},
		Timers: &api.Timers{Config: &api.TimersConfig{
			HoldTime: uint64(s.HoldTime), KeepaliveInterval: uint64(s.HoldTime / 3), ConnectRetry: uint64(s.ConnectRetry),
		}},
		Transport:       &api.Transport{RemotePort: uint32(s.Port), PassiveMode: s.Passive},
		TtlSecurity:     &api.TtlSecurity{Enabled: s.MinTTL > 0, TtlMin: uint32(s.MinTTL)},
		EbgpMultihop:    &api.EbgpMultihop{Enabled: s.Multihop > 0, MultihopTtl: uint32(s.Multihop)},
		GracefulRestart: &api.GracefulRestart{},
	}
	if s.Source.IsValid() {
		p.Transport.LocalAddress = s.Source.String()
	}
	if s.GracefulRestart > 0 {
		p.GracefulRestart = &api.GracefulRestart{
			Enabled: true, RestartTime: uint32(s.GracefulRestart), DeferralTime: deferral, LocalRestarting: s.Restarting,
		}
	}
	for _, f := range g.families() {
		p.AfiSafis = append(p.AfiSafis, &api.AfiSafi{
			Config:            &api.AfiSafiConfig{Family: f, Enabled: true},
			PrefixLimits:      &api.PrefixLimit{Family: f, MaxPrefixes: s.PrefixLimit},
			MpGracefulRestart: &api.MpGracefulRestart{Config: &api.MpGracefulRestartConfig{Enabled: s.GracefulRestart > 0}},
		})
	}
	return p
}

func (g *gobgp) families() []*api.Family {
	var all []*api.Family
	if g.session.IPv4 {
		all = append(all, &api.Family{Afi: api.Family_AFI_IP, Safi: api.Family_SAFI_UNICAST})
	}
	if g.session.IPv6 {
		all = append(all, &api.Family{Afi: api.Family_AFI_IP6, Safi: api.Family_SAFI_UNICAST})
	}
	return all
}

// announce sends a route, also in place of one with the same prefix.
func (g *gobgp) announce(r feed.Route) error {
	path, err := g.path(r)
	if err == nil {
		_, err = g.server.AddPath(context.Background(), &api.AddPathRequest{Path: path})
	}
	if err != nil {
		return fmt.Errorf("announce %s: %w", r.Prefix, err)
	}
	return nil
}

// withdraw takes a route back. It is no error if there is none.
func (g *gobgp) withdraw(prefix netip.Prefix) error {
	path, err := g.path(feed.Route{Prefix: prefix})
	if err == nil {
		// GoBGP takes a request without a path for all paths.
		path.IsWithdraw = true
		err = g.server.DeletePath(context.Background(), &api.DeletePathRequest{Path: path})
	}
	if err != nil {
		return fmt.Errorf("withdraw %s: %w", prefix, err)
	}
	return nil
}

func (g *gobgp) path(r feed.Route) (*api.Path, error) {
	hop := r.NextHop
	if !hop.IsValid() {
		// GoBGP puts the session's source address in its place.
		hop = netip.IPv4Unspecified()
		if g.session.Peer.Is6() {
			hop = netip.IPv6Unspecified()
		}
	}
	family := &api.Family{Afi: api.Family_AFI_IP, Safi: api.Family_SAFI_UNICAST}
	if r.Prefix.Addr().Is6() {
		family.Afi = api.Family_AFI_IP6
	}
	nlri := &api.IPAddressPrefix{Prefix: r.Prefix.Addr().String(), PrefixLen: uint32(r.Prefix.Bits())}
	attributes := []proto.Message{&api.OriginAttribute{Origin: 0}, &api.NextHopAttribute{NextHop: hop.String()}}
	if r.Prepend > 0 {
		own := make([]uint32, r.Prepend)
		for i := range own {
			own[i] = g.session.AS
		}
		attributes = append(attributes, &api.AsPathAttribute{Segments: []*api.AsSegment{
			{Type: api.AsSegment_AS_SEQUENCE, Numbers: own}}})
	}
	if r.MED != nil {
		attributes = append(attributes, &api.MultiExitDiscAttribute{Med: *r.MED})
	}
	if r.LocalPref != nil {
		attributes = append(attributes, &api.LocalPrefAttribute{LocalPref: *r.LocalPref})
	}
	if len(r.Communities) > 0 {
		attributes = append(attributes, &api.CommunitiesAttribute{Communities: r.Communities})
	}
	if len(r.Large) > 0 {
		large := &api.LargeCommunitiesAttribute{}
		for _, c := range r.Large {
			large.Communities = append(large.Communities, &api.LargeCommunity{GlobalAdmin: c[0], LocalData1: c[1], LocalData2: c[2]})
		}
		attributes = append(attributes, large)
	}
	path := &api.Path{Family: family}
	var err error
	if path.Nlri, err = anypb.New(nlri); err != nil {
		return nil, err
	}
	for _, a := range attributes {
		packed, err := anypb.New(a)
		if err != nil {
			return nil, err
		}
		path.Pattrs = append(path.Pattrs, packed)
	}
	return path, nil
}

// state is what GoBGP knows of the peer.
type state struct {
	name            string // as feed.Status has it
	ended           uint32 // sessions
	extendedNextHop bool
	overLimit       bool // the peer sent too many routes; GoBGP has ended the session for good
}

func (g *gobgp) state() (state, error) {
	var s state
	err := g.server.ListPeer(context.Background(), &api.ListPeerRequest{}, func(p *api.Peer) {
		s.name = strings.ToLower(p.State.SessionState.String())
		s.ended = p.State.Flops
		s.overLimit = p.State.AdminState == api.PeerState_PFX_CT
		for _, packed := range p.State.RemoteCap {
			c := &api.ExtendedNexthopCapability{}
			if packed.UnmarshalTo(c) != nil {
				continue
			}
			for _, t := range c.Tuples {
				s.extendedNextHop = s.extendedNextHop || t.GetNlriFamily().GetAfi() == api.Family_AFI_IP &&
					t.GetNlriFamily().GetSafi() == api.Family_SAFI_UNICAST && t.GetNexthopFamily().GetAfi() == api.Family_AFI_IP6
			}
		}
	})
	if err != nil {
		return state{}, fmt.Errorf("the peer's state: %w", err)
	}
	return s, nil
}

// stop ends the session with a NOTIFICATION.
func (g *gobgp) stop(ctx context.Context) error {
	stopped := make(chan error, 1)
	go func() { stopped <- g.server.StopBgp(ctx, &api.StopBgpRequest{}) }()
	select {
	case err := <-stopped:
		return err
	case <-ctx.Done():
		return fmt.Errorf("end the session: %w", ctx.Err())
	}
}
