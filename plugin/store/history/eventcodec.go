package history

import (
	"encoding/binary"
	"fmt"

	"github.com/lwaftr/lw4o6/plugin/lease"
	"github.com/lwaftr/lw4o6/plugin/pool"
)

// eventVersion begins every encoded event.
const eventVersion = 1

// AppendBinary appends e to b, all but its Sequence, as the store's outbox and
// the journal carry it. The error wraps ErrEvent. It implements
// encoding.BinaryAppender.
func (e Event) AppendBinary(b []byte) ([]byte, error) {
	if err := e.Validate(); err != nil {
		return b, err
	}
	b = append(b, eventVersion, byte(e.Kind))
	b = binary.AppendUvarint(b, uint64(stampOf(e.Time)))
	b = binary.AppendUvarint(b, uint64(stampOf(e.Start)))
	b = binary.AppendUvarint(b, packKey(e.Key))
	b = appendPrefix(b, e.Subscriber)
	b = appendB4(b, e.B4, e.Subscriber)
	b = append(b, e.BR.AsSlice()...)
	for _, text := range []string{e.Pool, string(e.Mechanism), string(e.Attributes), e.Reason} {
		b = appendText(b, text)
	}
	return b, nil
}

// ParseEvent reads what AppendBinary wrote, and nothing after it. The error
// wraps ErrEvent.
func ParseEvent(b []byte) (Event, error) { return parseEvent(string(b)) }

func parseEvent(b string) (Event, error) {
	r := fields{rest: b}
	if v := r.byte(); v != eventVersion {
		return Event{}, fmt.Errorf("%w: format %d of an event is unknown; is it of a newer release?", ErrEvent, v)
	}
	e := Event{Kind: Kind(r.byte())}
	e.Time = r.stamp().time()
	e.Start = r.stamp().time()
	e.Key = r.key()
	e.Subscriber = r.prefix()
	e.B4 = r.b4(e.Subscriber)
	e.BR = r.addr()
	e.Pool = r.text(MaxText)
	e.Mechanism = pool.Mechanism(r.text(MaxText))
	e.Attributes = lease.Attributes(r.text(MaxAttributes))
	e.Reason = r.text(MaxText)
	if r.bad || r.rest != "" {
		return Event{}, fmt.Errorf("%w: %d bytes are no event", ErrEvent, len(b))
	}
	return e, e.Validate()
}
