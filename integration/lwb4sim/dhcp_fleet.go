package lwb4sim

import (
	"fmt"
	"time"
)

// DHCPConfig says how a fleet that uses DHCPv6 behaves.
type DHCPConfig struct {
	Population DHCPPopulation
	Impairment Impairment // of the way to the server, and of the way back
	// Timing is DefaultDHCPTiming if it is the zero value.
	Timing DHCPTiming
	// Begin is the time within which all lwB4s begin, each at random.
	Begin time.Duration
}

// DHCPTiming is how long an answer is waited for, the first time (RFC 8415
// section 7.6); then twice as long each time.
type DHCPTiming struct {
	Initial time.Duration // of Solicit, Request and Release
	Renewal time.Duration // of Renew and Rebind
	Maximum time.Duration // of all
}

// DefaultDHCPTiming is that of RFC 8415 for a Request and a Renew.
func DefaultDHCPTiming() DHCPTiming {
	return DHCPTiming{Initial: time.Second, Renewal: 10 * time.Second, Maximum: 30 * time.Second}
}

// DHCPFleet is lwB4s that each want one prefix and one softwire, by DHCPv6, for as
// long as Run runs. Its other methods may be called by any goroutine.
type DHCPFleet struct {
	*engine
	config  DHCPConfig
	clients []dhcpClient
}

// NewDHCPFleet returns a fleet on a link, which the caller closes. The error says
// what in config makes no sense.
func NewDHCPFleet(link Link, config DHCPConfig) (*DHCPFleet, error) {
	if config.Timing == (DHCPTiming{}) {
		config.Timing = DefaultDHCPTiming()
	}
	if err := config.Population.Validate(); err != nil {
		return nil, err
	}
	if err := config.Impairment.Validate(); err != nil {
		return nil, err
	}
	if t := config.Timing; t.Initial <= 0 || t.Renewal <= 0 || t.Maximum < max(t.Initial, t.Renewal) {
		return nil, fmt.Errorf("answers that are waited for for %s and %s, %s at most", t.Initial, t.Renewal, t.Maximum)
	}
	p := config.Population
	f := &DHCPFleet{
		engine:  newEngine(link, config.Impairment, p.Seed, p.Count, config.Begin),
		config:  config,
		clients: make([]dhcpClient, p.Count),
	}
	for i := range f.clients {
		f.clients[i] = dhcpClient{fleet: f, index: i}
	}
	f.wake = func(i int) { f.clients[i].wake() }
	f.deliver = f.hand
	return f, nil
}

// hand gives a packet to the lwB4 that it is for.
func (f *DHCPFleet) hand(packet []byte) {
	i, m, ok := f.config.Population.receive(packet)
	if !ok {
		f.counts.Strays++
		return
	}
	f.counts.Answers++
	if !f.clients[i].receive(m) {
		f.counts.Ignored++
	}
}

// Restart has lwB4 i forget everything but its DUID, and begin again: a CPE whose
// power failed.
func (f *DHCPFleet) Restart(i int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.clients[i].forget()
	f.alarm(i, time.Now())
	f.poke()
}

// Release has lwB4 i give back what it holds, and want nothing any more. The error
// is always nil.
func (f *DHCPFleet) Release(i int) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.now = time.Now()
	f.clients[i].release()
	f.poke()
	return nil
}

// Holdings are those of all lwB4s, in order.
func (f *DHCPFleet) Holdings() []Holding {
	f.mu.Lock()
	defer f.mu.Unlock()
	holdings := make([]Holding, len(f.clients))
	for i := range f.clients {
		holdings[i] = f.clients[i].holding
	}
	return holdings
}
