package announce

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// seedFlag repeats the property test with the seed that a failure printed.
var seedFlag = flag.Uint64("seed", 0, "seed of the property test; 0 for others each time")

// TestInvariant (I4): whatever happens, in whatever order, what is announced is
// what may be.
func TestInvariant(t *testing.T) {
	runs := 150
	seed := *seedFlag
	if seed != 0 {
		runs = 1
	}
	var announced, withdrawn, held int
	for range runs {
		if *seedFlag == 0 {
			seed = rand.Uint64()
		}
		w := newWorld(rand.New(rand.NewPCG(seed, 0)))
		var story []string
		for range 60 {
			story = append(story, fmt.Sprintf("%s %s", w.now.Format("15:04:05"), w.event()))
			w.pass(time.Duration(w.rng.IntN(120)) * time.Second)
			if w.fault != "" {
				t.Fatalf("seed %d: %s\n%v", seed, w.fault, story)
			}
			announced += len(w.out)
			for _, p := range w.gate.pools {
				withdrawn += int(p.withdrawals)
				held += int(p.holds)
			}
		}
	}
	// A test in which nothing happens shows nothing.
	if runs > 1 && (announced == 0 || withdrawn == 0 || held == 0) {
		t.Errorf("announced %d, withdrawn %d, held %d", announced, withdrawn, held)
	}
}

// step has the gate decide and judges what it puts out.
func (w *world) step() {
	f := w.facts
	gone := !f.forwarding || w.lost
	if w.lost = false; gone {
		w.lastDown = w.now
	}
	for _, p := range w.pools {
		if from, was := w.overFrom[p.Name]; !w.missing(p.Name) {
			delete(w.overFrom, p.Name)
		} else if !was || from.After(w.now) {
			w.overFrom[p.Name] = w.now
		}
	}
	d := w.gate.step(w.now, f)
	if d.set == nil {
		if w.told {
			w.fault = "nothing is known any more"
		}
		return
	}
	for _, a := range d.set {
		w.judge(a)
	}
	if gone && len(d.set) > 0 {
		w.fault = "announced though nothing is forwarded"
	}
	w.judgePools(d.set)
	w.out, w.told = d.set, true
}

// judge looks at one route that is out.
func (w *world) judge(a Announcement) {
	f := w.facts
	for _, name := range a.Pools {
		if w.drained[name] && w.was[name] && !a.Drain {
			w.fault = fmt.Sprintf("%s of %s is announced as if it were not drained", a.Prefix, name)
		}
		if since, over := w.overFrom[name]; over && w.was[name] && w.now.Sub(since) >= w.config.UnprogrammedFor {
			w.fault = fmt.Sprintf("%s is announced, and too much of %s has been missing for %s", a.Prefix, name, w.now.Sub(since))
		}
	}
	if w.has(w.out, a.Prefix) {
		return
	}
	complete := true
	for _, name := range a.Pools {
		c := f.pools[name]
		complete = complete && c.desired == c.programmed
		if w.missing(name) && a.Prefix.Addr().Is4() {
			w.fault = fmt.Sprintf("%s appears, and too much of %s is missing", a.Prefix, name)
		}
	}
	if !w.admitted[a.Prefix] && (!complete || !f.settled) {
		w.fault = fmt.Sprintf("%s is announced for the first time, and not everything is programmed", a.Prefix)
	}
	if f.verified.Before(w.lastDown) {
		w.fault = fmt.Sprintf("%s appears before the data plane was verified", a.Prefix)
	}
	w.admitted[a.Prefix] = true
}

// judgePools looks at what came, stayed and went.
func (w *world) judgePools(set []Announcement) {
	for _, p := range w.pools {
		prefix := p.Prefixes[0]
		before, now := w.has(w.out, prefix), w.has(set, prefix)
		switch {
		case before && !now:
			over, is := w.overFrom[p.Name]
			tooLong := is && w.now.Sub(over) >= w.config.UnprogrammedFor
			if w.told && !w.drained[p.Name] && !w.lastDown.Equal(w.now) && !tooLong {
				w.fault = fmt.Sprintf("%s is withdrawn for nothing", p.Name)
			}
			// What went with a router that was stopped was not lost.
			w.lossLeft[p.Name] = !w.drained[p.Name] && (w.told || !w.stopped)
		case now && !before:
			if w.was[p.Name] && w.lossLeft[p.Name] && w.told {
				w.returns[p.Name] = append(w.returns[p.Name], w.now)
			}
			recent := slices.DeleteFunc(w.returns[p.Name], func(t time.Time) bool { return w.now.Sub(t) >= w.config.FlapWindow })
			if w.returns[p.Name] = recent; len(recent) > w.config.FlapLimit {
				w.fault = fmt.Sprintf("%s came back %d times", p.Name, len(recent))
			}
			w.was[p.Name] = true
		}
	}
	// A BR address draws packets only while all its pools do that were ever out.
	for _, a := range set {
		for _, p := range w.pools {
			if a.Prefix.Addr() == p.BR && w.was[p.Name] && !w.has(set, p.Prefixes[0]) {
				w.fault = fmt.Sprintf("%s is announced without pool %s", a.Prefix, p.Name)
			}
		}
	}
}
