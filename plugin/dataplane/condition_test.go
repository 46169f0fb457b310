package dataplane

import (
	"context"
	"testing"
	"testing/synctest"
)

// TestCondition: who waits hears of a change that Same sees, of each one even if
// there are several waiting, and of no other.
func TestCondition(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var c Condition
		up := Health{State: StateUp, Incarnation: 1}
		heard := make(chan Health, 2)
		for range 2 {
			go func() {
				h, err := c.Wait(context.Background(), Health{})
				if err != nil {
					t.Errorf("Wait: %v", err)
				}
				heard <- h
			}()
		}
		synctest.Wait()
		if c.Set(Health{Reason: "a word"}) {
			t.Error("another reason differs in more than words")
		}
		synctest.Wait()
		if len(heard) != 0 {
			t.Error("a change of words ends a Wait")
		}
		if !c.Set(up) {
			t.Error("another state differs in words only")
		}
		for range 2 {
			if h := <-heard; h != up {
				t.Errorf("heard %+v", h)
			}
		}
		if c.Get() != up {
			t.Errorf("Get: %+v", c.Get())
		}
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		if _, err := c.Wait(ctx, up); err == nil {
			t.Error("Wait returns without a change")
		}
	})
}
