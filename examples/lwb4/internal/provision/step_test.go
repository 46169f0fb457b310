package provision

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"

	"github.com/lwaftr/lw4o6/examples/lwb4/internal/assign"
	"github.com/lwaftr/lw4o6/plugin/portset"
)

// drive steps a machine through a story, and is what its actions make.
type drive struct {
	*testing.T
	m         Machine
	now       time.Time
	last      Action
	connected *Offer
	using     assign.Ports
	asked     int
	renewed   int
}

func newDrive(t *testing.T) *drive {
	return &drive{T: t, m: New(DefaultRules()), now: time.Unix(1_000_000, 0)}
}

func (d *drive) step(e Event) {
	d.Helper()
	next, a := d.m.Step(d.now, e)
	if again, same := d.m.Step(d.now, e); fmt.Sprint(again.Status()) != fmt.Sprint(next.Status()) || same.Note != a.Note {
		d.Fatal("the same step twice had two outcomes")
	}
	d.m, d.last = next, a
	if a.Disconnect {
		d.connected = nil
	}
	if a.Connect != nil {
		if d.connected != nil {
			d.Fatal("two tunnels at a time")
		}
		d.connected = a.Connect
	}
	if a.Use != nil {
		d.using = *a.Use
	}
	if a.Ask {
		d.asked++
	}
	if a.Renew {
		d.renewed++
	}
	d.consistent()
}

// consistent is what holds at any time.
func (d *drive) consistent() {
	d.Helper()
	s := d.m.Status()
	switch {
	case (s.Phase != Waiting) != (d.connected != nil):
		d.Fatalf("%s, connected %v", s.Phase, d.connected)
	case (s.Phase == Using) != (len(d.using.Sets) > 0):
		d.Fatalf("%s, in use %s", s.Phase, d.using)
	case s.Phase == Using && !s.Ports.Equal(d.using):
		d.Fatalf("status says %s, in use %s", s.Ports, d.using)
	case s.Phase == Using && !s.Until.IsZero() && d.now.After(s.Until):
		d.Fatal("in use after the end")
	case s.Phase != Using && s.Err == nil && s.Phase == Waiting:
		d.Fatal("waits without a reason")
	}
}

// pass lets time pass, and what is due in it happen.
func (d *drive) pass(t time.Duration) {
	d.Helper()
	end := d.now.Add(t)
	for next := d.m.Next(); !next.IsZero() && !next.After(end); next = d.m.Next() {
		if next.After(d.now) {
			d.now = next
		}
		d.step(Tick{})
	}
	d.now = end
}

func (d *drive) want(phase Phase, br string) {
	d.Helper()
	s := d.m.Status()
	if s.Phase != phase || phase != Waiting && s.Ends.BR.String() != br {
		d.Fatalf("%s at %s (%v), want %s at %s", s.Phase, s.Ends, s.Err, phase, br)
	}
}

const first, second = "2001:db8:ffff::1", "2001:db8:ffff::2"

func offer(br string) Offer {
	return Offer{Ends: assign.Ends{B4: netip.MustParseAddr("2001:db8:1::1"), BR: netip.MustParseAddr(br)}}
}

func ports(psids ...uint16) assign.Ports {
	p := assign.Ports{IPv4: netip.MustParseAddr("192.0.2.1")}
	for _, psid := range psids {
		s, err := portset.Of(0, 6, psid)
		if err != nil {
			panic(err) // the parameters are right
		}
		p.Sets = append(p.Sets, s)
	}
	return p
}

func fixed(br string, psids ...uint16) Offer {
	o := offer(br)
	o.Ports = ports(psids...)
	return o
}

func TestGrantAndRenewal(t *testing.T) {
	d := newDrive(t)
	d.want(Waiting, "")
	d.step(Offered{[]Offer{offer(first)}})
	d.want(Asking, first)
	d.step(Granted{ports(5), d.now.Add(time.Hour)})
	d.want(Using, first)
	d.pass(30 * time.Minute)
	d.step(Granted{ports(5), d.now.Add(time.Hour)})
	if d.last.Use != nil {
		t.Error("a renewal changes the NAT")
	}
	d.step(Granted{ports(5, 6), d.now.Add(time.Hour)})
	if d.last.Use == nil {
		t.Error("more ports are not used")
	}
	d.step(Refused{errors.New("not now")})
	d.want(Using, first) // what was good stays while it is valid
	d.pass(2 * time.Hour)
	d.want(Asking, first)
	if !errors.Is(d.m.Status().Err, ErrExpired) || d.asked == 0 {
		t.Errorf("%+v, asked %d times", d.m.Status(), d.asked)
	}
}

func TestFailover(t *testing.T) {
	for name, fail := range map[string]func(d *drive){
		"silent from the beginning": func(d *drive) { d.pass(20 * time.Second) },
		"refused":                   func(d *drive) { d.step(Refused{errors.New("no resources")}) },
		"silent later":              func(d *drive) { d.step(Granted{ports(5), d.now.Add(time.Hour)}); d.step(Silent{}) },
		"without binding, and silent": func(d *drive) {
			d.step(Granted{ports(5), d.now.Add(time.Hour)})
			d.step(Unbound{})
			d.pass(20 * time.Second)
		},
		"no tunnel": func(d *drive) { d.step(Broken{errors.New("no way")}); d.pass(time.Second) },
	} {
		t.Run(name, func(t *testing.T) {
			d := newDrive(t)
			d.step(Offered{[]Offer{offer(first), offer(second)}})
			d.want(Asking, first)
			fail(d)
			d.want(Asking, second)
			d.step(Granted{ports(7), d.now.Add(time.Hour)})
			d.want(Using, second)
			// The first one is asked again when the second one fails.
			d.step(Silent{})
			d.want(Asking, first)
		})
	}
}

func TestOneSilentAFTRKeepsWhatIsValid(t *testing.T) {
	d := newDrive(t)
	d.step(Offered{[]Offer{offer(first)}})
	d.pass(time.Minute)
	d.want(Asking, first)
	d.step(Granted{ports(5), d.now.Add(time.Hour)})
	d.step(Silent{})
	d.want(Using, first)
}

// TestWhatGoesOnIsSaidOnce: a log is for changes.
func TestWhatGoesOnIsSaidOnce(t *testing.T) {
	d := newDrive(t)
	d.step(Offered{[]Offer{offer(first)}})
	said := 0
	for range 10 {
		d.step(Silent{})
		if d.last.Note != "" {
			said++
		}
		d.pass(30 * time.Second)
	}
	d.step(Refused{errors.New("no resources")})
	if said != 1 || d.last.Note == "" {
		t.Errorf("said %d times, then %q", said, d.last.Note)
	}
}

func TestUnboundIsRateLimited(t *testing.T) {
	d := newDrive(t)
	d.step(Offered{[]Offer{offer(first)}})
	again := func() { d.step(Granted{ports(5), d.now.Add(24 * time.Hour)}) }
	again()
	for range 5 {
		d.step(Unbound{})
	}
	d.want(Asking, first)
	if d.asked != 1 {
		t.Fatalf("asked %d times", d.asked)
	}
	again()
	d.want(Using, first)
	// Within an hour of nothing but errors: after 10 s, 20 s, 40 s and so on, at last
	// every 5 minutes.
	d.asked = 0
	for range 3600 {
		d.pass(time.Second)
		d.step(Unbound{})
		if d.m.Status().Phase == Asking {
			again()
		}
	}
	if d.asked < 12 || d.asked > 18 {
		t.Errorf("asked %d times in an hour", d.asked)
	}
	d.pass(20 * time.Minute)
	before := d.asked
	d.step(Unbound{})
	again()
	d.pass(10 * time.Second)
	d.step(Unbound{})
	if d.asked != before+2 {
		t.Error("an error long ago still counts")
	}
}

func TestUnboundWithoutRecovery(t *testing.T) {
	rules := DefaultRules()
	rules.Recover = false
	d := newDrive(t)
	d.m = New(rules)
	d.step(Offered{[]Offer{fixed(first, 5)}})
	d.step(Unbound{})
	d.want(Using, first)
}

// TestUnboundOffer: who made the offer is asked, and if nothing new comes the
// ports are tried again.
func TestUnboundOffer(t *testing.T) {
	d := newDrive(t)
	d.step(Offered{[]Offer{fixed(first, 5)}})
	d.want(Using, first)
	d.step(Unbound{})
	d.want(Asking, first)
	if d.renewed != 1 || d.asked != 0 {
		t.Errorf("renewed %d times, asked %d times", d.renewed, d.asked)
	}
	d.pass(30 * time.Second)
	d.want(Using, first)
	d.pass(time.Minute)
	d.step(Unbound{})
	d.step(Offered{[]Offer{fixed(second, 6)}})
	d.want(Using, second)
}

func TestOffersChange(t *testing.T) {
	d := newDrive(t)
	d.step(Offered{[]Offer{fixed(first, 5)}})
	d.step(Offered{[]Offer{fixed(second, 1), fixed(first, 6)}})
	d.want(Using, first)
	if !d.using.Equal(ports(6)) || d.last.Connect != nil {
		t.Errorf("%+v, using %s", d.last, d.using)
	}
	d.step(Offered{[]Offer{offer(first)}}) // now to be asked for
	d.want(Asking, first)
	d.step(Offered{})
	d.want(Waiting, "")
	limited := fixed(second, 7)
	limited.Until = d.now.Add(time.Minute)
	d.step(Offered{[]Offer{limited}})
	d.want(Using, second)
	d.pass(2 * time.Minute)
	d.want(Waiting, "")
	d.step(Offered{[]Offer{limited}})
	d.want(Waiting, "") // it ended already
}

func TestBrokenTunnelIsTriedAgain(t *testing.T) {
	d := newDrive(t)
	d.step(Offered{[]Offer{offer(first)}})
	begin, tries := d.now, 0
	for d.now.Sub(begin) < 10*time.Minute {
		d.step(Broken{errors.New("no way")})
		d.want(Waiting, "")
		if !d.using.Equal(assign.Ports{}) {
			t.Fatal("in use without a tunnel")
		}
		d.pass(d.m.Next().Sub(d.now))
		d.want(Asking, first)
		tries++
	}
	if tries < 12 || tries > 20 {
		t.Errorf("%d tries in 10 minutes", tries)
	}
}

// TestProperty does random things; consistent looks at each step.
func TestProperty(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	for range 200 {
		d := newDrive(t)
		for range 100 {
			until := d.now.Add(time.Duration(random.IntN(200)) * time.Second)
			var list []Offer
			for range random.IntN(4) {
				o := []Offer{offer(first), offer(second), fixed(first, 5), fixed(second, uint16(random.IntN(3)+5))}[random.IntN(4)]
				if random.IntN(2) == 0 {
					o.Until = until
				}
				list = append(list, o)
			}
			d.step([]Event{
				Offered{list}, Granted{ports(uint16(random.IntN(3) + 1)), until}, Granted{ports(1, 2), time.Time{}},
				Refused{errors.New("refused")}, Silent{}, Unbound{}, Broken{errors.New("broken")}, Tick{},
			}[random.IntN(8)])
			d.pass(time.Duration(random.IntN(40)) * time.Second)
		}
	}
}
