package client

import (
	"errors"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/lwaftr/lw4o6/pcp/pcpmsg"
)

// drive steps one mapping through a story. Every random number is 0.5, the
// middle.
type drive struct {
	*testing.T
	m       Mapping
	now     time.Time
	lastAt  time.Time // of the last request
	sends   []sending
	reports []Status
}

type sending struct {
	after   time.Duration // since the one before, or since the story began
	server  int
	request pcpmsg.Request
}

var storyBegins = time.Unix(1_000_000, 0)

func newDrive(t *testing.T, servers int, renew bool) *drive {
	return driveWant(t, softwireWant(), servers, renew)
}

func driveWant(t *testing.T, w Want, servers int, renew bool) *drive {
	rules := &Rules{Want: w, Servers: servers, Timing: DefaultTiming(), Renew: renew, Random: func() float64 { return 0.5 }}
	d := &drive{T: t, m: NewMapping(rules, 0), now: storyBegins, lastAt: storyBegins}
	d.step(Tick{})
	return d
}

func (d *drive) want() *Want { return &d.m.rules.Want }

// step has an event happen now.
func (d *drive) step(e Event) {
	d.Helper()
	before := d.m
	var action Action
	d.m, action = before.Step(d.now, e)
	if again, same := before.Step(d.now, e); again != d.m || same != action {
		d.Fatal("the same step twice had two outcomes")
	}
	if action.Report {
		d.reports = append(d.reports, d.m.Status())
	}
	if action.Send {
		r, err := pcpmsg.ParseRequest(d.m.AppendRequest(nil, testB4))
		if err != nil {
			d.Fatal(err)
		}
		d.sends = append(d.sends, sending{d.now.Sub(d.lastAt), d.m.Server(), r})
		d.lastAt = d.now
	}
}

// pass lets time pass, and what is due in it happen.
func (d *drive) pass(t time.Duration) {
	d.Helper()
	end := d.now.Add(t)
	for next := d.m.Next(); !next.IsZero() && !next.After(end); next = d.m.Next() {
		if next.Before(d.now) {
			d.Fatalf("due at %s, which is before %s", next, d.now)
		}
		d.now = next
		d.step(Tick{})
	}
	d.now = end
}

// grant answers with 2048 ports.
func (d *drive) grant(lifetime time.Duration) {
	d.Helper()
	r := grantResponse(d.want(), testSet, 2048, lifetime)
	d.answer(&r)
}

func (d *drive) refuse(result pcpmsg.ResultCode, lifetime time.Duration) {
	d.Helper()
	r := grantResponse(d.want(), netip.AddrPort{}, 0, lifetime)
	r.Result = result
	d.answer(&r)
}

func (d *drive) answer(r *pcpmsg.Response) {
	d.Helper()
	d.step(Answer{Server: d.m.Server(), Response: r})
}

// sent returns when requests were sent since the last call, each after the one
// before.
func (d *drive) sent() []time.Duration {
	var after []time.Duration
	for _, s := range d.sends {
		after = append(after, s.after)
	}
	d.sends = nil
	return after
}

// last is the last status that was reported since the last call.
func (d *drive) last() Status {
	d.Helper()
	if len(d.reports) == 0 {
		d.Fatal("nothing was reported")
	}
	s := d.reports[len(d.reports)-1]
	d.reports = nil
	return s
}

func (d *drive) wantSent(after ...time.Duration) {
	d.Helper()
	var got []time.Duration
	for _, a := range d.sent() {
		got = append(got, a.Round(time.Millisecond))
	}
	if !slices.Equal(got, after) {
		d.Fatalf("requests after %v, want %v", got, after)
	}
}

func (d *drive) wantHeld(held bool) {
	d.Helper()
	if s := d.m.Status(); s.Held != held {
		d.Fatalf("held is %v: %+v", s.Held, s)
	}
}

func (d *drive) wantErr(result pcpmsg.ResultCode, wait time.Duration) {
	d.Helper()
	var refused ResultError
	if s := d.last(); !errors.As(s.Err, &refused) || refused != (ResultError{result, wait}) {
		d.Fatalf("reported %v, want %s for %s", s.Err, result, wait)
	}
}
