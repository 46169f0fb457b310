package lwb4sim

import (
	"time"

	"github.com/lwaftr/lw4o6/pcp/client"
)

// FleetConfig says how a fleet behaves.
type FleetConfig struct {
	Population Population
	Impairment Impairment // of the way to the server, and of the way back
	// Timing is client.DefaultTiming if it is the zero value.
	Timing client.Timing
	// Begin is the time within which all lwB4s begin, each at random.
	Begin time.Duration
}

// Fleet is lwB4s that each want one port set, by PCP, for as long as Run runs.
// Its other methods may be called by any goroutine.
type Fleet struct {
	*engine
	config FleetConfig
	lwb4s  []lwb4
}

// NewFleet returns a fleet on a link, which the caller closes. The error says
// what in config makes no sense.
func NewFleet(link Link, config FleetConfig) (*Fleet, error) {
	if config.Timing == (client.Timing{}) {
		config.Timing = client.DefaultTiming()
	}
	if err := config.Population.Validate(); err != nil {
		return nil, err
	}
	if err := config.Impairment.Validate(); err != nil {
		return nil, err
	}
	if err := config.Timing.Validate(); err != nil {
		return nil, err
	}
	p := config.Population
	f := &Fleet{
		engine: newEngine(link, config.Impairment, p.Seed, p.Count, config.Begin),
		config: config,
		lwb4s:  make([]lwb4, p.Count),
	}
	for i := range f.lwb4s {
		f.lwb4s[i] = lwb4{fleet: f, index: i}
	}
	f.wake = func(i int) { f.lwb4s[i].wake() }
	f.deliver = f.hand
	return f, nil
}

// hand gives a packet to the lwB4 that it is for.
func (f *Fleet) hand(packet []byte) {
	i, d, ok := f.config.Population.receive(packet)
	if !ok {
		f.counts.Strays++
		return
	}
	f.counts.Answers++
	f.lwb4s[i].receive(d)
}

// Restart has lwB4 i forget everything, its nonce too, and begin again: a CPE
// whose power failed.
func (f *Fleet) Restart(i int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.lwb4s[i].restart()
	f.alarm(i, time.Now())
	f.poke()
}

// Release has lwB4 i delete its port set, and want none any more.
func (f *Fleet) Release(i int) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.now = time.Now()
	err := f.lwb4s[i].release()
	f.poke()
	return err
}

// Holdings are those of all lwB4s, in order.
func (f *Fleet) Holdings() []Holding {
	f.mu.Lock()
	defer f.mu.Unlock()
	holdings := make([]Holding, len(f.lwb4s))
	for i := range f.lwb4s {
		s := &f.lwb4s[i].status
		h := Holding{LwB4: f.config.Population.Address(i), Err: s.Err}
		if s.Held {
			if set, err := s.Grant.PortSet(); err != nil {
				h.Err = err
			} else {
				h.Held, h.IPv4, h.PortSet = true, s.Grant.External, set
			}
		}
		holdings[i] = h
	}
	return holdings
}
