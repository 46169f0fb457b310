package delegation

// journal is what has changed in a Book, in order. A nil one takes no notes.
type journal struct{ changes []*change }

// change is what was known of a prefix before and after. A Delegation without a
// State is none.
type change struct {
	before, after Delegation
	// stored is what is durable of it already, nil if nothing is.
	stored *Delegation
}

func (j *journal) note(before, after Delegation) {
	if j == nil {
		return
	}
	for _, c := range j.changes {
		if c.after.Prefix == after.Prefix {
			c.after = after
			return
		}
	}
	j.changes = append(j.changes, &change{before: before, after: after})
}

// base is what is durable.
func (c *change) base() Delegation {
	if c.stored != nil {
		return *c.stored
	}
	return c.before
}

// durable reports whether the change has to be stored: not if all that it does is
// to extend, within the horizon, what the client has.
func (c *change) durable() bool {
	b, a := c.base(), c.after
	b.Expires, b.SoftwireExpires = a.Expires, a.SoftwireExpires
	return a != b
}

// extends reports whether the client had the prefix before, and has it after.
func (c *change) extends() bool { return extends(c.before, c.after) }

func extends(before, after Delegation) bool {
	return before.State == Bound && after.State == Bound && before.Holder == after.Holder
}

// revert puts back what a change that is not durable has changed, but for what was
// promised already: a delegation lasts up to its horizon. What somebody else has
// changed since stays.
func (b *Book) revert(c *change) {
	if b.known(c.after.Prefix) != c.after {
		return
	}
	d := c.base()
	switch {
	case extends(d, c.after):
		if d.Expires = c.after.Expires; d.Expires.After(d.Horizon) {
			d.Expires = d.Horizon
		}
		b.Put(d)
	case d.State == 0:
		b.Drop(c.after.Prefix)
	default:
		b.Put(d)
	}
}
