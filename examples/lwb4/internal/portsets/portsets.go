// Package portsets owns a CPE's port sets at one lwAFTR: it asks for them by PCP
// (RFC 7753), keeps them, asks for more when the NAT runs short and gives back what
// it does not need.
//
// All of them have one nonce, so that a request which touches several is a refresh
// of each (RFC 7753 section 4.4.1), also one by a CPE that forgot some of them. Each
// has a socket of its own.
package portsets

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"time"

	"github.com/sirupsen/logrus"

	"github.com/lwaftr/lw4o6/examples/lwb4/internal/assign"
	"github.com/lwaftr/lw4o6/examples/lwb4/internal/provision"
	"github.com/lwaftr/lw4o6/pcp/client"
	"github.com/lwaftr/lw4o6/pcp/pcpmsg"
	"github.com/lwaftr/lw4o6/plugin/portset"
)

// Config says what to ask for and where.
type Config struct {
	Server netip.AddrPort
	// Open opens a socket on the address that requests are sent from.
	Open  func() (net.PacketConn, error)
	Nonce pcpmsg.Nonce
	// Lifetime is what is asked for.
	Lifetime time.Duration
	// MaxSets is how many port sets to hold at most.
	MaxSets int
	// Check is how often the lwAFTR is asked whether it is there, and Patience how
	// long it may take to say so. 0 is never.
	Check, Patience time.Duration
	// Timing is the PCP client's; its default if it is the zero value.
	Timing client.Timing
	// Report is told what the lwAFTR gave and refused, by Run's goroutine.
	Report func(provision.Event)
}

// Keeper keeps port sets. Its methods but Run never block, and may be called at any
// time.
type Keeper struct {
	config  Config
	log     logrus.FieldLogger
	ask     chan struct{}
	more    chan struct{}
	fewer   chan portset.PortSet
	reports chan report

	// What follows is Run's.
	holdings  []*holding // the first one is there as long as Run runs
	tries     []portset.Range
	notBefore time.Time // more are not asked for
	bad       time.Duration
	restart   time.Time // when to ask again after nonsense; zero is never
}

// report is a change of a holding.
type report struct {
	of     *holding
	status client.Status
	silent bool  // did not say that it is there
	err    error // the holding has ended
}

// New returns a Keeper that asks for nothing yet.
func New(config Config, log logrus.FieldLogger) *Keeper {
	return &Keeper{
		config: config, log: log.WithField("server", config.Server.String()),
		ask: make(chan struct{}, 1), more: make(chan struct{}, 1), fewer: make(chan portset.PortSet, 1),
		reports: make(chan report),
	}
}

// Ask has all port sets asked for again at once: the lwAFTR may have lost them.
func (k *Keeper) Ask() { signal(k.ask, struct{}{}) }

// More has another port set asked for, if there may be one.
func (k *Keeper) More() { signal(k.more, struct{}{}) }

// Fewer gives a port set back that is not needed, if it is not the only one.
func (k *Keeper) Fewer(set portset.PortSet) { signal(k.fewer, set) }

func signal[T any](c chan T, v T) {
	select {
	case c <- v:
	default:
	}
}

// Run keeps port sets until ctx ends, and then returns nil. They are left to the
// lwAFTR: see Release. The error is about a socket.
func (k *Keeper) Run(ctx context.Context) error {
	defer k.stop()
	if err := k.begin(ctx, whole(), netip.AddrPort{}); err != nil {
		return err
	}
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		timer.Reset(k.untilRestart())
		var err error
		select {
		case <-ctx.Done():
			return nil
		case <-k.ask:
			err = k.askAgain(ctx)
		case <-k.more:
			err = k.askMore(ctx)
		case set := <-k.fewer:
			k.giveBack(ctx, set)
		case r := <-k.reports:
			err = k.take(ctx, r)
		case <-timer.C:
			err = k.askAfterNonsense(ctx)
		}
		if err != nil && ctx.Err() == nil {
			return err
		}
	}
}

// whole is the range in which any port set lies (RFC 7753 section 5.2).
func whole() portset.Range { return portset.Range{First: 1, Last: 65535} }

// take takes note of what became of a holding.
func (k *Keeper) take(ctx context.Context, r report) error {
	switch {
	case r.of.stopped:
		return nil
	case r.err != nil && r.of == k.holdings[0]:
		return r.err
	case r.err != nil:
		k.drop(r.of)
		return nil
	case r.silent:
		k.config.Report(provision.Silent{})
		return nil
	case r.status.Err != nil:
		return k.refused(ctx, r)
	case !r.status.Held:
		r.of.set = nil // it has expired, and is asked for again
		return nil
	}
	before := r.of.set
	if err := k.accept(r.of, r.status); err != nil {
		return k.nonsense(ctx, r.of, err)
	}
	if r.of == k.holdings[0] {
		k.bad, k.restart = 0, time.Time{}
	} else if before == nil {
		k.log.WithField("set", r.of.set.String()).Info("another port set")
		k.tries = nil
	}
	k.tell()
	return nil
}

// tell reports the port sets that there are.
func (k *Keeper) tell() {
	first := k.holdings[0]
	if first.set == nil {
		return
	}
	granted := provision.Granted{Ports: k.ports(nil), Until: first.until}
	for _, h := range k.holdings {
		if h.set != nil && h.until.Before(granted.Until) {
			granted.Until = h.until
		}
	}
	k.config.Report(granted)
}

// ports are all that are held but those of one holding.
func (k *Keeper) ports(but *holding) (p assign.Ports) {
	for _, h := range k.holdings {
		if h.set != nil && h != but {
			p.IPv4 = h.address
			p.Sets = append(p.Sets, *h.set)
		}
	}
	return p
}

// ErrOtherAddress reports a further port set that is not on the address of the
// first: a NAT cannot tell hosts of two addresses.
var ErrOtherAddress = errors.New("a further port set on another address")
