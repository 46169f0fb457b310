package history

import (
	"github.com/lwaftr/lw4o6/plugin/store/history/blockfile"
)

// entry is what files hold in order: *record or *claim.
type entry interface {
	comparable
	position() blockfile.Position
}

// source yields entries in order.
type source[E entry] interface {
	// head is the entry it stands on, until the next call of next; nil at the
	// end.
	head() E
	next() error
}

// slice is a source in memory.
type slice[E entry] struct{ rest []E }

func (s *slice[E]) head() (e E) {
	if len(s.rest) > 0 {
		e = s.rest[0]
	}
	return e
}

func (s *slice[E]) next() error {
	s.rest = s.rest[1:]
	return nil
}

// decoder reads the entries of a block.
type decoder[E entry] interface {
	begin(block string)
	next() (E, error)
}

// section is a source that reads a part of a section of a run.
type section[E entry] struct {
	run    *run
	number int // of the section
	block  int // the next one to read
	to     blockfile.Position
	in     decoder[E]
	at     E
}

// newSection stands on the first entry from from to to, both included.
func newSection[E entry](r *run, number int, in decoder[E], from, to blockfile.Position) (*section[E], error) {
	s := &section[E]{run: r, number: number, to: to, in: in}
	// An entry that stands at from may be in the block before the one that
	// begins with from.
	s.block = r.blocks.Seek(number, before(from))
	in.begin("")
	for {
		if err := s.next(); err != nil {
			return nil, err
		}
		var none E
		if s.at == none || s.at.position().Compare(from) >= 0 {
			return s, nil
		}
	}
}

// before is the position before p; p itself if there is none.
func before(p blockfile.Position) blockfile.Position {
	switch {
	case p.Minor > 0:
		p.Minor--
	case p.Major > 0:
		p.Major--
		p.Minor = ^uint64(0)
	}
	return p
}

func (s *section[E]) head() E { return s.at }

func (s *section[E]) next() error {
	var none E
	for {
		at, err := s.in.next()
		if err != nil {
			return s.run.wrap(err)
		}
		if at != none {
			if at.position().Compare(s.to) > 0 {
				at = none
			}
			s.at = at
			return nil
		}
		if s.block >= s.run.blocks.Blocks(s.number) || s.run.blocks.First(s.number, s.block).Compare(s.to) > 0 {
			s.at = none
			return nil
		}
		b, err := s.run.blocks.Block(s.number, s.block)
		if err != nil {
			return s.run.wrap(err)
		}
		s.in.begin(b)
		s.block++
	}
}

// merged yields the entries of several sources in order; of entries that stand
// at the same position, those of the source that comes first.
type merged[E entry] struct {
	sources []source[E]
	last    source[E] // the one that yielded last
}

// next is the next entry until the next call, nil at the end.
func (m *merged[E]) next() (E, error) {
	var none E
	if m.last != nil {
		if err := m.last.next(); err != nil {
			return none, err
		}
		m.last = nil
	}
	var least blockfile.Position
	for _, s := range m.sources {
		head := s.head()
		if head == none {
			continue
		}
		if at := head.position(); m.last == nil || at.Compare(least) < 0 {
			m.last, least = s, at
		}
	}
	if m.last == nil {
		return none, nil
	}
	return m.last.head(), nil
}

// joined calls each with the holds of records in order: ends are joined to their
// starts. A record that is an end only is one whose start is not there. What each
// gets is valid until it returns; it ends the iteration by returning false.
func joined(in *merged[*record], each func(*record) (more bool)) error {
	var open record // has started, and its end is not seen yet
	isOpen := false
	for {
		r, err := in.next()
		if err != nil {
			return err
		}
		if isOpen {
			isOpen = false
			taken := false
			if r != nil && r.key == open.key {
				taken = open.endBy(r)
			}
			if !each(&open) {
				return nil
			}
			if taken {
				continue
			}
		}
		if r == nil {
			return nil
		}
		if r.end.at == 0 {
			open, isOpen = *r, true
		} else if !each(r) {
			return nil
		}
	}
}

// endBy ends a hold by the next record of its key, and reports whether that
// record says nothing besides.
func (r *record) endBy(next *record) bool {
	if next.start.at == 0 {
		r.end = next.end
		return true
	}
	r.end = edge{at: next.start.at, kind: Changed}
	return false
}
