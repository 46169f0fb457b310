package conformance

import (
	"context"
	"errors"

	"github.com/lwaftr/lw4o6/plugin/dataplane"
)

// healthCases: health and the end of contexts.
func healthCases() []testCase {
	return []testCase{
		{name: "health/present", run: func(l *lab) {
			ctx, cancel := l.patiently()
			defer cancel()
			// A wrong idea of the health is corrected at once.
			for _, known := range []dataplane.Health{
				{},
				{State: dataplane.StateDown, Incarnation: l.health.Incarnation},
				{State: dataplane.StateUp, Incarnation: l.health.Incarnation + 1},
			} {
				h, err := l.dp.WaitHealth(ctx, known)
				if err != nil || !h.Same(l.health) {
					l.Errorf("WaitHealth(%+v) = %+v, %v, want %+v", known, h, err, l.health)
				}
			}
		}},
		{name: "health/wait-ends-with-context", run: func(l *lab) {
			l.ends("WaitHealth", func(ctx context.Context) error {
				_, err := l.dp.WaitHealth(ctx, l.health)
				return err
			})
		}},
		{name: "health/exceptions-end-with-context", run: func(l *lab) {
			l.exceptions() // none is left
			l.ends("Exceptions", func(ctx context.Context) error {
				_, err := l.dp.Exceptions(ctx, make([]dataplane.Exception, 1))
				return err
			})
		}},
		{name: "health/calls-with-ended-context", run: callsWithEndedContext},
		{name: "health/name", run: func(l *lab) {
			first := l.dp.Name()
			if second := l.dp.Name(); first == "" || first != second {
				l.Errorf("names %q, %q: want one that does not change", first, second)
			}
		}},
		{name: "health/state-lost", run: stateLost},
	}
}

// ends requires that call, which has nothing to return, ends with its context.
func (l *lab) ends(name string, call func(context.Context) error) {
	l.Helper()
	ctx, cancel := context.WithCancel(l.Context())
	defer cancel()
	result := make(chan error, 1)
	go func() { result <- call(ctx) }()
	pause, stop := l.patiently()
	defer stop()
	// Give it the time to block; if it has not by then, it must end all the same.
	sleep(pause, maxPause)
	select {
	case err := <-result:
		l.Fatalf("%s returned before its context ended: %v", name, err)
	default:
	}
	cancel()
	select {
	case err := <-result:
		if !errors.Is(err, context.Canceled) {
			l.Errorf("%s: %v, want the context's error", name, err)
		}
	case <-pause.Done():
		l.Fatalf("%s does not end with its context", name)
	}
}

// callsWithEndedContext requires that no call hangs or claims another failure.
func callsWithEndedContext(l *lab) {
	ctx, cancel := context.WithCancel(l.Context())
	cancel()
	calls := map[string]func() error{
		"Configure": func() error { return l.dp.Configure(ctx, network()) },
		"Apply": func() error {
			_, err := l.dp.Apply(ctx, []dataplane.Op{addition(alice())})
			return err
		},
		"Softwires": func() error {
			for _, err := range l.dp.Softwires(ctx) {
				return err
			}
			return nil
		},
		"Counters": func() error {
			_, err := l.dp.Counters(ctx)
			return err
		},
		"SoftwireCounters": func() error {
			for _, err := range l.dp.SoftwireCounters(ctx) {
				return err
			}
			return nil
		},
		"Inject": func() error {
			return l.dp.Inject(ctx, dataplane.SideIPv4, udp4(at(alice()), web, nil).bytes())
		},
	}
	for name, call := range calls {
		result := make(chan error, 1)
		go func() { result <- call() }()
		wait, stop := l.patiently()
		select {
		case err := <-result:
			if err != nil && !errors.Is(err, context.Canceled) {
				l.Errorf("%s with an ended context: %v", name, err)
			}
		case <-wait.Done():
			l.Errorf("%s with an ended context hangs", name)
		}
		stop()
	}
	// Whatever was executed, asking again makes it so.
	l.reset()
	l.put(alice())
	l.flush(dataplane.SideIPv4)
	l.carries(alice())
}

// stateLost requires that a loss shows as a new incarnation, and that everything
// can be programmed again.
func stateLost(l *lab) {
	if l.rig.Lose == nil {
		l.Skipf("Rig.Lose is not set: the rig has no way to lose the data plane's state")
	}
	l.put(alice(), carol())
	ctx, cancel := l.patiently()
	defer cancel()
	if err := l.rig.Lose(ctx); err != nil {
		l.Fatalf("Lose: %v", err)
	}
	before := l.health
	l.waitUp(before)
	if l.health.Incarnation == before.Incarnation {
		l.Errorf("incarnation %d after a loss, as before it", before.Incarnation)
	}
	if left := l.softwires(); len(left) != 0 {
		l.Errorf("after a loss it still reports %v", left)
	}
	l.reset()
	l.flush(dataplane.SideIPv4)
	l.carriesNothing(alice())
	l.put(alice(), carol())
	l.carries(alice())
	l.carries(carol())
	l.holds(alice(), carol())
}
