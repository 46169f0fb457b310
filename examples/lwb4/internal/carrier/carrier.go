// Package carrier owns what the carrier says by DHCPv6, as offers of lwAFTRs: it runs
// the client, and looks up the name of the lwAFTR where there is only that.
package carrier

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"time"

	"github.com/sirupsen/logrus"
	"golang.org/x/sync/errgroup"

	"github.com/lwaftr/lw4o6/examples/lwb4/internal/dhcp"
	"github.com/lwaftr/lw4o6/examples/lwb4/internal/provision"
)

// Config says how names are looked up, and who is told.
type Config struct {
	// Lookup returns the IPv6 addresses of a name, asking some name servers: see DNS.
	Lookup func(ctx context.Context, name string, servers []netip.Addr) ([]netip.Addr, error)
	// Timeout bounds one look-up. After one that failed there is a pause of Retry,
	// which doubles up to RetryAtMost; after one that did not, one of Refresh.
	Timeout, Retry, RetryAtMost, Refresh time.Duration
	// Report is told of all offers that there are, each time they change.
	Report func([]provision.Offer)
}

// DefaultConfig looks names up by DNS.
func DefaultConfig(report func([]provision.Offer)) Config {
	return Config{
		Lookup: DNS, Timeout: 5 * time.Second,
		Retry: time.Second, RetryAtMost: 5 * time.Minute, Refresh: time.Hour,
		Report: report,
	}
}

// DNS asks name servers, those of the machine if there are none.
func DNS(ctx context.Context, name string, servers []netip.Addr) ([]netip.Addr, error) {
	r := &net.Resolver{PreferGo: true}
	if len(servers) > 0 {
		next := 0
		r.Dial = func(ctx context.Context, network, _ string) (net.Conn, error) {
			server := netip.AddrPortFrom(servers[next%len(servers)], 53)
			next++
			return new(net.Dialer).DialContext(ctx, network, server.String())
		}
	}
	// The last dot: no search list (RFC 6334 section 5).
	return r.LookupNetIP(ctx, "ip6", name+".")
}

// Source makes offers of leases.
type Source struct {
	config Config
	log    logrus.FieldLogger
	leases chan dhcp.Lease
}

// New returns a Source that has no lease.
func New(c Config, log logrus.FieldLogger) *Source {
	return &Source{config: c, log: log, leases: make(chan dhcp.Lease)}
}

// Lease hands a lease to Run. It returns when Run has it, or when ctx ends.
func (s *Source) Lease(ctx context.Context, l dhcp.Lease) {
	select {
	case s.leases <- l:
	case <-ctx.Done():
	}
}

// found is the answer to a look-up.
type found struct {
	name      string
	addresses []netip.Addr
	err       error
}

// state is Run's.
type state struct {
	lease    dhcp.Lease
	name     string // that addresses are of
	known    []netip.Addr
	looking  bool
	again    time.Time // when to look up
	pause    time.Duration
	complain string // what was logged last
}

// Run makes offers until ctx ends, and then returns nil.
func (s *Source) Run(ctx context.Context) error {
	var group errgroup.Group
	defer func() { _ = group.Wait() }() // look-ups end with ctx, and never fail
	answers := make(chan found, 1)
	var st state
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		if st.name != "" && !st.looking {
			timer.Reset(time.Until(st.again))
		} else {
			timer.Reset(time.Hour)
		}
		select {
		case <-ctx.Done():
			return nil
		case st.lease = <-s.leases:
			if name := st.lease.Name(); name != st.name {
				st.name, st.known, st.again, st.pause = name, nil, time.Now(), 0
			}
			s.offer(&st)
		case a := <-answers:
			st.looking = false
			s.take(&st, a)
		case <-timer.C:
		}
		if st.name == "" || st.looking || time.Now().Before(st.again) {
			continue
		}
		st.looking = true
		name, servers := st.name, st.lease.DNS
		group.Go(func() error {
			looking, cancel := context.WithTimeout(ctx, s.config.Timeout)
			defer cancel()
			addresses, err := s.config.Lookup(looking, name, servers)
			answers <- found{name, addresses, err}
			return nil
		})
	}
}

// take takes note of a look-up. One that failed leaves what is known.
func (s *Source) take(st *state, a found) {
	if a.name != st.name {
		st.again = time.Now() // the name has changed meanwhile
		return
	}
	if a.err == nil && len(a.addresses) == 0 {
		a.err = errors.New("has no IPv6 address")
	}
	if a.err != nil {
		st.pause = min(max(2*st.pause, s.config.Retry), s.config.RetryAtMost)
		st.again = time.Now().Add(st.pause)
		s.log.WithError(a.err).WithFields(logrus.Fields{"name": a.name, "again-after": st.pause.String()}).
			Warn("the lwAFTR's name is not resolved")
		return
	}
	st.pause, st.again = 0, time.Now().Add(s.config.Refresh)
	slices.SortFunc(a.addresses, netip.Addr.Compare)
	if !slices.Equal(a.addresses, st.known) {
		st.known = a.addresses
		s.offer(st)
	}
}

// offer reports what the lease offers.
func (s *Source) offer(st *state) {
	offers, err := st.lease.Offers(st.known)
	if err != nil && fmt.Sprint(err) != st.complain {
		s.log.WithError(err).Warn("what the carrier says of the softwire is not used")
	}
	st.complain = ""
	if err != nil {
		st.complain = err.Error()
	}
	s.config.Report(offers)
}
