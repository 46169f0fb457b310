package pcp

import (
	"sync/atomic"

	"github.com/lwaftr/lw4o6/pcp/pcpmsg"
)

// Counts is what was answered since the server was made.
type Counts struct {
	Answered map[pcpmsg.ResultCode]uint64
	Dropped  uint64 // requests that were not answered
	Unsent   uint64 // answers that could not be sent
}

type counts struct {
	results [256]atomic.Uint64
	dropped atomic.Uint64
	failed  atomic.Uint64
}

func (c *counts) answered(r pcpmsg.ResultCode) { c.results[r].Add(1) }

func (c *counts) drop() { c.dropped.Add(1) }

func (c *counts) unsent(n int) { c.failed.Add(uint64(n)) }

// Counts are those up to now.
func (s *Server) Counts() Counts {
	c := Counts{Answered: make(map[pcpmsg.ResultCode]uint64), Dropped: s.counts.dropped.Load(), Unsent: s.counts.failed.Load()}
	for result := range s.counts.results {
		if n := s.counts.results[result].Load(); n > 0 {
			c.Answered[pcpmsg.ResultCode(result)] = n
		}
	}
	return c
}
