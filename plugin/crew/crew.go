// Package crew owns goroutines that do jobs which may wait: as many as were needed at
// the same time so far. They stay, since one that is new has to grow its stack first,
// which may cost as much as the job.
package crew

import "sync"

// Crew does jobs. Its methods are for one goroutine.
type Crew[Job any] struct {
	do      func(Job)
	most    int
	jobs    chan Job
	members int
	working sync.WaitGroup
}

// New returns a Crew of at most most goroutines, none of which it starts, that do jobs
// by do.
func New[Job any](most int, do func(Job)) *Crew[Job] {
	return &Crew[Job]{do: do, most: most, jobs: make(chan Job)}
}

// Give has somebody do a job. It waits while all that there may be are busy.
func (c *Crew[Job]) Give(job Job) {
	select {
	case c.jobs <- job:
		return
	default:
	}
	if c.members == c.most {
		c.jobs <- job
		return
	}
	c.members++
	c.working.Go(func() {
		c.do(job)
		for job := range c.jobs {
			c.do(job)
		}
	})
}

// End waits for what is being done. Nothing is given any more.
func (c *Crew[Job]) End() {
	close(c.jobs)
	c.working.Wait()
}
