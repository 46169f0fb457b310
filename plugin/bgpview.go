package plugin

import (
	"context"
	"fmt"
	"net/netip"
	"time"

	"github.com/lwaftr/lw4o6/bgp"
	"github.com/lwaftr/lw4o6/plugin/announce"
	"github.com/lwaftr/lw4o6/plugin/control"
	"github.com/lwaftr/lw4o6/plugin/control/api"
)

// announcing is what the control API shows and orders of BGP.
type announcing struct {
	*announce.Gate
	speakers Speakers
}

var _ control.Announcing = announcing{}

// BGP implements control.Announcing.
func (a announcing) BGP(context.Context) (api.BGP, error) {
	s := a.Stats()
	// Lists without items are there, for programs.
	out := api.BGP{Pools: []api.BGPPool{}, Routes: []api.BGPRoute{}, Peers: []api.BGPPeer{}, Alarms: []api.BGPAlarm{}}
	for _, p := range s.Pools {
		out.Pools = append(out.Pools, api.BGPPool{
			Name: p.Name, State: p.State.String(), Since: p.Since, Until: set(p.Until), Reason: p.Reason,
			Softwires: p.Desired, Programmed: p.Programmed,
			PacketRate: p.Rate, Withdrawals: p.Withdrawals, Holds: p.Holds,
		})
	}
	for _, r := range s.Routes {
		out.Routes = append(out.Routes, api.BGPRoute{
			Prefix: r.Prefix, Pools: r.Pools, Announced: r.Announced, Drain: r.Drain, Blackhole: r.Blackhole, Reason: r.Reason,
		})
	}
	for _, p := range a.speakers.Stats() {
		out.Peers = append(out.Peers, api.BGPPeer{
			Name: p.Name, Address: p.Address, AS: p.AS, State: p.State, Since: p.Since,
			Sessions: p.Sessions, Flaps: p.Flaps, PID: p.PID, Starts: p.Starts,
			Announced: append([]netip.Prefix{}, p.Announced...), Withheld: p.Withheld,
			Error: p.Error, ErrorTime: set(p.ErrorTime),
		})
	}
	for _, one := range s.Alarms {
		out.Alarms = append(out.Alarms, api.BGPAlarm{Kind: string(one.Kind), Subject: one.Subject, Text: one.Text})
	}
	return out, nil
}

// set is t, or nil if it is zero.
func set(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}

// announceProblems is what the status says of BGP; s is nil without it.
func announceProblems(s *announce.Stats, peers []bgp.PeerStats) (all []string) {
	if s == nil {
		return nil
	}
	for _, p := range s.Pools {
		if p.State != announce.Announced {
			all = append(all, fmt.Sprintf("pool %s is %s: %s", p.Name, p.State, p.Reason))
		}
	}
	for _, a := range s.Alarms {
		text := a.Text
		if a.Subject != "" {
			text = a.Subject + ": " + text
		}
		all = append(all, "announcements: "+text)
	}
	for _, p := range peers {
		if !p.Established() {
			all = append(all, fmt.Sprintf("BGP peer %s is %s: %s", p.Name, p.State, p.Error))
		}
	}
	return all
}
