package history

import (
	"context"
	"errors"
	"iter"
	"net/netip"
	"slices"
	"time"

	"github.com/lwaftr/lw4o6/plugin/softwire"
	"github.com/lwaftr/lw4o6/plugin/store/history/blockfile"
)

// Query selects Holds; what is zero selects all.
type Query struct {
	IPv4 netip.Prefix // on these addresses
	Port *uint16      // with this port
	// Subscriber overlaps the subscriber's prefix: it holds it, is within it, or
	// is an address in it.
	Subscriber netip.Prefix
	B4         netip.Addr
	Pool       string
	// From and To are moments: Holds that ended at From or before, or began at
	// To or later, are left out.
	From, To time.Time
	// After continues behind where another query stopped.
	After Cursor
}

// maxKeys bounds the port sets that are looked up one by one for a subscriber;
// with more, everything is read.
const maxKeys = 1 << 16

// checkEvery is after how many records a query looks whether it is still wanted.
const checkEvery = 1 << 12

// Holds yields the Holds that q selects, ordered by Key and then Start. It ends
// after the first error, which wraps ErrCorrupt unless reading failed or ctx
// ended.
func (v *View) Holds(ctx context.Context, q Query) iter.Seq2[Hold, error] {
	return func(yield func(Hold, error) bool) {
		if err := v.each(ctx, q, func(h Hold) bool { return yield(h, nil) }); err != nil {
			yield(Hold{}, err)
		}
	}
}

func (v *View) each(ctx context.Context, q Query, yield func(Hold) bool) error {
	if q.IPv4.IsValid() && !q.IPv4.Addr().Is4() || q.Subscriber.IsValid() && !q.Subscriber.Addr().Is6() || q.B4.IsValid() && !q.B4.Is6() {
		return errors.New("query: want IPv4 addresses, and IPv6 subscribers and lwB4s")
	}
	ranges, err := v.ranges(ctx, q)
	if err != nil {
		return err
	}
	begin, err := v.begin(q.After)
	if err != nil {
		return err
	}
	more := true
	read := 0
	for _, keys := range ranges {
		from := blockfile.Position{Major: keys.first}
		if from.Compare(begin) < 0 {
			from = begin
		}
		if !more || from.Major > keys.last {
			continue
		}
		all, err := v.between(from, blockfile.Position{Major: keys.last, Minor: uint64(lastStamp)})
		if err != nil {
			return err
		}
		var failed error
		err = joined(all, func(r *record) bool {
			if read++; read%checkEvery == 0 {
				failed = ctx.Err()
			}
			if failed == nil && q.selects(r) && !q.After.passes(r) {
				var h Hold
				if h, failed = r.hold(); failed == nil {
					more = yield(h)
				}
			}
			return more && failed == nil
		})
		if err == nil {
			err = failed
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// begin is where to read from to go on behind a cursor: at the record before it,
// since an end that stands at it may be that of a Hold that began there.
func (v *View) begin(after Cursor) (blockfile.Position, error) {
	r, err := v.latest(after.key, after.at-1)
	if err != nil || r == nil {
		return after.position(), err
	}
	return r.position(), nil
}

// selects reports whether q selects r.
func (q *Query) selects(r *record) bool {
	from, end := stampOf(q.From), r.end.at
	switch {
	case end != 0 && end <= from && r.start.at < from,
		!q.To.IsZero() && r.at() >= stampOf(q.To),
		q.Subscriber.IsValid() && !q.Subscriber.Overlaps(r.Subscriber),
		q.B4.IsValid() && q.B4 != r.B4,
		q.Pool != "" && q.Pool != r.Pool:
		return false
	case q.Port == nil:
		return true
	}
	k, ok := unpackKey(r.key)
	return ok && k.PortSet.Contains(*q.Port)
}

// keyRange is packed keys, both ends included.
type keyRange struct{ first, last uint64 }

// ranges are the keys whose records q may select, ascending.
func (v *View) ranges(ctx context.Context, q Query) ([]keyRange, error) {
	all := keyRange{0, everything.Major}
	if q.IPv4.IsValid() {
		all.first = packKey(softwire.Key{IPv4: q.IPv4.Masked().Addr()})
		all.last = all.first + 1<<(26+32-q.IPv4.Bits()) - 1
	}
	subscriber := q.Subscriber
	if q.B4.IsValid() {
		subscriber = netip.PrefixFrom(q.B4, 128)
	}
	if !subscriber.IsValid() {
		return []keyRange{all}, nil
	}
	keys, complete, err := v.keysOf(ctx, subscriber)
	if err != nil || !complete {
		return []keyRange{all}, err
	}
	slices.Sort(keys)
	var ranges []keyRange
	for _, k := range slices.Compact(keys) {
		if all.first <= k && k <= all.last {
			ranges = append(ranges, keyRange{k, k})
		}
	}
	return ranges, nil
}

// keysOf are the keys that subscribers whose prefix overlaps p, or lwB4s in p,
// may have held. It reports false if there are too many to tell.
func (v *View) keysOf(ctx context.Context, p netip.Prefix) (keys []uint64, complete bool, err error) {
	for i := range v.recent.records {
		if r := &v.recent.records[i]; p.Overlaps(r.Subscriber) || p.Contains(r.B4) {
			keys = append(keys, r.key)
		}
	}
	for _, r := range v.runs {
		for _, prefixes := range r.claimRanges(p) {
			if err := ctx.Err(); err != nil {
				return nil, false, err
			}
			keys, err = r.keysOf(keys, prefixes)
			if err != nil || len(keys) > maxKeys {
				return nil, false, err
			}
		}
	}
	return keys, true, nil
}

// claimRanges are where in a run's claims those are that concern p.
func (r *run) claimRanges(p netip.Prefix) []keyRange {
	first := high(p.Masked().Addr())
	all := []keyRange{{first, first | ^uint64(0)>>p.Bits()}}
	last := first
	for _, bits := range r.about.Lengths {
		if bits >= min(64, p.Bits()) {
			break
		}
		if n := high(netip.PrefixFrom(p.Addr(), bits).Masked().Addr()); n != first && n != last {
			all = append(all, keyRange{n, n})
			last = n
		}
	}
	return all
}

// keysOf appends the keys that the claims in a range have.
func (r *run) keysOf(keys []uint64, prefixes keyRange) ([]uint64, error) {
	s, err := newSection[*claim](r, sectionClaims, &claimReader{},
		blockfile.Position{Major: prefixes.first}, blockfile.Position{Major: prefixes.last, Minor: ^uint64(0)})
	for err == nil && s.at != nil && len(keys) <= maxKeys {
		keys = append(keys, s.at.key)
		err = s.next()
	}
	return keys, err
}
