package lwb4sim

import (
	"errors"
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

// dhcpFleet is a Fleet of dhcpClient.
type dhcpFleet struct {
	*Fleet
	config DHCPConfig
}

// NewDHCPFleet returns a fleet that uses DHCPv6 on a link, which the caller closes.
// Its lwB4s want a prefix besides. The error says what in config makes no sense.
func NewDHCPFleet(link Link, config DHCPConfig) (*Fleet, error) {
	if config.Timing == (DHCPTiming{}) {
		config.Timing = DefaultDHCPTiming()
	}
	if err := errors.Join(config.Population.Validate(), config.Impairment.Validate()); err != nil {
		return nil, err
	}
	if t := config.Timing; t.Initial <= 0 || t.Renewal <= 0 || t.Maximum < max(t.Initial, t.Renewal) {
		return nil, fmt.Errorf("answers that are waited for for %s and %s, %s at most", t.Initial, t.Renewal, t.Maximum)
	}
	p := config.Population
	f := &dhcpFleet{emptyFleet(link, config.Impairment, p.Seed, p.Count, config.Begin), config}
	all := make([]dhcpClient, p.Count)
	for i := range all {
		all[i] = dhcpClient{fleet: f, index: i}
		f.lwb4s[i] = &all[i]
	}
	f.deliver = func(packet []byte) bool {
		i, m, ok := p.receive(packet)
		if ok && !all[i].receive(m) {
			f.counts.Ignored++
		}
		return ok
	}
	return f.Fleet, nil
}
