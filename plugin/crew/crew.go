package listen

import (
	"net/netip"
	"sync"
)

// job is a datagram to answer.
type job struct {
	datagram []byte
	from     netip.AddrPort
}

// crew is goroutines that do jobs, as many as were needed at the same time so far:
// one that is new has to grow its stack first, which costs as much as an answer.
type crew struct {
	do      func(job)
	most    int
	jobs    chan job
	members int
	working sync.WaitGroup
}

func newCrew(most int, do func(job)) *crew {
	return &crew{do: do, most: most, jobs: make(chan job)}
}

// give has somebody do j. It waits while all that there may be are busy.
func (c *crew) give(j job) {
	select {
	case c.jobs <- j:
		return
	default:
	}
	if c.members == c.most {
		c.jobs <- j
		return
	}
	c.members++
	c.working.Go(func() {
		c.do(j)
		for j := range c.jobs {
			c.do(j)
		}
	})
}

// end waits for what is being done. Nothing is given any more.
func (c *crew) end() {
	close(c.jobs)
	c.working.Wait()
}
