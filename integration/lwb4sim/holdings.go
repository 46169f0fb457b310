package lwb4sim

import (
	"cmp"
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"github.com/lwaftr/lw4o6/pcp/client"
	"github.com/lwaftr/lw4o6/plugin/portset"
)

// Holding is what one lwB4 knows of its port set.
type Holding struct {
	LwB4 netip.Addr
	Held bool
	client.Grant
	Err error // of the last answer
}

// Holdings are those of all lwB4s, in order.
func (f *Fleet) Holdings() []Holding {
	f.mu.Lock()
	defer f.mu.Unlock()
	holdings := make([]Holding, len(f.lwb4s))
	for i := range f.lwb4s {
		s := &f.lwb4s[i].status
		holdings[i] = Holding{LwB4: f.config.Population.Address(i), Held: s.Held, Grant: s.Grant, Err: s.Err}
	}
	return holdings
}

// manyProblems is how many problems Check names.
const manyProblems = 10

// Check finds lwB4s that hold no port set, or one that no softwire can have, or
// ports that another one holds. It names the first few.
func Check(holdings []Holding) error {
	var problems []error
	sets := make([]held, 0, len(holdings))
	for _, h := range holdings {
		set, err := h.PortSet()
		switch {
		case !h.Held:
			problems = append(problems, fmt.Errorf("lwB4 %s holds nothing; the last error was %w", h.LwB4, cmp.Or(h.Err, errNone)))
		case err != nil:
			problems = append(problems, fmt.Errorf("lwB4 %s: %w", h.LwB4, err))
		default:
			sets = append(sets, held{h, set})
		}
	}
	// The port sets of grants are blocks, of which one that shares ports with
	// another contains it or is contained: in this order, it follows it.
	slices.SortFunc(sets, func(a, b held) int {
		return cmp.Or(a.External.Compare(b.External), cmp.Compare(a.ExternalPort, b.ExternalPort), cmp.Compare(b.Ports, a.Ports))
	})
	var outer held
	for _, inner := range sets {
		if outer.External != inner.External || !outer.set.Overlaps(inner.set) {
			outer = inner
			continue
		}
		problems = append(problems, fmt.Errorf("lwB4s %s and %s both have ports of %s %s", outer.LwB4, inner.LwB4, inner.External, inner.set))
	}
	if n := len(problems); n > manyProblems {
		problems = append(problems[:manyProblems], fmt.Errorf("and %d more", n-manyProblems))
	}
	return errors.Join(problems...)
}

var errNone = errors.New("none")

type held struct {
	Holding
	set portset.PortSet
}
