package control

import (
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strconv"

	"github.com/lwaftr/lw4o6/plugin/control/api"
	"github.com/lwaftr/lw4o6/plugin/lease"
	"github.com/lwaftr/lw4o6/plugin/softwire"
)

func leaseParameters() []string {
	return []string{"subscriber", "ipv4", "pool", "mechanism", "state", "after", "limit"}
}

// leaseQuery is what a request for leases asks.
type leaseQuery struct {
	subscriber, ipv4       netip.Addr // zero selects all
	pool, mechanism, state string
	after                  softwire.Key
	limit                  int
}

// leases answers a GET of PathLeases.
func (s *Server) leases(_ *http.Request, values url.Values) (any, error) {
	q, err := parseLeaseQuery(values)
	if err != nil {
		return nil, err
	}
	page := api.LeasePage{Leases: []api.Lease{}}
	// One more than the page has tells whether it is the last one.
	all := q.find(s.router.Lending.Leases, q.limit+1)
	if len(all) > q.limit {
		all = all[:q.limit]
		page.Next = cursor(all[q.limit-1].Key())
	}
	for _, l := range all {
		page.Leases = append(page.Leases, fromLease(l))
	}
	return page, nil
}

// find returns the first n leases that q asks for.
func (q leaseQuery) find(leases Leases, n int) []lease.Lease {
	if !q.subscriber.IsValid() {
		return leases.List(q.after, n, q.matches)
	}
	own := leases.Subscriber(q.subscriber)
	own = slices.DeleteFunc(own, func(l lease.Lease) bool { return !q.matches(l) || l.Key().Compare(q.after) <= 0 })
	slices.SortFunc(own, func(a, b lease.Lease) int { return a.Key().Compare(b.Key()) })
	return own[:min(n, len(own))]
}

func (q leaseQuery) matches(l lease.Lease) bool {
	return (!q.ipv4.IsValid() || q.ipv4 == l.Softwire.IPv4) &&
		(q.pool == "" || q.pool == l.Pool) &&
		(q.mechanism == "" || q.mechanism == string(l.Mechanism)) &&
		(q.state == "" || q.state == l.State.String())
}

func parseLeaseQuery(values url.Values) (leaseQuery, error) {
	q := leaseQuery{limit: api.DefaultLimit}
	for name, value := range values {
		var err error
		text := value[0]
		switch name {
		case "subscriber":
			q.subscriber, err = parseFamily(text, netip.Addr.Is6)
		case "ipv4":
			q.ipv4, err = parseFamily(text, netip.Addr.Is4)
		case "pool":
			q.pool = text
		case "mechanism":
			q.mechanism = text
		case "state":
			q.state = text
			if !slices.ContainsFunc([]lease.State{lease.Bound, lease.Leaving, lease.Resting}, func(s lease.State) bool { return s.String() == text }) {
				err = fmt.Errorf("no state")
			}
		case "after":
			var after *softwire.Key
			if after, err = parseCursor(text); err == nil {
				q.after = *after
			}
		case "limit":
			q.limit, err = parseLimit(text)
		}
		if err != nil {
			return leaseQuery{}, malformed(name, text)
		}
	}
	return q, nil
}

// parseFamily reads an address of one family.
func parseFamily(text string, is func(netip.Addr) bool) (netip.Addr, error) {
	a, err := netip.ParseAddr(text)
	if err == nil && !is(a) {
		err = fmt.Errorf("of the wrong family")
	}
	return a, err
}

func parseLimit(text string) (int, error) {
	n, err := strconv.Atoi(text)
	if err == nil && (n < 1 || n > api.MaxLimit) {
		err = fmt.Errorf("not in 1 to %d", api.MaxLimit)
	}
	return n, err
}

func malformed(name, text string) error { return bad("parameter %s=%.60q is malformed", name, text) }
