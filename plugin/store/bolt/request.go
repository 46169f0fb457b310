package bolt

import (
	"github.com/lwaftr/lw4o6/plugin/store"
)

// request is something for Run to write.
type request struct {
	conditions []store.Condition
	changes    []change
	events     [][]byte
	drop       uint64     // drop events up to this number
	done       chan error // takes the outcome
}

// change puts a sealed record; without one it deletes.
type change struct {
	table       table
	key, sealed []byte
}

// keySize is the length of a lease's key, and usualSize is enough for most leases, in
// bytes.
const (
	keySize   = 8
	usualSize = 192
)

// newRequest encodes a valid batch, in the caller's goroutine.
func newRequest(batch store.Batch) *request {
	r := &request{
		conditions: batch.Conditions,
		changes:    make([]change, 0, len(batch.Put)+len(batch.Delete)+len(batch.Values)),
		events:     batch.Events,
		done:       make(chan error, 1),
	}
	for _, l := range batch.Put {
		key := store.AppendKey(make([]byte, 0, keySize), l.Key())
		record := store.AppendLease(make([]byte, 0, usualSize), l)
		r.changes = append(r.changes, change{leases, key, seal(leases, key, record)})
	}
	for _, k := range batch.Delete {
		r.changes = append(r.changes, change{table: leases, key: store.AppendKey(nil, k)})
	}
	for _, v := range batch.Values {
		c := change{table: values, key: valueKey(v.Collection, v.Key)}
		if v.Data != nil {
			c.sealed = seal(values, c.key, append(make([]byte, 0, len(v.Data)+sumSize), v.Data...))
		}
		r.changes = append(r.changes, c)
	}
	return r
}

// valueKey is unambiguous because names of collections have no zero bytes.
func valueKey(collection, key string) []byte {
	b := make([]byte, 0, len(collection)+1+len(key))
	b = append(b, collection...)
	b = append(b, 0)
	return append(b, key...)
}

// size is how much work the request is.
func (r *request) size() int { return 1 + len(r.conditions) + len(r.changes) + len(r.events) }

// do makes the changes. It reports a condition that does not hold before it
// changes anything, as refused.
func (r *request) do(c *content) (refused, err error) {
	var d store.Decoder
	for _, condition := range r.conditions {
		if refused, err := r.check(c, &d, condition); refused != nil || err != nil {
			return refused, err
		}
	}
	for _, change := range r.changes {
		if change.sealed == nil {
			err = c.delete(change.table, change.key)
		} else {
			err = c.put(change.table, change.key, change.sealed)
		}
		if err != nil {
			return nil, err
		}
	}
	for _, data := range r.events {
		if err := c.addEvent(data); err != nil {
			return nil, err
		}
	}
	if r.drop == 0 {
		return nil, nil
	}
	return nil, c.dropEvents(r.drop)
}

func (r *request) check(c *content, d *store.Decoder, condition store.Condition) (refused, err error) {
	key := store.AppendKey(nil, condition.Key)
	sealed := c.buckets[leases].Get(key)
	if sealed == nil {
		return condition.Check(condition.Holder, false), nil
	}
	record, _, err := unseal(leases, key, sealed)
	if err != nil {
		return nil, err
	}
	held, err := d.Lease(key, record)
	if err != nil {
		return nil, err
	}
	return condition.Check(held.Subscriber, true), nil
}
