package pcp

import (
	"sync"

	"github.com/lwaftr/lw4o6/pcp/pcpmsg"
)

// Counts is what was answered since the server was made.
type Counts struct {
	Answered map[pcpmsg.ResultCode]uint64
	Dropped  uint64 // requests that were not answered
	Unsent   uint64 // answers that could not be sent
}

type counts struct {
	mu      sync.Mutex
	results [256]uint64
	dropped uint64
	failed  uint64
}

func (c *counts) answered(r pcpmsg.ResultCode) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.results[r]++
}

func (c *counts) drop() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.dropped++
}

func (c *counts) unsent() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.failed++
}

// Counts are those up to now.
func (s *Server) Counts() Counts {
	s.counts.mu.Lock()
	defer s.counts.mu.Unlock()
	c := Counts{Answered: make(map[pcpmsg.ResultCode]uint64), Dropped: s.counts.dropped, Unsent: s.counts.failed}
	for result, n := range s.counts.results {
		if n > 0 {
			c.Answered[pcpmsg.ResultCode(result)] = n
		}
	}
	return c
}
