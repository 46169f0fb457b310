package store

import (
	"fmt"
	"net/netip"
	"strings"

	"github.com/lwaftr/lw4o6/plugin/lease"
	"github.com/lwaftr/lw4o6/plugin/softwire"
)

// Batch is what becomes durable together. Conditions are checked against what
// was there before; of changes to the same thing the last one counts.
type Batch struct {
	Conditions []Condition
	Put        []lease.Lease // in place of those of the same key
	Delete     []softwire.Key
	Values     []Value
	// Events go to the outbox, in this order.
	Events [][]byte
}

// Condition says whom the store must believe to hold a port set, or to have held
// it last.
type Condition struct {
	Key softwire.Key
	// Holder is the lease's Subscriber; the zero Prefix: there is no lease.
	Holder netip.Prefix
}

// Check compares the condition with what the store has: whose the lease is, if
// there is one. The error wraps ErrConflict.
func (c Condition) Check(holder netip.Prefix, found bool) error {
	switch {
	case found && c.Holder == holder, !found && c.Holder == netip.Prefix{}:
		return nil
	case found:
		return fmt.Errorf("%s: %w: the lease of %s", c.Key, ErrConflict, holder)
	}
	return fmt.Errorf("%s: %w: no lease", c.Key, ErrConflict)
}

// Value is something small that another part keeps in the store, in a
// collection of its own.
type Value struct {
	Collection string
	Key        string
	Data       []byte // nil deletes, and is never yielded
}

// Bounds of what a store takes, in bytes unless said otherwise.
const (
	MaxCollection = 63 // letters, digits, dots, dashes, underscores
	MaxKey        = 1024
	MaxData       = 1 << 20
	MaxEvent      = 1 << 16
	MaxChanges    = 1 << 16 // of all kinds in one batch
)

// Validate reports what no store takes. The error wraps ErrBatch.
func (b Batch) Validate() error {
	if n := len(b.Conditions) + len(b.Put) + len(b.Delete) + len(b.Values) + len(b.Events); n > MaxChanges {
		return fmt.Errorf("%w: %d changes; at most %d", ErrBatch, n, MaxChanges)
	}
	for _, c := range b.Conditions {
		if !c.Key.IPv4.Is4() {
			return fmt.Errorf("%w: condition on %s, which is no IPv4 address", ErrBatch, c.Key)
		}
	}
	for _, l := range b.Put {
		if err := validate(l); err != nil {
			return err
		}
	}
	for _, k := range b.Delete {
		if !k.IPv4.Is4() {
			return fmt.Errorf("%w: deletion of %s, which is no IPv4 address", ErrBatch, k)
		}
	}
	for _, v := range b.Values {
		switch {
		case !validCollection(v.Collection):
			return fmt.Errorf("%w: %q is not the name of a collection", ErrBatch, v.Collection)
		case v.Key == "" || len(v.Key) > MaxKey:
			return fmt.Errorf("%w: a key of %d bytes in %s: want 1 to %d", ErrBatch, len(v.Key), v.Collection, MaxKey)
		case len(v.Data) > MaxData:
			return fmt.Errorf("%w: %d bytes for %q in %s; at most %d", ErrBatch, len(v.Data), v.Key, v.Collection, MaxData)
		}
	}
	for _, e := range b.Events {
		if len(e) > MaxEvent {
			return fmt.Errorf("%w: an event of %d bytes; at most %d", ErrBatch, len(e), MaxEvent)
		}
	}
	return nil
}

func validCollection(name string) bool {
	return name != "" && len(name) <= MaxCollection && !strings.ContainsFunc(name, func(c rune) bool {
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '.', c == '-', c == '_':
			return false
		}
		return true
	})
}
