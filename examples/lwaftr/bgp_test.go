package main

import (
	"context"
	"encoding/json"
	"strings"
	"testing"

	"github.com/sirupsen/logrus"

	"github.com/lwaftr/lw4o6/bgp"
	"github.com/lwaftr/lw4o6/plugin"
	"github.com/lwaftr/lw4o6/plugin/announce"
	"github.com/lwaftr/lw4o6/plugin/control/api"
	"github.com/lwaftr/lw4o6/plugin/dataplane"
	"github.com/lwaftr/lw4o6/plugin/dataplane/fake"
)

// deafSpeakers have a peer that never answers.
type deafSpeakers struct{}

func (deafSpeakers) ForwardingPreserved() {}

func (deafSpeakers) Set(context.Context, []announce.Announcement) error { return nil }

func (deafSpeakers) Run(ctx context.Context) error {
	<-ctx.Done()
	return nil
}

func (deafSpeakers) Stats() []bgp.PeerStats {
	return []bgp.PeerStats{{Name: "core", State: "connect", Error: "nobody answers"}}
}

// TestBGPCommands: an operator sees what is announced, takes it away and brings
// it back.
func TestBGPCommands(t *testing.T) {
	dir := folder(t)
	path := configure(t, dir, "bgp:\n  router-id: 203.0.113.1\n  as: 64500\n"+
		"  peers: [{name: core, address: 2001:db8:fe::2, as: 64501, next-hop-ipv4: 203.0.113.1}]\n"+
		"  announce: {state-file: "+dir+"/state.json, drain: {min: 100ms, max: 200ms}}\n", "192.0.2.1,1,2001:db8::1")
	dp := fake.New()
	dp.SetCounters(dataplane.Counters{Granularity: dataplane.PerSoftwire})
	r := launch(t, path, with(dp), plugin.WithSpeakers(func(bgp.Config, logrus.FieldLogger) (plugin.Speakers, error) {
		return deafSpeakers{}, nil
	}))
	run := func(args ...string) string {
		t.Helper()
		return lwaftr(t, append(args, "--socket", r.socket)...).want(t, exitOK).out
	}
	shows := func(what string, args ...string) {
		t.Helper()
		r.until(t, what, func() bool { return strings.Contains(run(args...), what) })
	}
	shows("announced", "bgp", "show")
	shows("2001:db8:ffff::1/128  announced  p", "bgp", "announced")
	shows("nobody answers", "bgp", "peers")

	if out := run("drain", "p"); !strings.Contains(out, "p  draining") || !strings.Contains(out, "p  drained") {
		t.Errorf("drain prints %q", out)
	}
	shows("withdrawn", "bgp", "announced")
	shows("an operator has drained it", "bgp", "show")
	run("bgp", "release")
	shows("drained", "bgp", "show")
	run("undrain")
	shows("announced", "bgp", "show")

	var b api.BGP
	if err := json.Unmarshal([]byte(run("bgp", "show", "-o", "json")), &b); err != nil || len(b.Pools) != 1 || len(b.Routes) != 2 {
		t.Errorf("%+v, %v", b, err)
	}
	run("drain", "--no-wait")
	got := lwaftr(t, "drain", "x", "--socket", r.socket).want(t, exitFailure)
	if got.errors != "lwaftr: no such pool: \"x\"\n" {
		t.Errorf("drain of no pool: %q", got.errors)
	}
}
