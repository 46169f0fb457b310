package lwb4sim

import (
	"errors"
	"time"

	"github.com/lwaftr/lw4o6/pcp/client"
)

// FleetConfig says how a fleet that uses PCP behaves.
type FleetConfig struct {
	Population Population
	Impairment Impairment // of the way to the server, and of the way back
	// Timing is client.DefaultTiming if it is the zero value.
	Timing client.Timing
	// Begin is the time within which all lwB4s begin, each at random.
	Begin time.Duration
}

// pcpFleet is a Fleet of lwb4.
type pcpFleet struct {
	*Fleet
	config FleetConfig
}

// NewFleet returns a fleet that uses PCP on a link, which the caller closes. The
// error says what in config makes no sense.
func NewFleet(link Link, config FleetConfig) (*Fleet, error) {
	if config.Timing == (client.Timing{}) {
		config.Timing = client.DefaultTiming()
	}
	if err := errors.Join(config.Population.Validate(), config.Impairment.Validate(), config.Timing.Validate()); err != nil {
		return nil, err
	}
	p := config.Population
	f := &pcpFleet{emptyFleet(link, config.Impairment, p.Seed, p.Count, config.Begin), config}
	all := make([]lwb4, p.Count)
	for i := range all {
		all[i] = lwb4{fleet: f, index: i}
		f.lwb4s[i] = &all[i]
	}
	f.deliver = func(packet []byte) bool {
		i, d, ok := p.receive(packet)
		if ok {
			all[i].receive(d)
		}
		return ok
	}
	return f.Fleet, nil
}
