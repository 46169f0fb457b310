package client

import (
	"errors"
	"net/netip"
	"testing"
	"time"

	"github.com/lwaftr/lw4o6/pcp/pcpmsg"
)

const (
	sec = time.Second
	ms  = time.Millisecond
)

// TestRetransmissions: RFC 6887 section 8.1.1, to a single address: for ever.
func TestRetransmissions(t *testing.T) {
	d := newDrive(t, 1, true)
	d.pass(time.Hour)
	d.wantSent(0, 3*sec, 6*sec, 12*sec, 24*sec, 48*sec, 96*sec, 192*sec, 384*sec, 768*sec, 1024*sec, 1024*sec)
	d.pass(1024 * sec)
	d.wantSent(1024 * sec)
	if len(d.reports) != 0 {
		t.Errorf("reported %+v", d.reports)
	}
}

func TestGrantAndRenewal(t *testing.T) {
	d := newDrive(t, 1, true)
	d.pass(4 * sec)
	d.wantSent(0, 3*sec)
	d.grant(1600 * sec)
	s := d.last()
	if want := (Grant{testSet.Addr(), testSet.Port(), testSet.Port(), 2048, 1600 * sec}); !s.Held || s.Grant != want || !s.Expires.Equal(d.now.Add(1600*sec)) || s.Err != nil {
		t.Fatalf("%+v", s)
	}
	// RFC 6887 section 11.2.1: a single renewal between 1/2 and 5/8.
	d.pass(900 * sec)
	d.wantSent(901 * sec)
	d.grant(1600 * sec)
	d.wantHeld(true)
	// Between 3/4 and 3/4+1/16, 7/8 and 7/8+1/32 and so on, 4 s apart at least.
	d.pass(1599 * sec)
	got := d.sent()
	want := []time.Duration{900 * sec, 350 * sec, 175 * sec, 87500 * ms, 43750 * ms, 21875 * ms, 10937500 * time.Microsecond, 5468750 * time.Microsecond}
	for i, w := range want {
		if i >= len(got) || got[i].Round(ms) != w.Round(ms) {
			t.Fatalf("renewals after %v, want %v and 4 s apart then", got, want)
		}
	}
	for _, a := range got[1:] {
		if a < 4*sec {
			t.Fatalf("renewals after %v", got)
		}
	}
	d.wantHeld(true)
	d.reports = nil
	d.pass(sec)
	if s := d.last(); s.Held || s.Closed {
		t.Fatalf("after its time: %+v", s)
	}
}

// TestExpiryAsksAgain: what expired is asked for anew, and suggested.
func TestExpiryAsksAgain(t *testing.T) {
	d := newDrive(t, 1, true)
	d.grant(10 * sec)
	d.pass(10 * sec)
	d.wantHeld(false)
	last := d.sends[len(d.sends)-1]
	if got := netip.AddrPortFrom(last.request.Mapping.External, last.request.Mapping.ExternalPort); got != testSet || last.request.Lifetime != 86400 {
		t.Fatalf("asked for %s for %d s", got, last.request.Lifetime)
	}
	d.sent()
	d.pass(10 * sec)
	d.wantSent(3*sec, 6*sec)
	d.grant(time.Hour)
	d.wantHeld(true)
}

func TestDuplicatesChangeNothing(t *testing.T) {
	d := newDrive(t, 1, true)
	d.grant(time.Hour)
	first := d.m
	d.grant(time.Hour)
	if d.m != first {
		t.Fatalf("got %+v, want %+v", d.m, first)
	}
	d.wantSent(0)
}

// TestMappingUpdate: RFC 6887 section 14.2, an answer that nobody asked for now.
func TestMappingUpdate(t *testing.T) {
	d := newDrive(t, 1, true)
	d.grant(time.Hour)
	d.pass(time.Minute)
	moved := netip.MustParseAddrPort("192.0.2.6:2048")
	r := grantResponse(d.want(), moved, 1024, 2*time.Hour)
	d.answer(&r)
	if s := d.last(); !s.Held || s.Grant.External != moved.Addr() || s.Grant.Ports != 1024 || s.Grant.Lifetime != 2*time.Hour {
		t.Fatalf("%+v", s)
	}
	d.sent()
	// Taken back: it is not asked for at once.
	r.Lifetime = 0
	d.answer(&r)
	if s := d.last(); s.Held {
		t.Fatalf("%+v", s)
	}
	d.pass(29 * sec)
	d.wantSent()
	d.pass(sec)
	d.wantSent(90 * sec)
}

// TestErrors: RFC 6887 section 8.3: the client does not repeat itself for the
// lifetime of an error, which is bounded.
func TestErrors(t *testing.T) {
	for _, test := range []struct {
		name           string
		result         pcpmsg.ResultCode
		lifetime, wait time.Duration
	}{
		{"short", pcpmsg.NoResources, 30 * sec, 30 * sec},
		{"long", pcpmsg.NotAuthorized, 30 * time.Minute, 30 * time.Minute},
		{"no lifetime", pcpmsg.NotAuthorized, 0, 30 * time.Minute},
		{"no lifetime of a short one", pcpmsg.UserExQuota, 0, 30 * sec},
		{"absurd", pcpmsg.AddressMismatch, 5 * 365 * 24 * time.Hour, 24 * time.Hour},
		{"unknown", 200, time.Minute, time.Minute},
	} {
		t.Run(test.name, func(t *testing.T) {
			d := newDrive(t, 1, true)
			d.refuse(test.result, test.lifetime)
			d.wantErr(test.result, test.wait)
			d.sent()
			d.pass(test.wait - 1)
			d.wantSent()
			d.pass(4 * sec)
			d.wantSent(test.wait, 3*sec)
			d.grant(time.Hour)
			if s := d.last(); s.Err != nil || !s.Held {
				t.Fatalf("%+v", s)
			}
		})
	}
}

// TestErrorWhileHeld: a renewal that is refused leaves the mapping until it
// expires.
func TestErrorWhileHeld(t *testing.T) {
	d := newDrive(t, 1, true)
	d.grant(1600 * sec)
	d.pass(1000 * sec)
	d.refuse(pcpmsg.NotAuthorized, 1800*sec)
	d.wantErr(pcpmsg.NotAuthorized, 1800*sec)
	d.wantHeld(true)
	d.sent()
	d.pass(600*sec - 1)
	d.wantHeld(true)
	d.pass(1)
	d.wantHeld(false)
	d.wantSent()
	d.pass(1200 * sec)
	d.wantSent(1900 * sec) // 900 s after the grant, refused 100 s later
}

func TestOtherVersion(t *testing.T) {
	for _, test := range []struct {
		name string
		err  pcpmsg.VersionError
		wait time.Duration
	}{
		{"NAT-PMP", pcpmsg.VersionError{}, 30 * time.Minute},
		{"sooner", pcpmsg.VersionError{Version: 3, Lifetime: 60}, time.Minute},
		{"later", pcpmsg.VersionError{Version: 3, Lifetime: 7200}, 30 * time.Minute},
	} {
		t.Run(test.name, func(t *testing.T) {
			d := newDrive(t, 1, true)
			d.step(OtherVersion{Server: 0, Err: &test.err})
			var got *pcpmsg.VersionError
			if s := d.last(); !errors.As(s.Err, &got) || *got != test.err {
				t.Fatalf("%+v", s)
			}
			d.sent()
			d.pass(test.wait)
			d.wantSent(test.wait)
		})
	}
	t.Run("not asked", func(t *testing.T) {
		d := newDrive(t, 1, true)
		d.grant(time.Hour)
		before := d.m
		d.step(OtherVersion{Server: 0, Err: &pcpmsg.VersionError{}})
		if d.m != before {
			t.Fatal("believed while no request was open")
		}
	})
}

// TestFailover: RFC 7488 section 3.
func TestFailover(t *testing.T) {
	d := newDrive(t, 2, true)
	d.pass(80 * sec)
	var servers []int
	for _, s := range d.sends {
		servers = append(servers, s.server)
	}
	if got, want := len(servers), 8; got != want || servers[3] != 0 || servers[4] != 1 {
		t.Fatalf("asked %v", servers)
	}
	d.wantSent(0, 3*sec, 6*sec, 12*sec, 24*sec, 3*sec, 6*sec, 12*sec)
	// The first one is too late now.
	r := grantResponse(d.want(), testSet, 2048, time.Hour)
	d.step(Answer{Server: 0, Response: &r})
	d.wantHeld(false)
	// 24 s after its fourth request the second one had its turn as well.
	d.pass(10*sec + 15*time.Minute)
	d.wantSent(24*sec + 15*time.Minute)
	if d.m.Server() != 0 {
		t.Fatalf("begins again with server %d", d.m.Server())
	}
	d.pass(45 * sec)
	if d.m.Server() != 1 {
		t.Fatalf("asks server %d", d.m.Server())
	}
	d.grant(time.Hour)
	d.sent()
	// The one that answered is kept.
	d.pass(40 * time.Minute)
	if d.m.Server() != 1 || len(d.sends) != 1 {
		t.Fatalf("renews at %d: %v", d.m.Server(), d.sends)
	}
	// Until it does not answer four renewals.
	d.pass(20*time.Minute - sec)
	for i, s := range d.sends {
		if want := (1 + i/4) % 2; s.server != want {
			t.Errorf("renewal %d went to %d", i, s.server)
		}
	}
	if len(d.sends) < 5 {
		t.Errorf("%d renewals", len(d.sends))
	}
}

func TestUnreachable(t *testing.T) {
	d := newDrive(t, 2, true)
	d.step(Unreachable{Server: 1}) // not asked
	d.wantSent(0)
	d.step(Unreachable{Server: 0})
	d.wantSent(0)
	if d.m.Server() != 1 {
		t.Fatal("not the next address")
	}
	d.step(Unreachable{Server: 1})
	d.wantSent()
	d.pass(15 * time.Minute)
	d.wantSent(15 * time.Minute)

	d.grant(time.Hour)
	d.step(Unreachable{Server: d.m.Server()}) // of an answered request
	d.wantSent()
	d.pass(40 * time.Minute)
	first := d.m.Server()
	d.step(Unreachable{Server: first})
	if d.m.Server() == first || len(d.sends) != 2 {
		t.Fatalf("renewals %v", d.sends)
	}
	// Both are unreachable: the next renewal comes in its own time.
	d.step(Unreachable{Server: d.m.Server()})
	if len(d.sends) != 2 || d.m.Next().Before(d.now.Add(4*sec)) {
		t.Fatalf("renewals %v, next %s", d.sends, d.m.Next().Sub(d.now))
	}

	alone := newDrive(t, 1, true)
	alone.step(Unreachable{Server: 0})
	alone.wantSent(0)
}

// TestStateLost: RFC 6887 section 14.1.3.
func TestStateLost(t *testing.T) {
	d := newDrive(t, 2, true)
	d.step(StateLost{Server: 0}) // nothing to lose
	d.grant(time.Hour)
	d.pass(time.Minute)
	d.step(StateLost{Server: 1})
	d.wantSent(0)
	d.step(StateLost{Server: 0})
	d.wantSent()
	d.wantHeld(true)
	d.pass(2500 * ms)
	if r := d.sends[0].request; r.Mapping.ExternalPort != testSet.Port() {
		t.Fatalf("suggested %d", r.Mapping.ExternalPort)
	}
	d.wantSent(62500 * ms)
	d.step(StateLost{Server: 0}) // is being asked for
	d.pass(3 * sec)
	d.wantSent(3 * sec)
	d.grant(time.Hour)
	// Also while an error is waited for: it was another state that refused.
	d.refuse(pcpmsg.NotAuthorized, time.Hour)
	d.step(StateLost{Server: 0})
	d.pass(2500 * ms)
	d.wantSent(2500 * ms)
}

func TestNotBefore(t *testing.T) {
	rules := &Rules{Want: softwireWant(), Servers: 1, Timing: DefaultTiming(), Renew: true, Random: func() float64 { return 0.5 }}
	m, action := NewMapping(rules, 0).Step(storyBegins, Tick{NotBefore: storyBegins.Add(30 * sec)})
	if action.Send || !m.Next().Equal(storyBegins.Add(30*sec)) {
		t.Fatalf("%+v, next %s", action, m.Next())
	}
	if _, action = m.Step(m.Next(), Tick{NotBefore: storyBegins.Add(30 * sec)}); !action.Send {
		t.Fatal("not asked then")
	}
}

func TestDeletion(t *testing.T) {
	deletion := func(d *drive) pcpmsg.Response {
		r := grantResponse(d.want(), netip.MustParseAddrPort("0.0.0.0:0"), 0, 0)
		return r
	}
	t.Run("held", func(t *testing.T) {
		d := newDrive(t, 1, true)
		d.grant(time.Hour)
		d.sent()
		d.step(Release{})
		d.pass(4 * sec)
		for _, s := range d.sends {
			if s.request.Lifetime != 0 || s.request.Mapping.ExternalPort != 0 || s.request.Mapping.External != netip.IPv4Unspecified() {
				t.Fatalf("sent %+v", s.request)
			}
		}
		d.wantSent(0, 3*sec)
		d.grant(time.Hour) // the late answer to a renewal
		if d.m.Status().Closed {
			t.Fatal("an answer to a renewal is taken for one to the deletion")
		}
		r := deletion(d)
		d.answer(&r)
		if s := d.last(); !s.Closed || s.Held || s.Err != nil {
			t.Fatalf("%+v", s)
		}
		if next := d.m.Next(); !next.IsZero() {
			t.Fatalf("next %s", next)
		}
		d.grant(time.Hour)
		d.wantHeld(false)
	})
	t.Run("not held", func(t *testing.T) {
		d := newDrive(t, 1, false)
		d.step(Release{})
		r := deletion(d)
		r.Lifetime = 120 // until it would be idle, says the server
		d.answer(&r)
		if s := d.last(); !s.Closed || s.Err != nil {
			t.Fatalf("%+v", s)
		}
	})
	t.Run("refused for now", func(t *testing.T) {
		d := newDrive(t, 1, false)
		d.step(Release{})
		d.sent()
		d.refuse(pcpmsg.NoResources, 30*sec)
		d.wantErr(pcpmsg.NoResources, 30*sec)
		d.pass(30 * sec)
		d.wantSent(30 * sec)
		r := deletion(d)
		d.answer(&r)
		if s := d.last(); !s.Closed || s.Err != nil {
			t.Fatalf("%+v", s)
		}
	})
	t.Run("refused", func(t *testing.T) {
		d := newDrive(t, 1, true)
		d.grant(time.Hour)
		d.step(Release{})
		d.refuse(pcpmsg.NotAuthorized, 30*time.Minute)
		if !d.m.Status().Closed {
			t.Fatal("goes on")
		}
		d.wantErr(pcpmsg.NotAuthorized, 30*time.Minute)
	})
	t.Run("unanswered", func(t *testing.T) {
		d := newDrive(t, 1, true)
		d.grant(20 * sec)
		d.step(Release{})
		d.pass(20 * sec)
		if s := d.last(); !s.Closed || s.Held {
			t.Fatalf("after its time: %+v", s)
		}
	})
}

// TestOnce: without renewal nothing is sent after the first answer.
func TestOnce(t *testing.T) {
	granted := newDrive(t, 1, false)
	granted.grant(time.Hour)
	granted.sent()
	granted.pass(time.Hour)
	granted.wantSent()
	if s := granted.last(); !s.Closed || s.Held {
		t.Errorf("%+v", s)
	}
	refused := newDrive(t, 1, false)
	refused.refuse(pcpmsg.NoResources, 30*sec)
	if !refused.m.Status().Closed {
		t.Error("refused, and goes on")
	}
	refused.wantErr(pcpmsg.NoResources, 30*sec)
	nothing := newDrive(t, 1, false)
	nothing.grant(0)
	if s := nothing.last(); !s.Closed || s.Held || s.Err != nil {
		t.Errorf("%+v", s)
	}
}

// TestOnlySuggested: RFC 6887 section 13.2, a success that gives something else
// answers something else.
func TestOnlySuggested(t *testing.T) {
	w := Want{Nonce: testNonce, Protocol: 17, InternalPort: 80, Lifetime: time.Hour, Suggested: testSet, OnlySuggested: true}
	d := driveWant(t, w, 1, true)
	other := grantResponse(&w, netip.MustParseAddrPort("192.0.2.5:9"), 1, time.Hour)
	d.answer(&other)
	d.wantHeld(false)
	right := grantResponse(&w, testSet, 1, time.Hour)
	d.answer(&right)
	d.wantHeld(true)
}

// TestUnasked: RFC 6887 section 8.3: an answer before the first request belongs
// to somebody else.
func TestUnasked(t *testing.T) {
	w := softwireWant()
	r := grantResponse(&w, testSet, 2048, time.Hour)
	m := NewMapping(&Rules{Want: w, Servers: 1, Timing: DefaultTiming()}, 0)
	if got, action := m.Step(storyBegins, Answer{Response: &r}); got != m || action != (Action{}) {
		t.Fatalf("%+v", got.Status())
	}
}

// TestAbsurdLifetime: RFC 6887 section 15.
func TestAbsurdLifetime(t *testing.T) {
	d := newDrive(t, 1, true)
	r := grantResponse(d.want(), testSet, 2048, 0)
	r.Lifetime = 1<<32 - 1
	d.answer(&r)
	if s := d.last(); s.Grant.Lifetime != 24*time.Hour || !s.Expires.Equal(d.now.Add(24*time.Hour)) {
		t.Fatalf("%+v", s)
	}
}
