package vectors

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/lwaftr/lw4o6/integration/vectors/compare"
)

// caseTime is how long one case may take.
const caseTime = 30 * time.Second

// Verdict is what became of a case.
type Verdict string

// The verdicts.
const (
	Passed  Verdict = "PASS"
	Failed  Verdict = "FAIL"
	Skipped Verdict = "SKIP"
)

// Result is a case with its verdict.
type Result struct {
	Case    Case
	Verdict Verdict
	// Notes say why it failed or was skipped, or what a silent case was dropped
	// for.
	Notes []string
}

// Tally counts verdicts.
type Tally struct{ Passed, Failed, Skipped int }

// String is the last line of a run.
func (t Tally) String() string {
	return fmt.Sprintf("%d passed, %d failed, %d skipped", t.Passed, t.Failed, t.Skipped)
}

// Run runs the cases one after the other and reports each when it is done. It
// ends early only when ctx does; the cases left are then not counted.
func Run(ctx context.Context, cases []Case, start Factory, report func(Result)) Tally {
	var t Tally
	for _, c := range cases {
		if ctx.Err() != nil {
			break
		}
		r := runCase(ctx, c, start).judge()
		switch r.Verdict {
		case Passed:
			t.Passed++
		case Failed:
			t.Failed++
		case Skipped:
			t.Skipped++
		}
		report(r)
	}
	return t
}

func runCase(ctx context.Context, c Case, start Factory) Result {
	if c.Problem != nil {
		return Result{c, Failed, []string{c.Problem.Error()}}
	}
	ctx, cancel := context.WithTimeout(ctx, caseTime)
	defer cancel()
	rig, err := start(ctx, c.Setup)
	switch {
	case errors.Is(err, ErrUnsupported):
		return Result{c, Skipped, []string{err.Error()}}
	case err != nil:
		return Result{c, Failed, []string{fmt.Sprintf("setting up: %v", err)}}
	}
	notes, err := exchange(ctx, c, rig)
	err = errors.Join(err, rig.Close())
	if err != nil {
		return Result{c, Failed, append(notes, strings.Split(err.Error(), "\n")...)}
	}
	return Result{c, Passed, notes}
}

// exchange sends what goes in and judges what comes out. The error has one line
// per difference.
func exchange(ctx context.Context, c Case, rig Rig) (notes []string, err error) {
	for _, side := range sides {
		for _, p := range c.In[side] {
			p = slices.Clone(p)
			if mend(p) {
				notes = append(notes, "mended a header checksum before sending")
			}
			if err := rig.Send(ctx, side, p); err != nil {
				return notes, fmt.Errorf("sending on the %s side: %w", side, err)
			}
		}
	}
	out, err := rig.Collect(ctx)
	if err != nil {
		return notes, fmt.Errorf("collecting: %w", err)
	}
	var differences []error
	for _, side := range sides {
		for _, d := range compare.Packets(c.Out[side], out[side], compare.Options{Rule: c.Rule, Own: c.Setup.IPv4Address}) {
			differences = append(differences, fmt.Errorf("%s side: %s", side, d))
		}
	}
	drops, err := rig.Drops(ctx)
	if err != nil {
		return notes, errors.Join(append(differences, fmt.Errorf("counters: %w", err))...)
	}
	if said := tell(drops); said != "" {
		notes = append(notes, "dropped: "+said)
	}
	if c.silent() {
		differences = append(differences, proveSilence(c, drops)...)
	}
	return notes, errors.Join(differences...)
}

// proveSilence demands that a case which expects nothing was processed: each
// packet was dropped for a cause that the case is about.
func proveSilence(c Case, drops map[Cause]uint64) []error {
	var found []error
	var explained uint64
	for cause, n := range drops {
		switch {
		case n == 0:
		case explains(c.Category, cause):
			explained += n
		default:
			found = append(found, fmt.Errorf("dropped for %q, which is not what a case of %q is about", cause, c.Category))
		}
	}
	in := uint64(len(c.In[0]) + len(c.In[1]))
	switch {
	case explained == 0:
		found = append(found, errors.New("nothing came out, and no counter says that anything was processed"))
	case explained < in && drops[CauseReassembly] == 0:
		// Of a packet that is given up in reassembly, fragments may still be held.
		found = append(found, fmt.Errorf("%d packets went in and %d were counted as dropped", in, explained))
	}
	return found
}

// tell lists the causes that moved, in a stable order.
func tell(drops map[Cause]uint64) string {
	var parts []string
	for cause, n := range drops {
		if n > 0 {
			parts = append(parts, fmt.Sprintf("%s %d", cause, n))
		}
	}
	slices.Sort(parts)
	return strings.Join(parts, ", ")
}
