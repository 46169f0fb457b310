package dataplane

import (
	"fmt"
	"testing"
)

// TestNames: every value has a name of its own, and one that is no value says
// which number it was.
func TestNames(t *testing.T) {
	for kind, values := range map[string][]fmt.Stringer{
		"side":        {SideIPv4, SideIPv6, Side(9)},
		"op":          {Put, Remove, OpKind(9)},
		"outcome":     {Programmed, Retryable, Unsupported, Outcome(9)},
		"reason":      {ReasonPCPSoftwire, ReasonPCP, Reason(9)},
		"state":       {StateUnknown, StateDown, StateUp, State(9)},
		"granularity": {PerNothing, PerAddress, PerSoftwire, Granularity(9)},
	} {
		seen := make(map[string]bool)
		for _, v := range values {
			if v.String() == "" || seen[v.String()] {
				t.Errorf("%s %v has no name of its own", kind, v)
			}
			seen[v.String()] = true
		}
		if want := kind + " 9"; !seen[want] {
			t.Errorf("a %s that is none is not called %q", kind, want)
		}
	}
}

// TestHealthSame: the reason is for people, and wakes nobody.
func TestHealthSame(t *testing.T) {
	h := Health{State: StateDown, Incarnation: 2, Reason: "no link"}
	for _, c := range []struct {
		other Health
		same  bool
	}{
		{Health{State: StateDown, Incarnation: 2, Reason: "no route"}, true},
		{Health{State: StateUp, Incarnation: 2}, false},
		{Health{State: StateDown, Incarnation: 3, Reason: "no link"}, false},
		{Health{}, false},
	} {
		if got := h.Same(c.other); got != c.same {
			t.Errorf("%+v same as %+v: %t, want %t", h, c.other, got, c.same)
		}
	}
}
