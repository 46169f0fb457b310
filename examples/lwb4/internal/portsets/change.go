package portsets

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/lwaftr/lw4o6/examples/lwb4/internal/assign"
	"github.com/lwaftr/lw4o6/examples/lwb4/internal/provision"
	"github.com/lwaftr/lw4o6/pcp/client"
	"github.com/lwaftr/lw4o6/plugin/portset"
)

// accept takes a grant, or refuses one that makes no sense.
func (k *Keeper) accept(h *holding, s client.Status) error {
	set, err := s.Grant.PortSet()
	if err != nil {
		return err
	}
	all := k.ports(h)
	if h != k.holdings[0] && all.IPv4 != s.Grant.External {
		return fmt.Errorf("%w: %s and %s", ErrOtherAddress, all.IPv4, s.Grant.External)
	}
	if h == k.holdings[0] {
		all = assign.Ports{} // what the others are on may have to go
	}
	all.IPv4 = s.Grant.External
	all.Sets = append(all.Sets, set)
	if err := all.Validate(); err != nil {
		return err
	}
	h.set, h.address, h.until = &set, s.Grant.External, s.Expires
	if h != k.holdings[0] {
		return nil
	}
	// Others are useless on another address, or within what the first has now.
	for _, other := range slices.Clone(k.holdings[1:]) {
		if other.set != nil && (other.address != h.address || other.set.Overlaps(set)) {
			k.drop(other)
		}
	}
	return nil
}

// Pauses after a grant that makes no sense.
const (
	nonsensePause   = 30 * time.Second
	nonsenseAtMost  = 30 * time.Minute
	moreAfterRefuse = 5 * time.Minute
)

// nonsense is a grant that cannot be used. What was granted before stays in use
// while it lasts.
func (k *Keeper) nonsense(ctx context.Context, h *holding, reason error) error {
	k.log.WithError(reason).Warn("the lwAFTR grants what makes no sense")
	if h != k.holdings[0] {
		k.drop(h)
		return k.nextRange(ctx)
	}
	h.end()
	k.bad = min(max(2*k.bad, nonsensePause), nonsenseAtMost)
	k.restart = time.Now().Add(k.bad)
	k.config.Report(provision.Refused{Err: fmt.Errorf("what the lwAFTR grants makes no sense: %w", reason)})
	return nil
}

func (k *Keeper) untilRestart() time.Duration {
	if k.restart.IsZero() {
		return time.Hour
	}
	return time.Until(k.restart)
}

func (k *Keeper) askAfterNonsense(ctx context.Context) error {
	if k.restart.IsZero() || time.Now().Before(k.restart) {
		return nil
	}
	k.restart = time.Time{}
	return k.again(ctx, k.holdings[0])
}

// again asks for a holding on a new socket.
func (k *Keeper) again(ctx context.Context, h *holding) error {
	h.end()
	return k.start(ctx, h, h.suggestion())
}

func (k *Keeper) askAgain(ctx context.Context) error {
	for _, h := range k.holdings {
		if err := k.again(ctx, h); err != nil {
			return err
		}
	}
	return nil
}

// refused looks at an answer that is no success.
func (k *Keeper) refused(ctx context.Context, r report) error {
	first := k.holdings[0]
	switch {
	case r.of != first:
		k.log.WithError(r.status.Err).Info("no further port set")
		k.drop(r.of)
		k.tell()
		return k.nextRange(ctx)
	// What it had is not to be had any more. There may be others.
	case first.within != whole():
		k.log.WithError(r.status.Err).Warn("the port set is refused: asking for any")
		for _, h := range slices.Clone(k.holdings[1:]) {
			k.drop(h)
		}
		first.within = whole()
		return k.again(ctx, first)
	}
	k.config.Report(provision.Refused{Err: r.status.Err})
	return nil
}

// drop stops a further holding.
func (k *Keeper) drop(h *holding) {
	h.end()
	k.holdings = slices.DeleteFunc(k.holdings, func(o *holding) bool { return o == h })
}

// askMore begins to ask for another port set, in the ranges either side of those that
// are held: requests must not overlap (RFC 7753 section 6.3), so the first one is
// asked for by its own ports from now on.
func (k *Keeper) askMore(ctx context.Context) error {
	first := k.holdings[0]
	now := time.Now()
	if first.set == nil || len(k.holdings) >= k.config.MaxSets || now.Before(k.notBefore) || first.set.Whole() ||
		slices.ContainsFunc(k.holdings, func(h *holding) bool { return h.set == nil }) {
		return nil
	}
	if own := block(*first.set); first.within != own {
		first.within = own
		if err := k.again(ctx, first); err != nil {
			return err
		}
	}
	k.tries = Around(k.ports(nil).Sets)
	return k.nextRange(ctx)
}

// nextRange asks for a port set in the next of the ranges that were not tried yet.
func (k *Keeper) nextRange(ctx context.Context) error {
	if len(k.tries) == 0 {
		k.notBefore = time.Now().Add(moreAfterRefuse)
		return nil
	}
	within := k.tries[0]
	k.tries = k.tries[1:]
	err := k.begin(ctx, within, netip.AddrPort{})
	if errors.Is(err, client.ErrAddress) {
		return nil
	}
	return err
}

// giveBack deletes a further port set.
func (k *Keeper) giveBack(ctx context.Context, set portset.PortSet) {
	for _, h := range k.holdings[1:] {
		if h.set == nil || *h.set != set {
			continue
		}
		k.drop(h)
		k.tell() // the NAT stops to use it before somebody else may
		k.log.WithField("set", set.String()).Info("a port set is given back")
		if err := k.release(ctx, block(set)); err != nil {
			k.log.WithError(err).Info("a port set that is given back lasts until it expires")
		}
		return
	}
}

// block is the ports of a set that PCP gave, which follow each other.
func block(s portset.PortSet) portset.Range {
	for r := range s.Ranges() {
		return r
	}
	return portset.Range{}
}

// Around is the ranges of ports either side of port sets, the longest first.
func Around(held []portset.PortSet) (ranges []portset.Range) {
	blocks := []portset.Range{{First: 0, Last: 0}}
	for _, s := range held {
		for r := range s.Ranges() {
			blocks = append(blocks, r)
		}
	}
	slices.SortFunc(blocks, func(a, b portset.Range) int { return int(a.First) - int(b.First) })
	for i, b := range blocks {
		last := 1 << 16
		if i+1 < len(blocks) {
			last = int(blocks[i+1].First)
		}
		if first := int(b.Last) + 1; first < last {
			ranges = append(ranges, portset.Range{First: uint16(first), Last: uint16(last - 1)})
		}
	}
	slices.SortStableFunc(ranges, func(a, b portset.Range) int { return int(b.Last-b.First) - int(a.Last-a.First) })
	return ranges
}
