package delegation

// link enters r where it is looked for.
func (b *Book) link(r *record) {
	b.join(r)
	switch {
	case r.state == Bound:
		b.expiry.add(r, r.expires)
		if r.stock != nil {
			r.stock.bound++
			if line := r.line(); line != "" {
				b.lines[line]++
			}
		}
	case r.owing():
		b.owing[r] = struct{}{}
	case r.stock != nil && r.by == nil:
		r.stock.resting.add(r, r.until)
	}
}

// unlink undoes link.
func (b *Book) unlink(r *record) {
	b.leave(r)
	r.remove()
	delete(b.owing, r)
	if r.state == Bound && r.stock != nil {
		r.stock.bound--
		if line := r.line(); line != "" {
			if b.lines[line]--; b.lines[line] == 0 {
				delete(b.lines, line)
			}
		}
	}
}

// join makes r the last one of its client, if it has one.
func (b *Book) join(r *record) {
	client := r.client()
	if client == "" {
		return
	}
	last := b.clients[client]
	if last == nil {
		b.clients[client] = r
		return
	}
	for last.next != nil {
		last = last.next
	}
	last.next = r
}

// leave undoes join.
func (b *Book) leave(r *record) {
	client := r.client()
	if client == "" {
		return
	}
	switch before := b.clients[client]; {
	case before != r:
		for before.next != r {
			before = before.next
		}
		before.next = r.next
	case r.next != nil:
		b.clients[client] = r.next
	default:
		delete(b.clients, client)
	}
	r.next = nil
}
