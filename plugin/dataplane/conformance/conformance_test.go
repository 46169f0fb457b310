package conformance

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/lwaftr/lw4o6/plugin/dataplane"
)

// TestReference shows that the suite can be passed.
func TestReference(t *testing.T) { Run(t, referenceFactory()) }

func TestReferencePerAddress(t *testing.T) {
	Run(t, func(T) *Rig {
		r := newReference()
		r.counters.Granularity = dataplane.PerAddress
		return &Rig{
			Dataplane: r, Send: r.send, Receive: r.receive, ExceptionLimit: referenceLimit,
			Unsupported: map[string]string{"health/state-lost": "the counters' granularity would be lost too"},
		}
	})
}

// TestMutants takes out one check at a time.
func TestMutants(t *testing.T) {
	for _, check := range Checks() {
		t.Run(string(check), func(t *testing.T) {
			MustFail(t, referenceFactory(flaw(check)), check)
		})
	}
}

// TestFlaws gives the reference one flaw at a time; cases of the named group
// must notice it.
func TestFlaws(t *testing.T) {
	for f, group := range map[flaw]string{
		"class not copied":                 "encapsulate/traffic-class",
		"wrong outer source":               "encapsulate/several-br-addresses",
		"ttl kept":                         "ttl/decremented-once-to-lwb4",
		"no time exceeded":                 "ttl/time-exceeded",
		"errors about errors":              "ttl/no-error-about-an-error",
		"forwards expired":                 "ttl/expired-from-lwb4",
		"ignores the header checksum":      "robust/malformed-ipv4",
		"no hairpin":                       "hairpin/",
		"any destination":                  "pcp/softwire-to-unknown-br-address",
		"no pcp":                           "pcp/in-the-softwire",
		"pcp from anywhere":                "pcp/inner-source-outside",
		"exceptions are forwarded too":     "pcp/in-the-softwire",
		"exceptions vanish":                "pcp/exceptions-are-bounded",
		"inject keeps the caller's buffer": "inject/ipv4",
		"drops not counted":                "unbound/address",
		"counts the tunnel header":         "counters/totals",
		"applies the last first":           "batch/in-order",
		"stops at a bad op":                "batch/impossible-among-good",
		"takes overlaps":                   "batch/overlap-refused",
		"remove twice is an error":         "program/idempotent",
		"ignores remove":                   "program/remove-takes-effect-at-once",
		"put does not replace":             "replace/lwb4-moved",
		"configure forgets":                "program/configure-again",
		"reads back the first twice":       "program/read-back",
		"loses softwires silently":         "health/state-lost",
		"hides the context's error":        "health/wait-ends-with-context",
	} {
		t.Run(string(f), func(t *testing.T) {
			ran := 0
			for _, c := range cases() {
				if !strings.HasPrefix(c.name, group) {
					continue
				}
				r := record(t, func(r T) { c.execute(r, impatient(referenceFactory(f))) })
				if r.failed {
					return
				}
				ran++
			}
			t.Errorf("none of the %d cases %s* notices", ran, group)
		})
	}
}

// impatient makes rigs whose failures do not take long. The reference answers
// before Send returns, so no failure is due to it.
func impatient(factory Factory) Factory {
	return func(t T) *Rig {
		rig := factory(t)
		rig.Patience = 300 * time.Millisecond
		return rig
	}
}

// TestNames holds what callers rely on: names do not collide, every check has
// cases, and what a lwAFTR must refuse cannot be waived.
func TestNames(t *testing.T) {
	names := Names()
	if len(names) < 80 {
		t.Errorf("%d cases", len(names))
	}
	if unique := slices.Compact(slices.Sorted(slices.Values(names))); len(unique) != len(names) {
		t.Errorf("%d names, %d of them unique", len(names), len(unique))
	}
	for _, c := range cases() {
		if len(c.detects) > 0 && !c.required {
			t.Errorf("%s is about a check and can be waived", c.name)
		}
	}
}

func TestUnsupported(t *testing.T) {
	for name, want := range map[string]string{
		"encapsulate/udp":           "skipped",
		"outer-source/unknown-lwb4": "failed",
		"no/such-case":              "failed",
	} {
		t.Run(strings.ReplaceAll(name, "/", " "), func(t *testing.T) {
			factory := func(r T) *Rig {
				rig := referenceFactory()(r)
				rig.Unsupported = map[string]string{name: "the reason"}
				return rig
			}
			r := record(t, func(r T) { cases()[0].execute(r, factory) })
			got := fmt.Sprintf("failed %t, skipped %t", r.failed, strings.Contains(r.skipped, "the reason"))
			if want := fmt.Sprintf("failed %t, skipped %t", want == "failed", want == "skipped"); got != want {
				t.Errorf("%s, want %s\n%s", got, want, r)
			}
		})
	}
}
