package provision

import (
	"time"

	"github.com/lwaftr/lw4o6/plugin/lease"
	"github.com/lwaftr/lw4o6/plugin/store/history"
)

// usualSize is enough for most events, in octets.
const usualSize = 160

// event is what the history gets to know of a lease, encoded for the outbox.
func event(kind history.Kind, l Lease, now time.Time, reason string) ([]byte, error) {
	e := history.Event{
		Time: now, Kind: kind, Key: l.Key(),
		Holder: history.Holder{
			Subscriber: l.Subscriber, B4: l.Softwire.B4, BR: l.Softwire.BR,
			Pool: l.Pool, Mechanism: l.Mechanism, Attributes: l.Attributes.Without(lease.Contact),
		},
		Start:  l.Start,
		Reason: reason[:min(len(reason), history.MaxText)],
	}
	return e.AppendBinary(make([]byte, 0, usualSize))
}
