package vectors

import (
	"fmt"
	"strings"
)

// Deviation is a case that a data plane is known to get wrong.
type Deviation struct {
	Case string // its name
	Why  string // with where it is documented
	// Says are what its failure says, a part of each note. A case that fails
	// otherwise is a failure, and so is one that passes: then the deviation is
	// history.
	Says []string
}

// Deviate makes deviations known to the cases that they are of.
func Deviate(cases []Case, deviations []Deviation) {
	for i := range cases {
		for j := range deviations {
			if cases[i].Name == deviations[j].Case {
				cases[i].deviation = &deviations[j]
			}
		}
	}
}

// judge is r in the light of the deviation of its case, if there is one.
func (r Result) judge() Result {
	d := r.Case.deviation
	switch {
	case d == nil, r.Verdict == Skipped:
	case r.Verdict == Passed:
		r.Verdict = Failed
		r.Notes = append(r.Notes, fmt.Sprintf("passes, but is known to deviate (%s)", d.Why))
	case d.says(r.Notes):
		r.Verdict = Skipped
		r.Notes = []string{"deviates as documented: " + d.Why}
	}
	return r
}

func (d *Deviation) says(notes []string) bool {
	if len(notes) != len(d.Says) {
		return false
	}
	for i, part := range d.Says {
		if !strings.Contains(notes[i], part) {
			return false
		}
	}
	return true
}
