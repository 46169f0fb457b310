package api

import (
	"context"
	"iter"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"time"

	"github.com/lwaftr/lw4o6/plugin/portset"
)

// Hold is the time during which one subscriber held one port set.
type Hold struct {
	Subscriber netip.Prefix `json:"subscriber"`
	IPv4       netip.Addr   `json:"binding-ipv4-addr"`
	PSIDOffset uint8        `json:"psid-offset"`
	PSIDLen    uint8        `json:"psid-len"`
	PSID       uint16       `json:"psid"`
	// Ports are all ranges of the port set, each like 1024-2047.
	Ports []portset.Range `json:"ports"`
	B4    netip.Addr      `json:"binding-ipv6info"` // always an address
	BR    netip.Addr      `json:"br-ipv6-addr"`
	Pool  string          `json:"pool"`
	// Mechanism is how it was provisioned: dhcpv6, pcp or static.
	Mechanism string `json:"mechanism"`
	// Attributes identify the subscriber besides, such as duid=00030001.
	Attributes string `json:"attributes,omitempty"`
	// Start is the first moment of it, without a time if it began before the
	// history did. End is the first moment behind it; absent while it lasts.
	Start Edge  `json:"start"`
	End   *Edge `json:"end,omitempty"`
}

// Edge is how a Hold began or ended: allocated, changed, released, expired,
// moved or removed.
type Edge struct {
	Time   *time.Time `json:"time,omitempty"`
	Event  string     `json:"event,omitempty"`
	Reason string     `json:"reason,omitempty"`
}

// Who is who held a port at a time.
type Who struct {
	IPv4 netip.Addr `json:"ipv4"`
	Port uint16     `json:"port"`
	At   time.Time  `json:"at"`
	Hold *Hold      `json:"hold,omitempty"` // absent if nobody did
}

// HoldPage is a part of the history, ordered by address, port set and start.
type HoldPage struct {
	Holds []Hold `json:"holds"`
	// Next is what to ask for with after to get the next page; empty at the end.
	Next string `json:"next,omitempty"`
	// Since is from when on the history is complete; absent while it is empty.
	Since *time.Time `json:"since,omitempty"`
}

// HistoryFilter selects Holds; what is zero selects all.
type HistoryFilter struct {
	IPv4 netip.Prefix // on these addresses
	Port *uint16      // with this port
	// Subscriber overlaps the subscriber's prefix; an address of it will do.
	Subscriber netip.Prefix
	B4         netip.Addr
	Pool       string
	From, To   time.Time // which last at any moment from From to before To
}

// Who asks who held a port of an IPv4 address at a time. With a time that the
// history does not go back to it returns an *Error with http.StatusNotFound.
func (c *Client) Who(ctx context.Context, ip netip.AddrPort, at time.Time) (Who, error) {
	q := url.Values{"ipv4": {ip.Addr().String()}, "port": {strconv.Itoa(int(ip.Port()))}, "at": {at.Format(time.RFC3339Nano)}}
	return call[Who](ctx, c, http.MethodGet, PathWho+"?"+q.Encode(), nil)
}

// History yields the history page by page, ordered by address, port set and
// start. It ends after the first error.
func (c *Client) History(ctx context.Context, f HistoryFilter) iter.Seq2[Hold, error] {
	return func(yield func(Hold, error) bool) {
		q := f.values()
		for {
			page, err := call[HoldPage](ctx, c, http.MethodGet, PathHistory+"?"+q.Encode(), nil)
			if err != nil {
				yield(Hold{}, err)
				return
			}
			for _, h := range page.Holds {
				if !yield(h, nil) {
					return
				}
			}
			if page.Next == "" {
				return
			}
			q.Set("after", page.Next)
		}
	}
}

// values are the parameters of a request for what f selects.
func (f HistoryFilter) values() url.Values {
	q := url.Values{}
	if f.IPv4.IsValid() {
		q.Set("ipv4", f.IPv4.String())
	}
	if f.Port != nil {
		q.Set("port", strconv.Itoa(int(*f.Port)))
	}
	if f.Subscriber.IsValid() {
		q.Set("subscriber", f.Subscriber.String())
	}
	if f.B4.IsValid() {
		q.Set("b4", f.B4.String())
	}
	if f.Pool != "" {
		q.Set("pool", f.Pool)
	}
	if !f.From.IsZero() {
		q.Set("from", f.From.Format(time.RFC3339Nano))
	}
	if !f.To.IsZero() {
		q.Set("to", f.To.Format(time.RFC3339Nano))
	}
	return q
}
