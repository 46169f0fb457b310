package softwire

// Diff returns the batch that makes to of from: Remove has the keys that only
// from has, Put the softwires that are new or changed in to, both ordered by
// Key.Compare. Between snapshots of one table it takes time in proportion to
// the difference.
func Diff(from, to *Snapshot) Change {
	var c Change
	visit := func(x, y *address) {
		switch {
		case x == nil:
			y.each(func(at locator, e *entry) bool {
				c.Put = append(c.Put, to.softwire(at, e))
				return true
			})
		case y == nil:
			x.each(func(at locator, _ *entry) bool {
				c.Remove = append(c.Remove, at.key())
				return true
			})
		default:
			diffAddress(&c, from, to, x, y)
		}
	}
	trieDiff{visit}.slots(slot{child: from.addresses}, slot{child: to.addresses})
	return c
}

// diffAddress adds what differs on one IPv4 address.
func diffAddress(c *Change, from, to *Snapshot, x, y *address) {
	var xRoom, yRoom [1]block
	xs, ys := x.list(&xRoom), y.list(&yRoom)
	for len(xs) > 0 || len(ys) > 0 {
		order := 0
		switch {
		case len(xs) == 0:
			order = 1
		case len(ys) == 0:
			order = -1
		default:
			order = compareBlocks(xs[0], ys[0])
		}
		var xb, yb block
		if order <= 0 {
			xb, xs = xs[0], xs[1:]
		}
		if order >= 0 {
			yb, ys = ys[0], ys[1:]
		}
		if order != 0 || !xb.same(&yb) {
			diffBlock(c, from, to, &xb, &yb)
		}
	}
}

// diffBlock adds what differs between two blocks of equal place; one of them
// may be empty.
func diffBlock(c *Change, from, to *Snapshot, x, y *block) {
	x.each(func(at locator, _ *entry) bool {
		if y.entry(at.psid()) == nil {
			c.Remove = append(c.Remove, at.key())
		}
		return true
	})
	y.each(func(at locator, e *entry) bool {
		s := to.softwire(at, e)
		if old := x.entry(at.psid()); old == nil || from.softwire(at, old) != s {
			c.Put = append(c.Put, s)
		}
		return true
	})
}
