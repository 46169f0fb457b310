package plugin

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"

	"github.com/sirupsen/logrus"

	"github.com/lwaftr/lw4o6/bgp"
	"github.com/lwaftr/lw4o6/bgp/feed"
	"github.com/lwaftr/lw4o6/plugin/announce"
	"github.com/lwaftr/lw4o6/plugin/config"
	"github.com/lwaftr/lw4o6/plugin/config/element"
	"github.com/lwaftr/lw4o6/plugin/dataplane"
)

// BGPConfig is who is told of routes to pools and BR addresses, and when. There
// is no BGP without peers.
type BGPConfig struct {
	bgp.Config
	Announce announce.Config `yaml:"announce"`
}

// Enabled reports whether there is anybody to tell.
func (c BGPConfig) Enabled() bool { return len(c.Peers) > 0 }

// Speakers tell peers of routes; package bgp has them.
type Speakers interface {
	announce.Announcer
	Run(ctx context.Context) error
	Stats() []bgp.PeerStats
}

// newSpeakers makes the speakers of c, whose processes run program.
func newSpeakers(program feed.Program) func(bgp.Config, logrus.FieldLogger) (Speakers, error) {
	return func(c bgp.Config, log logrus.FieldLogger) (Speakers, error) { return bgp.New(c, program, log) }
}

// speaksBGP reports what is wrong with BGP in c as a whole. The pools are valid.
func (c Config) speaksBGP() error {
	if !c.BGP.Enabled() {
		return nil
	}
	errs := []error{element.At("bgp", c.BGP.Config.Validate(c.Pools))}
	at := func(key string) string { return element.Join("bgp.announce", key) }
	if c.BGP.Announce.StateFile == "" {
		errs = append(errs, element.Errorf(at("state-file"), "is missing: it keeps drains and holds over a restart"))
	}
	if _, err := c.BGP.Announce.Routes(c.Pools); err != nil {
		errs = append(errs, element.At("bgp.announce", err))
	}
	index := c.Pools.Index()
	for i, p := range c.BGP.Peers {
		peer := element.Item("bgp.peers", i)
		if c.Dataplane.Type == TypeForwarder && p.GracefulRestart > 0 {
			errs = append(errs, element.Errorf(peer+".graceful-restart", "nothing is forwarded while the router is away, so peers must not keep its routes: leave it out, or use the data plane %s", TypeVPP))
		}
		if one, ok := index.Find(p.Address); ok {
			errs = append(errs, element.Errorf(peer+".address", "%s is in pool %q, whose addresses are for lwB4s", p.Address, one.Name))
		}
		if slices.Contains(c.Pools.BRs(), p.Address) {
			errs = append(errs, element.Errorf(peer+".address", "%s is a BR address, which is the data plane's", p.Address))
		}
	}
	return errors.Join(errs...)
}

// fixedBGP are the elements of BGPConfig that cannot change while the router
// runs: all but what there is to announce.
func fixedBGP() []string {
	var all []string
	for _, key := range config.Keys(reflect.TypeFor[BGPConfig]()) {
		free := touches([]string{key.Path}, "announce.aggregates") || touches([]string{key.Path}, "announce.blackhole")
		if !free && key.Path != "announce" {
			all = append(all, "bgp."+key.Path)
		}
	}
	return all
}

// startBGP has r announce what the data plane can stand for, if the configuration
// has peers.
func (p *Plugin) startBGP(ctx context.Context, r *runner, run *running, c Config) error {
	if !c.BGP.Enabled() {
		return nil
	}
	routes, err := c.BGP.Announce.Routes(c.Pools)
	if err != nil {
		return &ConfigError{element.At("bgp.announce", err)}
	}
	speakers, err := p.speakers(c.BGP.Config, p.log.WithField("part", "bgp"))
	if err != nil {
		return fmt.Errorf("bgp: %w", err)
	}
	run.gate, err = announce.New(c.BGP.Announce.GateConfig, c.Pools, routes, run.rec, speakers, p.forwarded, p.log.WithField("part", "announce"))
	if err != nil {
		return err
	}
	run.speakers = speakers
	r.run(ctx, "bgp", speakers.Run)
	r.run(ctx, "announce", run.gate.Run)
	return nil
}

// announceAs has the routes of c announced from now on, which c passes.
func (r *running) announceAs(c Config) {
	if r.gate == nil {
		return
	}
	if routes, err := c.BGP.Announce.Routes(c.Pools); err == nil {
		r.gate.Configure(c.Pools, routes)
	}
}

// errUncounted reports a data plane that does not say whose packets it counts.
var errUncounted = errors.New("the data plane does not count by softwire or address")

// forwarded counts packets by pool, for announce.Meter.
func (p *Plugin) forwarded(ctx context.Context) (map[string]uint64, error) {
	totals, err := p.dp.Counters(ctx)
	if err != nil {
		return nil, err
	}
	if totals.Granularity == dataplane.PerNothing {
		return nil, errUncounted
	}
	pools := p.pools()
	index := pools.Index()
	all := make(map[string]uint64, len(pools))
	for _, one := range pools {
		all[one.Name] = 0
	}
	for c, err := range p.dp.SoftwireCounters(ctx) {
		if err != nil {
			return nil, err
		}
		if one, ok := index.Find(c.Key.IPv4); ok {
			all[one.Name] += c.ToB4.Packets + c.FromB4.Packets
		}
	}
	return all, nil
}
