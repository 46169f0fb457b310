package pcp

import (
	"net/netip"
	"sync"
	"time"

	"github.com/lwaftr/lw4o6/pcp/pcpmsg"
	"github.com/lwaftr/lw4o6/plugin/portset"
)

// place is a port set of an address.
type place struct {
	ipv4 netip.Addr
	set  portset.PortSet
}

func placeOf(b Binding) place { return place{b.IPv4, b.PortSet} }

// moves remembers when the tunnel address of a port set changed last. It forgets
// what is older than the interval, and knows nothing after a restart.
type moves struct {
	mu   sync.Mutex
	last map[place]time.Time
	next time.Time // when to forget
}

// allow refuses to move a binding again so soon (RFC 7785 section 4).
func (m *moves) allow(lwb4 netip.Addr, touched []Binding, now time.Time, interval time.Duration) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.forget(now, interval)
	for _, b := range touched {
		if b.LwB4 == lwb4 {
			continue
		}
		if last, ok := m.last[place{b.IPv4, b.PortSet}]; ok && now.Sub(last) < interval {
			return &refusal{
				pcpmsg.Fault{Result: pcpmsg.NotAuthorized, Reason: "the tunnel address changed not long ago"},
				interval - now.Sub(last),
			}
		}
	}
	return nil
}

// note remembers that a binding has moved, if it has.
func (m *moves) note(b Binding, before []Binding, now time.Time) {
	for _, old := range before {
		if old.IPv4 == b.IPv4 && old.PortSet == b.PortSet && old.LwB4 != b.LwB4 {
			m.mu.Lock()
			m.last[place{b.IPv4, b.PortSet}] = now
			m.mu.Unlock()
		}
	}
}

// forget looks at all of them once in an interval.
func (m *moves) forget(now time.Time, interval time.Duration) {
	if now.Before(m.next) {
		return
	}
	m.next = now.Add(interval)
	for p, last := range m.last {
		if now.Sub(last) >= interval {
			delete(m.last, p)
		}
	}
}
