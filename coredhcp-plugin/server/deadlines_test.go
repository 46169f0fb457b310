package server

import (
	"context"
	"testing"
	"testing/synctest"
	"time"
)

// TestDeadlines: a context ends in time, at most an eighth of it too early, and with
// what it was made for.
func TestDeadlines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDeadlines(800 * time.Millisecond)
		stopped, stop := context.WithCancel(t.Context())
		alive := t.Context()
		for i := range 50 {
			began := time.Now()
			ctx := d.within(alive)
			if i%2 == 0 && d.within(alive) != ctx {
				t.Fatal("who asks at the same moment has another context")
			}
			time.Sleep(time.Duration(i) * 7 * time.Millisecond)
			if i%10 == 0 {
				<-ctx.Done()
				if took := time.Since(began); took > 800*time.Millisecond || took < 700*time.Millisecond {
					t.Errorf("%d: ended after %s", i, took)
				}
			}
		}
		ctx, other := d.within(stopped), d.within(alive)
		stop()
		synctest.Wait()
		if ctx.Err() == nil || other.Err() != nil {
			t.Errorf("a context whose parent has ended: %v, of another parent: %v", ctx.Err(), other.Err())
		}
		<-other.Done()
	})
}
