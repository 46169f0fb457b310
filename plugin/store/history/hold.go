package history

import (
	"fmt"
	"strings"
	"time"

	"github.com/lwaftr/lw4o6/plugin/lease"
	"github.com/lwaftr/lw4o6/plugin/pool"
	"github.com/lwaftr/lw4o6/plugin/softwire"
)

// Hold is the time during which one subscriber held one port set through one
// lwB4 and BR address. For any address, port and moment there is at most one.
type Hold struct {
	Key softwire.Key
	Holder
	// Start is the first moment of it; its Time is zero if the Hold began before
	// the history did.
	Start Edge
	// End is the first moment behind it; its Time is zero while it lasts.
	End Edge
}

// Edge is one end of a Hold.
type Edge struct {
	Time   time.Time
	Kind   Kind
	Reason string
}

// edge is an Edge as files have it; none if at is 0.
type edge struct {
	at     stamp
	kind   Kind
	reason string
}

// record is what runs are made of: a Hold, one that has not ended, or the mere
// end of one whose start is in an older file. One of its edges is there at
// least.
type record struct {
	key        uint64 // packed
	start, end edge
	Holder
}

// recordOf is what an event says.
func recordOf(e Event) record {
	r := record{key: packKey(e.Key), Holder: e.Holder}
	at := edge{stampOf(e.Time), e.Kind, e.Reason}
	if e.Kind.Begins() {
		r.start = at
	} else {
		r.end = at
	}
	return r
}

// at is where r stands among the records of its key.
func (r *record) at() stamp {
	if r.start.at != 0 {
		return r.start.at
	}
	return r.end.at
}

// covers reports whether t is within the Hold.
func (r *record) covers(t stamp) bool {
	return r.start.at != 0 && r.start.at <= t && (r.end.at == 0 || t < r.end.at)
}

// hold is r without the block that it was read from. The error wraps ErrCorrupt.
func (r *record) hold() (Hold, error) {
	k, ok := unpackKey(r.key)
	if !ok {
		return Hold{}, fmt.Errorf("%w: a record of no port set", ErrCorrupt)
	}
	h := Hold{Key: k, Holder: r.Holder, Start: r.start.edge(), End: r.end.edge()}
	for _, text := range []*string{&h.Pool, &h.Start.Reason, &h.End.Reason} {
		*text = strings.Clone(*text)
	}
	h.Mechanism = pool.Mechanism(strings.Clone(string(h.Mechanism)))
	h.Attributes = lease.Attributes(strings.Clone(string(h.Attributes)))
	return h, nil
}

func (e edge) edge() Edge { return Edge{e.at.time(), e.kind, e.reason} }
