package reassembly

// list is numbers in the order in which they were added. The links are kept by
// the caller, one for each number, so that lists take no memory of their own.
type list struct {
	oldest, newest uint32
	length         int
}

// link is the neighbours of a number in a list.
type link struct{ older, newer uint32 }

func newList() list { return list{oldest: none, newest: none} }

// push adds i as the newest.
func (l *list) push(links []link, i uint32) {
	links[i] = link{older: l.newest, newer: none}
	if l.newest == none {
		l.oldest = i
	} else {
		links[l.newest].newer = i
	}
	l.newest = i
	l.length++
}

// remove takes i out, which must be in the list.
func (l *list) remove(links []link, i uint32) {
	at := links[i]
	if at.older == none {
		l.oldest = at.newer
	} else {
		links[at.older].newer = at.newer
	}
	if at.newer == none {
		l.newest = at.older
	} else {
		links[at.newer].older = at.older
	}
	l.length--
}
