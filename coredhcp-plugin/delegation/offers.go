package delegation

import (
	"container/list"
	"net/netip"
	"time"
)

// offerTime is how long a prefix is kept for who was offered it.
const offerTime = time.Minute

// offers are prefixes that were advertised and not asked for yet. They all last
// equally long, so the oldest ends first.
type offers struct {
	max      int
	order    *list.List // of offer, the oldest first
	byPrefix map[netip.Prefix]*list.Element
	byHolder map[offered]*list.Element
}

// offered is who an offer is for.
type offered struct {
	client string
	iaid   uint32
}

type offer struct {
	prefix netip.Prefix
	to     offered
	until  time.Time
}

func newOffers(max int) offers {
	return offers{
		max: max, order: list.New(),
		byPrefix: make(map[netip.Prefix]*list.Element),
		byHolder: make(map[offered]*list.Element),
	}
}

// to is the prefix that was offered to a client.
func (o *offers) to(client string, iaid uint32) (netip.Prefix, bool) {
	if e, ok := o.byHolder[offered{client, iaid}]; ok {
		return e.Value.(offer).prefix, true
	}
	return netip.Prefix{}, false
}

// toOther reports whether a prefix is offered to somebody else.
func (o *offers) toOther(prefix netip.Prefix, client string, iaid uint32) bool {
	e, ok := o.byPrefix[prefix]
	return ok && e.Value.(offer).to != offered{client, iaid}
}

func (o *offers) remove(e *list.Element) netip.Prefix {
	gone := o.order.Remove(e).(offer)
	delete(o.byPrefix, gone.prefix)
	delete(o.byHolder, gone.to)
	return gone.prefix
}

// expireOffers ends offers that have lasted long enough, and the oldest if there
// would be no room for room more.
func (b *Book) expireOffers(now time.Time, room int) {
	for e := b.offers.order.Front(); e != nil; e = b.offers.order.Front() {
		if e.Value.(offer).until.After(now) && b.offers.order.Len()+room <= b.offers.max {
			return
		}
		b.giveBack(b.offers.remove(e))
	}
}

// addOffer keeps a prefix for a client. What was offered to it before is free.
func (b *Book) addOffer(prefix netip.Prefix, client string, iaid uint32, now time.Time) {
	to := offered{client, iaid}
	if e, ok := b.offers.byHolder[to]; ok {
		if before := b.offers.remove(e); before != prefix {
			b.giveBack(before)
		}
	}
	b.expireOffers(now, 1)
	e := b.offers.order.PushBack(offer{prefix, to, now.Add(offerTime)})
	b.offers.byPrefix[prefix], b.offers.byHolder[to] = e, e
}

// endOffer ends the offer of a prefix that was taken.
func (b *Book) endOffer(prefix netip.Prefix) {
	if e, ok := b.offers.byPrefix[prefix]; ok {
		b.offers.remove(e)
	}
}
