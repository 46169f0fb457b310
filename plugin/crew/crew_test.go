package crew

import (
	"sync/atomic"
	"testing"
	"testing/synctest"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// TestCrew: jobs are done at the same time, by no more than there may be and by
// those that are there already, and the end waits for them.
func TestCrew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var done atomic.Int64
		proceed := make(chan struct{})
		c := New(3, func(int) {
			<-proceed
			done.Add(1)
		})
		give := func(n int) {
			t.Helper()
			for range n {
				c.Give(0)
			}
			synctest.Wait()
		}
		give(2)
		if c.members != 2 {
			t.Fatalf("%d members for 2 jobs at a time", c.members)
		}
		proceed <- struct{}{}
		synctest.Wait()
		give(1)
		if c.members != 2 || done.Load() != 1 {
			t.Fatalf("%d members where one was idle, and %d jobs done", c.members, done.Load())
		}
		give(1)
		given := make(chan struct{})
		go func() { give(1); close(given) }()
		synctest.Wait()
		select {
		case <-given:
			t.Fatal("a fourth job was taken at a time")
		default:
		}
		close(proceed)
		<-given
		c.End()
		if c.members != 3 || done.Load() != 5 {
			t.Errorf("%d members did %d jobs; want 3 and 5", c.members, done.Load())
		}
	})
}
