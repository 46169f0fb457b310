package api

import (
	"context"
	"fmt"
	"iter"
	"net/http"
	"net/netip"
	"net/url"
	"time"

	"github.com/lwaftr/lw4o6/plugin/portset"
	"github.com/lwaftr/lw4o6/plugin/softwire"
)

// Key identifies a port set.
type Key struct {
	IPv4       netip.Addr `json:"binding-ipv4-addr"`
	PSIDOffset uint8      `json:"psid-offset"`
	PSIDLen    uint8      `json:"psid-len"`
	PSID       uint16     `json:"psid"`
}

// FromKey is k as the API shows it.
func FromKey(k softwire.Key) Key {
	p := k.PortSet.Params()
	return Key{IPv4: k.IPv4, PSIDOffset: p.Offset(), PSIDLen: p.Length(), PSID: k.PortSet.PSID()}
}

// Key is k as the table has it. The error wraps those of package portset.
func (k Key) Key() (softwire.Key, error) {
	set, err := portset.Of(k.PSIDOffset, k.PSIDLen, k.PSID)
	if err != nil {
		return softwire.Key{}, fmt.Errorf("port set on %s: %w", k.IPv4, err)
	}
	if !k.IPv4.Is4() {
		return softwire.Key{}, fmt.Errorf("%s is not an IPv4 address", k.IPv4)
	}
	return softwire.Key{IPv4: k.IPv4, PortSet: set}, nil
}

// Lease is one port set with who holds it, or held it last.
type Lease struct {
	Key
	Subscriber netip.Prefix `json:"subscriber"`
	Number     uint8        `json:"number"`
	B4         netip.Addr   `json:"binding-ipv6info"` // invalid: reserved, and nobody has come
	BR         netip.Addr   `json:"br-ipv6-addr"`
	Pool       string       `json:"pool"`
	Mechanism  string       `json:"mechanism"` // dhcpv6, pcp or static
	// State is bound, leaving (not granted any more, and still in the data
	// plane) or resting (held by nobody; the subscriber is the last holder).
	State string `json:"state"`
	// Reserved: others never get it. Moved: the subscriber has another one in
	// its place, and does not know yet. Configured: from the configuration.
	Reserved   bool `json:"reserved,omitempty"`
	Moved      bool `json:"moved,omitempty"`
	Configured bool `json:"configured,omitempty"`

	Start   *time.Time `json:"start,omitempty"`
	Expires *time.Time `json:"expires,omitempty"` // absent: never
	// HeldUntil is when others than the last holder may have it.
	HeldUntil *time.Time `json:"held-until,omitempty"`
	// Attributes are what else is known of the subscriber: duid, interface-id,
	// remote-id and nonce in hexadecimal digits, and comment.
	Attributes map[string]string `json:"attributes,omitempty"`
}

// LeaseRequest asks for a lease.
type LeaseRequest struct {
	// B4 is the lwB4's tunnel address. With Prefix it is the one that a lwB4 makes
	// there for the port set that it gets (RFC 7596 section 5.1).
	B4     netip.Addr   `json:"binding-ipv6info"`
	Prefix netip.Prefix `json:"prefix,omitzero"`
	// Subscriber is any address of the subscriber; B4 or that of Prefix if absent.
	Subscriber netip.Addr `json:"subscriber,omitzero"`
	Mechanism  string     `json:"mechanism"`
	// Number is which of the subscriber's leases this is, from 0.
	Number uint8 `json:"number,omitempty"`
	// Pool is where to draw from, and Ports how many ports are wanted; absent:
	// the first pool that allows the mechanism.
	Pool  string `json:"pool,omitempty"`
	Ports int    `json:"ports,omitempty"`
	// Want is the port set that is preferred, and for a reservation the one that
	// is meant.
	Want *Key `json:"want,omitempty"`
	// Lifetime is in seconds; 0 asks for the pool's default.
	Lifetime   uint32            `json:"lifetime,omitempty"`
	Attributes map[string]string `json:"attributes,omitempty"`
}

// RemoveRequest ends whoever's lease it is.
type RemoveRequest struct {
	Key
	Reason string `json:"reason,omitempty"` // for the history
}

// MoveRequest asks that the holder of a port set gets another one.
type MoveRequest struct {
	From Key `json:"from"`
	// Pool is where to draw from; absent: where From is.
	Pool string `json:"pool,omitempty"`
	// Want is the port set that is preferred.
	Want *Key `json:"want,omitempty"`
}

// LeasePage is a part of the leases, ordered as SoftwirePage is.
type LeasePage struct {
	Leases []Lease `json:"leases"`
	Next   string  `json:"next,omitempty"`
}

// LeaseFilter selects leases; what is zero selects all.
type LeaseFilter struct {
	Subscriber netip.Addr // any address of the subscriber
	IPv4       netip.Addr
	Pool       string
	Mechanism  string
	State      string
}

func (f LeaseFilter) values() url.Values {
	q := url.Values{}
	for name, value := range map[string]string{"pool": f.Pool, "mechanism": f.Mechanism, "state": f.State} {
		if value != "" {
			q.Set(name, value)
		}
	}
	for name, value := range map[string]netip.Addr{"subscriber": f.Subscriber, "ipv4": f.IPv4} {
		if value.IsValid() {
			q.Set(name, value.String())
		}
	}
	return q
}

// Leases yields leases page by page, in their stable order. It ends after the
// first error.
func (c *Client) Leases(ctx context.Context, f LeaseFilter) iter.Seq2[Lease, error] {
	return pages(f.values(), func(q url.Values) ([]Lease, string, error) {
		page, err := call[LeasePage](ctx, c, http.MethodGet, PathLeases+"?"+q.Encode(), nil)
		return page.Leases, page.Next, err
	})
}

// Offer asks which port set Acquire would give now. Nothing is kept.
func (c *Client) Offer(ctx context.Context, r LeaseRequest) (Lease, error) {
	return call[Lease](ctx, c, http.MethodPost, PathLeaseOffer, r)
}

// Acquire asks for a lease. When it returns without an error the lease is
// durable and programmed. Asking again gets the same lease.
func (c *Client) Acquire(ctx context.Context, r LeaseRequest) (Lease, error) {
	return call[Lease](ctx, c, http.MethodPost, PathLeaseAcquire, r)
}

// Renew extends the lease that the subscriber has.
func (c *Client) Renew(ctx context.Context, r LeaseRequest) (Lease, error) {
	return call[Lease](ctx, c, http.MethodPost, PathLeaseRenew, r)
}

// Release ends the lease that the subscriber has. When it returns without an
// error the data plane has it no more. Releasing again is no error.
func (c *Client) Release(ctx context.Context, r LeaseRequest) error {
	_, err := call[struct{}](ctx, c, http.MethodPost, PathLeaseRelease, r)
	return err
}

// Remove is Release of a port set, whoever holds it. It returns the lease as it
// is then.
func (c *Client) Remove(ctx context.Context, r RemoveRequest) (Lease, error) {
	return call[Lease](ctx, c, http.MethodPost, PathLeaseRemove, r)
}

// Move gives the holder of a port set another one, which is returned. The old
// one stays until the subscriber knows.
func (c *Client) Move(ctx context.Context, r MoveRequest) (Lease, error) {
	return call[Lease](ctx, c, http.MethodPost, PathLeaseMove, r)
}

// Reserve keeps the port set r.Want for a subscriber.
func (c *Client) Reserve(ctx context.Context, r LeaseRequest) (Lease, error) {
	return call[Lease](ctx, c, http.MethodPost, PathLeaseReserve, r)
}

// Unreserve ends a reservation. Who holds the port set keeps it.
func (c *Client) Unreserve(ctx context.Context, k Key) (Lease, error) {
	return call[Lease](ctx, c, http.MethodPost, PathLeaseUnreserve, k)
}
