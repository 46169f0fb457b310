package conformance

import (
	"fmt"
	"slices"
	"testing"
)

// testCase is one case of the suite.
type testCase struct {
	name string
	// required cases cannot be waived: they say what must not be forwarded.
	required bool
	// detects are the checks without which a data plane fails the case, and
	// mayDetect those without which it may, depending on how it looks things up:
	// another subscriber's port is the wrong source to one that looks up by
	// address and port, and the wrong port to one that looks up by lwB4.
	detects, mayDetect []Check

	run func(*lab)
}

// cases returns the suite.
func cases() []testCase {
	return slices.Concat(
		encapsulationCases(), decapsulationCases(), portSetCases(),
		sourceCases(), destinationCases(), addressCases(), portCases(),
		unboundCases(), hairpinCases(), icmpInCases(), icmpOutCases(), ttlCases(),
		programCases(), replaceCases(), batchCases(), pcpCases(), injectCases(),
		counterCases(), healthCases(), robustnessCases(),
	)
}

// Names returns the name of every case, in the order they run.
func Names() []string {
	var names []string
	for _, c := range cases() {
		names = append(names, c.name)
	}
	return names
}

// Run runs the suite on the data planes that factory makes, one subtest a case.
func Run(t *testing.T, factory Factory) {
	t.Helper()
	for _, c := range cases() {
		t.Run(c.name, func(t *testing.T) { c.execute(t, factory) })
	}
}

// execute runs c on a fresh rig.
func (c testCase) execute(t T, factory Factory) {
	rig := factory(t)
	for name := range rig.Unsupported {
		if err := waivable(name); err != nil {
			t.Fatalf("Rig.Unsupported: %v", err)
		}
	}
	if reason, waived := rig.Unsupported[c.name]; waived {
		t.Skipf("%s cannot do this: %s", rig.Dataplane.Name(), reason)
	}
	c.run(newLab(t, rig))
}

// waivable reports why the case of a name may not be waived.
func waivable(name string) error {
	for _, c := range cases() {
		switch {
		case c.name != name:
		case c.required:
			return fmt.Errorf("case %q cannot be waived: it is about what must not be forwarded", name)
		default:
			return nil
		}
	}
	return fmt.Errorf("there is no case %q", name)
}

// MustFail requires that the suite notices the absence of check in the data
// planes that factory makes: each case about it fails, and no case fails that
// has nothing to do with it.
func MustFail(t *testing.T, factory Factory, check Check) {
	t.Helper()
	noticed := 0
	for _, c := range cases() {
		if slices.Contains(c.detects, check) {
			noticed++
		}
		t.Run(c.name, func(t *testing.T) {
			r := record(t, func(r T) { c.execute(r, factory) })
			switch must, may := slices.Contains(c.detects, check), slices.Contains(c.mayDetect, check); {
			case r.skipped != "":
				t.Skip(r.skipped)
			case must && !r.failed:
				t.Errorf("passes although the data plane does not check the %s", check)
			case !must && !may && r.failed:
				t.Errorf("fails although it is not about the %s:\n%s", check, r)
			}
		})
	}
	if noticed == 0 {
		t.Errorf("no case is about the %s", check)
	}
}
