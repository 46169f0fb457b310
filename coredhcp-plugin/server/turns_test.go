package server

import (
	"context"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

// TestTurns: who waits gets a turn in order, those that come first before the
// others.
func TestTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		turns := newTurns(2, 10, time.Second)
		for range 2 {
			if !turns.take(t.Context(), false) {
				t.Fatal("no turn though two are free")
			}
		}
		served := make(chan string, 10)
		for _, one := range []struct {
			name  string
			first bool
		}{{"solicit 1", false}, {"solicit 2", false}, {"request 1", true}, {"solicit 3", false}, {"request 2", true}} {
			go func() {
				if turns.take(t.Context(), one.first) {
					served <- one.name
				}
			}()
			synctest.Wait()
		}
		var order []string
		for range cap(served) / 2 {
			turns.pass()
			order = append(order, <-served)
		}
		if want := []string{"request 1", "request 2", "solicit 1", "solicit 2", "solicit 3"}; !slices.Equal(order, want) {
			t.Errorf("%q, want %q", order, want)
		}
		turns.pass()
		turns.pass()
		if turns.free != 2 || turns.room != 10 {
			t.Errorf("%d free and room for %d afterwards", turns.free, turns.room)
		}
	})
}

// TestTurnsRunOut: nobody waits for longer than is of use, or where there is no
// room, and what was given up is nobody's.
func TestTurnsRunOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		turns := newTurns(1, 2, 300*time.Millisecond)
		if !turns.take(t.Context(), true) {
			t.Fatal("no turn")
		}
		gone, cancel := context.WithCancel(t.Context())
		answers := make(chan bool, 2)
		began := time.Now()
		go func() { answers <- turns.take(gone, true) }()
		synctest.Wait()
		go func() { answers <- turns.take(t.Context(), false) }()
		synctest.Wait()
		if turns.take(t.Context(), true) || time.Since(began) > 0 {
			t.Errorf("a third one waited for %s", time.Since(began))
		}
		cancel()
		if <-answers || time.Since(began) > 0 {
			t.Errorf("who has gone had a turn, or was awaited for %s", time.Since(began))
		}
		if <-answers || time.Since(began) != 300*time.Millisecond {
			t.Errorf("a turn after %s though nobody passed one", time.Since(began))
		}
		turns.pass()
		if turns.free != 1 || turns.room != 2 {
			t.Errorf("%d free and room for %d afterwards", turns.free, turns.room)
		}
	})
}
