package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"time"

	"github.com/lwaftr/lw4o6/plugin/softwire"
	"github.com/lwaftr/lw4o6/vppdrv/vpptest"
)

// vppScale is how large the measurements on VPP are.
type vppScale struct {
	bindings    int
	fewBindings int
	flows       int // packets of different flows, at most
	rateTime    time.Duration
	churnTime   time.Duration
	changes     int // softwires per second that change
	splits      int // and that are split, which takes VPP more
	load        int // packets per second, each way and of each class
	hugePages   bool
}

// vppLab has the one VPP that the figures about VPP share. Two at a time would
// share the cores.
type vppLab struct {
	vppScale
	say   func(format string, args ...any)
	all   []softwire.Softwire
	pages hugePages
	until time.Time // when it gives up

	router *router // nil while there is none
	size   int     // with how many softwires it began
	took   float64 // seconds to program them
}

// vppLimit bounds everything on VPP, which takes about half of it on two idle
// cores.
const vppLimit = 5 * time.Minute

// vpp measures the data plane on VPP: how long it takes to program it, what
// happens to packets meanwhile, and how much of the MAP plugin's own rate is
// left.
func (s scale) vpp(context.Context) ([]spec, func() error, error) {
	if _, err := vpptest.Find(); err != nil {
		return nil, nil, fmt.Errorf("%w: %w", errSkip, err)
	}
	if os.Geteuid() != 0 {
		return nil, nil, fmt.Errorf("%w: VPP needs root", errSkip)
	}
	if runtime.NumCPU() < 2 {
		return nil, nil, fmt.Errorf("%w: VPP's worker needs a core besides that of its main thread", errSkip)
	}
	all, err := makeBindings(s.onVPP.bindings)
	if err != nil {
		return nil, nil, err
	}
	l := &vppLab{vppScale: s.onVPP, say: s.say, all: all, until: time.Now().Add(vppLimit)}
	if l.hugePages {
		if l.pages, err = claimHugePages(heapPages); err != nil {
			l.say("VPP without huge pages: %v", err)
		} else {
			l.say("VPP with huge pages of 2 MiB for its heap and its buffers")
		}
	}
	many, few := len(all), min(l.fewBindings, len(all))
	const bare, before = "MAP plugin on bare interfaces", "programmed first"
	specs := []spec{
		{name: "vpp-encapsulate-1k", unit: "Mpps/worker", ours: l.rate(few, ours4), peer: bare, theirs: l.rate(few, bare4)},
		{name: "vpp-decapsulate-1k", unit: "Mpps/worker", ours: l.rate(few, ours6), peer: bare, theirs: l.rate(few, bare6)},
		{name: "vpp-program-1M", unit: "s", ours: l.program, peer: "govpp stream, 1024 in flight", theirs: l.programPlainly, once: true},
		{name: "vpp-resync-1M", unit: "s", ours: l.resync, peer: before, theirs: l.programmed, once: true},
		{name: "vpp-encapsulate-1M", unit: "Mpps/worker", ours: l.rate(many, ours4), peer: bare, theirs: l.rate(many, bare4)},
		{name: "vpp-decapsulate-1M", unit: "Mpps/worker", ours: l.rate(many, ours6), peer: bare, theirs: l.rate(many, bare6)},
	}
	changing := &churn{lab: l, name: "churn", pace: l.changes, kinds: []changeKind{goes, moves, moves, moves}}
	splitting := &churn{lab: l, name: "split", pace: l.splits, place: 1, kinds: []changeKind{splits}}
	specs = append(append(specs, changing.specs()...), splitting.specs()...)
	for i := range specs {
		specs[i].ours, specs[i].theirs = l.afresh(specs[i].ours), l.afresh(specs[i].theirs)
	}
	return specs, l.close, nil
}

// afresh lets the next figure begin with another VPP if m fails, until the time
// is over.
func (l *vppLab) afresh(m measure) measure {
	return func(ctx context.Context) (float64, error) {
		ctx, cancel := context.WithDeadline(ctx, l.until)
		defer cancel()
		v, err := m(ctx)
		if err != nil {
			err = errors.Join(err, l.end())
		}
		return v, err
	}
}

// config is that of every VPP.
func (l *vppLab) config() vpptest.Config {
	return vpptest.Config{Workers: 1, Busy: true, Heap: heapSize, Statistic: "256M", HugePages: l.pages.claimed}
}

// with returns a router that began with the first n softwires.
func (l *vppLab) with(ctx context.Context, n int) (*router, error) {
	if l.router != nil && l.size == n {
		return l.router, nil
	}
	if err := l.end(); err != nil {
		return nil, err
	}
	r, err := startRouter(ctx, l.config())
	if err != nil {
		return nil, err
	}
	l.router, l.size = r, n
	if err := r.table.Apply(softwire.Change{Put: l.all[:n]}); err != nil {
		return nil, err
	}
	l.took, err = seconds(func() error { return r.program(ctx) })
	return r, err
}

// seconds is how long f takes.
func seconds(f func() error) (float64, error) {
	start := time.Now()
	err := f()
	return time.Since(start).Seconds(), err
}

// program measures the seconds from a VPP without softwires to one that has all
// of them, as reading it back shows.
func (l *vppLab) program(ctx context.Context) (float64, error) {
	if err := l.end(); err != nil {
		return 0, err
	}
	return l.programmed(ctx)
}

// programmed is what program measured last.
func (l *vppLab) programmed(ctx context.Context) (float64, error) {
	_, err := l.with(ctx, len(l.all))
	return l.took, err
}

// programPlainly measures the seconds that the same takes without the driver,
// and without reading back.
func (l *vppLab) programPlainly(ctx context.Context) (took float64, err error) {
	if err := l.end(); err != nil {
		return 0, err
	}
	err = loadPlainly(ctx, l.config(), func(p *plainLoader) (err error) {
		took, err = seconds(func() error { return p.load(l.all) })
		return err
	})
	if err == nil {
		l.say("govpp stream: %.0f rules/s", float64(len(l.all))/took)
	}
	return took, err
}

// resync measures the seconds from when a new VPP answers, in place of one that
// was killed, to when it is found to have all softwires.
func (l *vppLab) resync(ctx context.Context) (float64, error) {
	r, err := l.with(ctx, len(l.all))
	if err != nil {
		return 0, err
	}
	if err := r.killVPP(); err != nil {
		return 0, err
	}
	return seconds(func() error { return r.verified(ctx, time.Now()) })
}

// rate measures packets into one interface, with n softwires.
func (l *vppLab) rate(n int, from string) measure {
	return func(ctx context.Context) (float64, error) {
		r, err := l.with(ctx, n)
		if err != nil {
			return 0, err
		}
		if r.streams == nil {
			if err := r.generate(l.all[:n], l.flows); err != nil {
				return 0, err
			}
		}
		return r.streams[from].rate(ctx, l.rateTime)
	}
}

// end ends the router, if there is one.
func (l *vppLab) end() error {
	if l.router == nil {
		return nil
	}
	err := l.router.close()
	l.router = nil
	return err
}

func (l *vppLab) close() error { return errors.Join(l.end(), l.pages.release()) }
