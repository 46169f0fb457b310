package history

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/lwaftr/lw4o6/plugin/portset"
	"github.com/lwaftr/lw4o6/plugin/softwire"
	"github.com/lwaftr/lw4o6/plugin/store/history/blockfile"
)

// Errors of queries.
var (
	// ErrBefore reports a time that the history does not go back to: who held a
	// port then is not known.
	ErrBefore = errors.New("the history does not go back to that time")
	// ErrAmbiguous reports a port that two subscribers held at once. It cannot
	// happen while the binding table has no such softwires.
	ErrAmbiguous = errors.New("more than one subscriber held it")
)

// Who returns the Hold that had a port of an IPv4 address at a time, and false
// if nobody had it. The error wraps ErrBefore, ErrAmbiguous or ErrCorrupt.
func (v *View) Who(ctx context.Context, ip netip.Addr, port uint16, at time.Time) (h Hold, ok bool, err error) {
	t := stampOf(at)
	if !ip.Is4() || !t.valid() {
		return Hold{}, false, fmt.Errorf("%s at %s: want an IPv4 address and a time between 1970 and 2500", ip, at)
	}
	if since := v.sinceStamp(); t < since {
		return Hold{}, false, fmt.Errorf("%s: %w; it begins at %s", at.UTC().Format(time.RFC3339Nano), ErrBefore, since.time().Format(time.RFC3339Nano))
	}
	for _, p := range v.params() {
		psid, in := p.PSID(port)
		if !in {
			continue
		}
		set, err := portset.New(p, psid)
		if err != nil {
			return Hold{}, false, err
		}
		if err := ctx.Err(); err != nil {
			return Hold{}, false, err
		}
		r, err := v.holding(packKey(softwire.Key{IPv4: ip, PortSet: set}), t)
		if err != nil {
			return Hold{}, false, err
		}
		if r == nil {
			continue
		}
		one, err := r.hold()
		if err != nil {
			return Hold{}, false, err
		}
		if ok {
			return Hold{}, false, fmt.Errorf("%s port %d at %s: %w: %s and %s", ip, port, at, ErrAmbiguous, h.Subscriber, one.Subscriber)
		}
		h, ok = one, true
	}
	return h, ok, nil
}

// holding is the Hold of a key that covers t, with its end; nil if none does.
func (v *View) holding(key uint64, t stamp) (*record, error) {
	r, err := v.latest(key, t)
	if err != nil || r == nil || r.start.at == 0 {
		return nil, err
	}
	if r.end.at != 0 {
		if !r.covers(t) {
			return nil, nil
		}
		return r, nil
	}
	// Its end is the next record of the key, in whichever file.
	all, err := v.between(blockfile.Position{Major: key, Minor: uint64(r.at())}, blockfile.Position{Major: key, Minor: uint64(lastStamp)})
	if err != nil {
		return nil, err
	}
	var found *record
	err = joined(all, func(h *record) bool {
		if h.covers(t) {
			found = new(*h)
		}
		return found == nil && h.at() <= t
	})
	return found, err
}

// latest is the last record of a key at or before t; nil if there is none.
func (v *View) latest(key uint64, t stamp) (*record, error) {
	if r := v.recent.latest(key, t); r != nil {
		return r, nil
	}
	// Each run is later than those before it.
	for _, r := range slices.Backward(v.runs) {
		if found, err := r.latest(key, t); found != nil || err != nil {
			return found, err
		}
	}
	return nil, nil
}
