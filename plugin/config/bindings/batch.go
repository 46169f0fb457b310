package bindings

import (
	"fmt"

	"github.com/lwaftr/lw4o6/plugin/softwire"
)

// batch collects softwires on their way into a table, each with a function that
// says in an error where it was written.
type batch struct {
	table *softwire.Table
	put   []softwire.Softwire
	at    []func(error) error
	total int
	errs  []error
}

func (b *batch) fail(err error) { b.errs = append(b.errs, err) }

// add takes the softwire whose place was appended to at last, or its error.
func (b *batch) add(s softwire.Softwire, err error) {
	last := len(b.at) - 1
	switch {
	case err == nil && b.total >= maxRows:
		err = fmt.Errorf("more than %d softwires", maxRows)
		fallthrough
	case err != nil:
		b.fail(b.at[last](err))
		b.at = b.at[:last]
		return
	}
	b.total++
	b.put = append(b.put, s)
}

// flush puts what was collected into the table. Only when the table refuses the
// whole does it look for the rows that are to blame.
func (b *batch) flush() {
	if !b.fits() {
		for i, s := range b.put {
			if len(b.errs) >= maxBad {
				break
			}
			if err := addNew(b.table, s); err != nil {
				b.fail(b.at[i](err))
			}
		}
	}
	clear(b.at)
	b.put, b.at = b.put[:0], b.at[:0]
}

// fits applies the batch as a whole, or not at all: a softwire of a key that is
// in the table already would replace it there.
func (b *batch) fits() bool {
	have := b.table.Snapshot()
	for _, s := range b.put {
		if _, ok := have.Get(s.Key()); ok {
			return false
		}
	}
	return b.table.Apply(softwire.Change{Put: b.put}) == nil
}
