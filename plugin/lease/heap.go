package lease

// heap orders records by a time, the earliest first, and among equal ones by
// key. A record is in one heap at most and knows its place there.
type heap struct{ items []item }

type item struct {
	when instant
	r    ref
}

func (h *heap) less(s *slab, i, j int) bool {
	x, y := h.items[i], h.items[j]
	if x.when != y.when {
		return x.when < y.when
	}
	return s.at(x.r).key() < s.at(y.r).key()
}

func (h *heap) swap(s *slab, i, j int) {
	h.items[i], h.items[j] = h.items[j], h.items[i]
	s.at(h.items[i].r).place = uint32(i)
	s.at(h.items[j].r).place = uint32(j)
}

func (h *heap) push(s *slab, when instant, r ref) {
	h.items = append(h.items, item{when, r})
	s.at(r).place = uint32(len(h.items) - 1)
	h.up(s, len(h.items)-1)
}

func (h *heap) remove(s *slab, r ref) {
	i, last := int(s.at(r).place), len(h.items)-1
	h.swap(s, i, last)
	h.items = h.items[:last]
	if i < last {
		h.fix(s, i)
	}
}

// set changes the time of a record.
func (h *heap) set(s *slab, when instant, r ref) {
	i := int(s.at(r).place)
	h.items[i].when = when
	h.fix(s, i)
}

func (h *heap) fix(s *slab, i int) {
	if !h.up(s, i) {
		h.down(s, i)
	}
}

func (h *heap) up(s *slab, i int) (rose bool) {
	for i > 0 && h.less(s, i, (i-1)/2) {
		h.swap(s, i, (i-1)/2)
		i, rose = (i-1)/2, true
	}
	return rose
}

func (h *heap) down(s *slab, i int) {
	for {
		child := 2*i + 1
		if child >= len(h.items) {
			return
		}
		if child+1 < len(h.items) && h.less(s, child+1, child) {
			child++
		}
		if !h.less(s, child, i) {
			return
		}
		h.swap(s, i, child)
		i = child
	}
}
