package client

import (
	"encoding/binary"
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"

	"github.com/lwaftr/lw4o6/pcp/pcpmsg"
)

// FuzzSteps has any events happen in any order, and holds the mapping against
// what must be so after each of them.
func FuzzSteps(f *testing.F) {
	for seed := range uint64(8) {
		random := rand.New(rand.NewPCG(seed, seed))
		script := make([]byte, 120)
		for i := range script {
			script[i] = byte(random.Uint32())
		}
		f.Add(script, seed, uint8(seed%3), seed%2 == 0)
	}
	f.Fuzz(func(t *testing.T, script []byte, seed uint64, servers uint8, renew bool) {
		random := rand.New(rand.NewPCG(seed, 1))
		rules := &Rules{Want: softwireWant(), Servers: 1 + int(servers%3), Timing: DefaultTiming(), Renew: renew, Random: random.Float64}
		p := prober{T: t, rules: rules, m: NewMapping(rules, 0), now: storyBegins}
		p.step(Tick{})
		for len(script) >= 3 {
			p.now = p.now.Add(time.Duration(binary.BigEndian.Uint16(script[1:])) * 10 * time.Millisecond)
			// What is due is never passed over.
			for next := p.m.Next(); !next.IsZero() && !next.After(p.now); next = p.m.Next() {
				p.step(Tick{})
			}
			p.step(p.event(script[0]))
			script = script[3:]
		}
	})
}

// prober steps a mapping and checks each step.
type prober struct {
	*testing.T
	rules    *Rules
	m        Mapping
	now      time.Time
	lastSent time.Time
	steps    int
}

func (p *prober) event(b byte) Event {
	server := int(b>>4) % p.rules.Servers
	r := grantResponse(&p.rules.Want, netip.AddrPortFrom(testSet.Addr(), uint16(b)<<8), 1<<(b>>4%12), time.Duration(b)*time.Second)
	switch b % 8 {
	case 0, 1, 2:
		return Answer{Server: server, Response: &r}
	case 3:
		r.Result = pcpmsg.ResultCode(b >> 3)
		return Answer{Server: server, Response: &r}
	case 4:
		return OtherVersion{Server: server, Err: &pcpmsg.VersionError{Lifetime: uint32(b)}}
	case 5:
		return Unreachable{Server: server}
	case 6:
		if b > 240 {
			return Release{}
		}
		return StateLost{Server: server}
	}
	return Tick{NotBefore: p.now.Add(time.Duration(b) * time.Second)}
}

func (p *prober) step(e Event) {
	before := p.m
	var action Action
	p.m, action = before.Step(p.now, e)
	s, next := p.m.Status(), p.m.Next()
	if p.steps++; p.steps > 100000 {
		p.Fatal("it does not come to rest")
	}
	if s.Held && (s.Grant.Ports == 0 || s.Grant.Lifetime <= 0 || s.Expires.After(p.now.Add(p.rules.Timing.Longest))) {
		p.Fatalf("held: %+v", s)
	}
	if s.Held && next.After(s.Expires) {
		p.Fatalf("sleeps %s over its end", next.Sub(s.Expires))
	}
	if _, tick := e.(Tick); tick && s.Held && !s.Expires.After(p.now) {
		p.Fatalf("held for %s too long", p.now.Sub(s.Expires))
	}
	if s.Closed != next.IsZero() {
		p.Fatalf("closed is %v and the next step at %s", s.Closed, next)
	}
	if s.Closed && (s.Held || action.Send) || before.Status().Closed && p.m != before {
		p.Fatalf("closed: %+v, %+v", s, action)
	}
	if _, tick := e.(Tick); tick && !s.Closed && !next.After(p.now) {
		p.Fatalf("due again at once after %+v", e)
	}
	if before.Status().Held != s.Held && !action.Report {
		p.Fatal("a change that is not reported")
	}
	if !action.Send {
		return
	}
	// RFC 6887 section 11.2.1, for renewals that no other event calls for.
	if _, tick := e.(Tick); tick && before.phase == phaseHolding && s.Held && p.now.Sub(p.lastSent) < 4*time.Second {
		p.Fatalf("a renewal %s after another request", p.now.Sub(p.lastSent))
	}
	p.lastSent = p.now
	r, err := pcpmsg.ParseRequest(p.m.AppendRequest(nil, testB4))
	if err != nil || r.Mapping.Nonce != testNonce || (r.Lifetime == 0) != p.m.deletion {
		p.Fatalf("sends %+v, %v", r, err)
	}
}
