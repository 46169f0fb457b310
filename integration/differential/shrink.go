package differential

import "slices"

// Shrink returns the smallest Scenario that it finds by leaving packets out
// while differs holds. It holds for s.
func Shrink(s *Scenario, differs func(*Scenario) bool) *Scenario {
	// A packet in a batch of its own is easier to understand, if it still does.
	if apart := separated(s); differs(apart) {
		s = apart
	}
	for size := max(1, len(s.Batches)/2); ; size /= 2 {
		for at := len(s.Batches) - size; at >= 0; at -= size {
			if try := without(s, at, size); differs(try) {
				s = try
			}
		}
		if size == 1 {
			return inBatches(s, differs)
		}
	}
}

// separated is s with every packet in a batch of its own.
func separated(s *Scenario) *Scenario {
	c := *s
	c.Batches = nil
	for _, b := range s.Batches {
		for i, p := range b.Packets {
			one := Batch{Packets: []Packet{p}}
			if i == 0 {
				one.After, one.Change = b.After, b.Change
			}
			c.Batches = append(c.Batches, one)
		}
	}
	return &c
}

// without is s without the packets of n batches from one on. Time passes and
// changes are made all the same.
func without(s *Scenario, from, n int) *Scenario {
	c := *s
	c.Batches = slices.Clone(s.Batches)
	var passed Batch
	for _, b := range c.Batches[from : from+n] {
		passed.After += b.After
		if b.Change != nil {
			passed.Change = b.Change
		}
	}
	if from+n < len(c.Batches) {
		next := &c.Batches[from+n]
		next.After += passed.After
		if next.Change == nil {
			next.Change = passed.Change
		}
	}
	c.Batches = slices.Delete(c.Batches, from, from+n)
	return &c
}

// inBatches leaves packets out of batches that have several.
func inBatches(s *Scenario, differs func(*Scenario) bool) *Scenario {
	for i := range s.Batches {
		for j := len(s.Batches[i].Packets) - 1; j >= 0 && len(s.Batches[i].Packets) > 1; j-- {
			c := *s
			c.Batches = slices.Clone(s.Batches)
			c.Batches[i].Packets = slices.Delete(slices.Clone(s.Batches[i].Packets), j, j+1)
			if differs(&c) {
				s = &c
			}
		}
	}
	return s
}
