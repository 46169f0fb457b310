package conformance

import (
	"context"
	"testing"

	"github.com/lwaftr/lw4o6/plugin/store"
)

// Place is somewhere a store keeps things. It opens what is kept there, as after
// a restart: Run of the store that it opened before has returned, and its close
// was called.
type Place func(t *testing.T) (opened store.Store, closeStore func() error)

// Run runs the suite. Each case has a new place where nothing is kept yet.
func Run(t *testing.T, newPlace func(t *testing.T) Place) {
	cases := map[string]func(t *testing.T, place Place){
		"empty":                     empty,
		"leases last":               leasesLast,
		"last change counts":        lastChangeCounts,
		"values last":               valuesLast,
		"caller keeps its bytes":    callerKeepsBytes,
		"all or nothing":            allOrNothing,
		"conditions":                conditions,
		"one of many wins":          oneOfManyWins,
		"many callers":              manyCallers,
		"batches that nobody takes": invalid,
		"context":                   contexts,
		"before Run":                beforeRun,
		"closed":                    closed,
		"outbox order":              outboxOrder,
		"outbox waits":              outboxWaits,
		"outbox survives":           outboxSurvives,
		"random":                    random,
	}
	for name, run := range cases {
		t.Run(name, func(t *testing.T) { run(t, newPlace(t)) })
	}
}

// start opens a store and runs it. stop ends it, and is called by the test's
// cleanup if the test has not called it.
func start(t *testing.T, place Place) (opened store.Store, stop func()) {
	t.Helper()
	opened, closeStore := place(t)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- opened.Run(ctx) }()
	stopped := false
	stop = func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Run: %v", err)
		}
		if err := closeStore(); err != nil {
			t.Errorf("close: %v", err)
		}
	}
	t.Cleanup(stop)
	return opened, stop
}

// restart is start after stop.
func restart(t *testing.T, place Place, stop func()) (opened store.Store, stopAgain func()) {
	t.Helper()
	stop()
	return start(t, place)
}

// commit is Commit that must succeed.
func commit(t *testing.T, s store.Store, batch store.Batch) {
	t.Helper()
	if err := s.Commit(t.Context(), batch); err != nil {
		t.Fatalf("Commit: %v", err)
	}
}
