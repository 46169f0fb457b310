package server

import (
	"encoding/binary"
	"net"
	"net/netip"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv6"
	"github.com/insomniacslk/dhcp/iana"

	"github.com/lwaftr/lw4o6/coredhcp-plugin/delegation"
)

// render puts results into a message: IA_PDs of its own, or, if somebody else
// delegates, what the softwire changes about those that are there. With soon the
// client is to ask again after Retry.
func (s *Server) render(to *dhcpv6.Message, results []result, soon bool) {
	now := s.keeper.Now()
	if s.config.Follow {
		s.follow(to, results, soon, now)
		return
	}
	// RFC 8415 section 18.3.2: "The T1/T2 times set in each applicable IA option for
	// a Reply MUST be the same values across all IAs." Section 14.2 recommends 0.5 and
	// 0.8 times the shortest preferred lifetime.
	shortest := time.Duration(-1)
	for _, r := range results {
		if preferred, _ := r.lifetimes(now); r.d.State == delegation.Bound && (shortest < 0 || preferred < shortest) {
			shortest = preferred
		}
	}
	t1, t2 := shortest/2, shortest*4/5
	if soon {
		t1 = min(t1, s.config.Retry)
	}
	for _, r := range results {
		pd := &dhcpv6.OptIAPD{}
		binary.BigEndian.PutUint32(pd.IaId[:], r.id)
		if r.d.State == delegation.Bound {
			pd.T1, pd.T2 = t1, t2
			preferred, valid := r.lifetimes(now)
			pd.Options.Add(prefixOption(r.d.Prefix, preferred, valid))
		}
		for _, prefix := range r.gone {
			pd.Options.Add(prefixOption(prefix, 0, 0))
		}
		if r.status != iana.StatusSuccess {
			pd.Options.Add(&dhcpv6.OptStatusCode{StatusCode: r.status, StatusMessage: messageOf(r.status)})
		}
		to.AddOption(pd)
	}
}

// lifetimes are what is left of a delegation, in whole seconds.
func (r result) lifetimes(now time.Time) (preferred, valid time.Duration) {
	until := r.d.Expires
	if !r.until.IsZero() && r.until.Before(until) {
		until = r.until
	}
	valid = max(until.Sub(now).Truncate(time.Second), 0)
	if r.pool == nil {
		return valid, valid
	}
	return min(r.pool.PreferredLifetime, valid), valid
}

func prefixOption(prefix netip.Prefix, preferred, valid time.Duration) *dhcpv6.OptIAPrefix {
	return &dhcpv6.OptIAPrefix{
		PreferredLifetime: preferred, ValidLifetime: valid,
		Prefix: &net.IPNet{IP: prefix.Addr().AsSlice(), Mask: net.CIDRMask(prefix.Bits(), 128)},
	}
}

// messageOf is what a user is told.
func messageOf(status iana.StatusCode) string {
	switch status {
	case iana.StatusNoPrefixAvail:
		return "no prefix is available"
	case iana.StatusNoBinding:
		return "nothing is known of this binding"
	}
	return ""
}
