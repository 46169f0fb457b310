package lwb4sim

import (
	"cmp"
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"github.com/lwaftr/lw4o6/plugin/portset"
)

// Holding is what one lwB4 knows of its port set.
type Holding struct {
	LwB4    netip.Addr   // the address that its softwire is from
	Prefix  netip.Prefix // that was delegated to it; zero by PCP
	Held    bool         // it has IPv4 and PortSet
	IPv4    netip.Addr
	PortSet portset.PortSet
	Err     error // of the last answer
}

// manyProblems is how many problems Check names.
const manyProblems = 10

// Check finds lwB4s that hold no port set, and port sets, of psid-offset 0, and
// prefixes that two of them hold. It names the first few.
func Check(holdings []Holding) error {
	var problems []error
	var sets, prefixes []Holding
	for _, h := range holdings {
		if h.Held {
			sets = append(sets, h)
		} else {
			problems = append(problems, fmt.Errorf("lwB4 %s holds nothing; the last error was %w", h.LwB4, cmp.Or(h.Err, errNone)))
		}
		if h.Prefix.IsValid() {
			prefixes = append(prefixes, h)
		}
	}
	slices.SortFunc(sets, func(a, b Holding) int {
		p, q := a.PortSet, b.PortSet
		return cmp.Or(a.IPv4.Compare(b.IPv4), cmp.Compare(firstPort(p), firstPort(q)), cmp.Compare(q.Count(), p.Count()))
	})
	problems = append(problems, sharing(sets, func(a, b Holding) (bool, string) {
		return a.IPv4 == b.IPv4 && a.PortSet.Overlaps(b.PortSet), fmt.Sprintf("ports of %s %s", b.IPv4, b.PortSet)
	})...)
	slices.SortFunc(prefixes, func(a, b Holding) int {
		return cmp.Or(a.Prefix.Addr().Compare(b.Prefix.Addr()), cmp.Compare(a.Prefix.Bits(), b.Prefix.Bits()))
	})
	problems = append(problems, sharing(prefixes, func(a, b Holding) (bool, string) {
		return a.Prefix.Overlaps(b.Prefix), fmt.Sprintf("addresses of %s", b.Prefix)
	})...)
	if n := len(problems); n > manyProblems {
		problems = append(problems[:manyProblems], fmt.Errorf("and %d more", n-manyProblems))
	}
	return errors.Join(problems...)
}

// sharing finds holdings that share something. Of what they hold, one that
// shares anything with another contains it or is contained, and in their order
// it follows it.
func sharing(sorted []Holding, share func(outer, inner Holding) (bool, string)) []error {
	var problems []error
	for i, outer := 1, 0; i < len(sorted); i++ {
		if yes, what := share(sorted[outer], sorted[i]); yes {
			problems = append(problems, fmt.Errorf("lwB4s %s and %s both have %s", sorted[outer].LwB4, sorted[i].LwB4, what))
		} else {
			outer = i
		}
	}
	return problems
}

// firstPort is the lowest port of a set.
func firstPort(s portset.PortSet) uint16 {
	for r := range s.Ranges() {
		return r.First
	}
	return 0
}

var errNone = errors.New("none")
