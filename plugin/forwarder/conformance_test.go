package forwarder

import (
	"context"
	"testing"

	"github.com/lwaftr/lw4o6/plugin/dataplane/conformance"
	"github.com/lwaftr/lw4o6/plugin/softwire"
)

// rig is a factory of running Forwarders that leave out what m says.
func rig(m mutation) conformance.Factory {
	return func(t conformance.T) *conformance.Rig {
		io := newMemory()
		c := DefaultConfig()
		f, err := New(c, io)
		if err != nil {
			t.Fatalf("New: %v", err)
		}
		s := *f.shared.settings.Load()
		s.mutation = m
		f.shared.settings.Store(&s)

		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan error, 1)
		go func() { done <- f.Run(ctx) }()
		t.Cleanup(func() {
			cancel()
			if err := <-done; err != nil {
				t.Errorf("Run: %v", err)
			}
		})
		return &conformance.Rig{
			Dataplane: f, Send: io.put, Receive: io.get, ExceptionLimit: c.ExceptionQueue,
			Unsupported: map[string]string{"health/state-lost": "its table outlives its devices, and ends with the process"},
		}
	}
}

func TestConformance(t *testing.T) {
	conformance.Run(t, rig(mutation{}))
}

// TestConformanceNoticesMutations: a Forwarder with one check removed fails the
// suite.
func TestConformanceNoticesMutations(t *testing.T) {
	for check, m := range map[conformance.Check]mutation{
		conformance.OuterSource:      {outerSource: true},
		conformance.OuterDestination: {outerDestination: true},
		conformance.InnerPort:        {innerPort: anySoftwireOf},
	} {
		t.Run(string(check), func(t *testing.T) { conformance.MustFail(t, rig(m), check) })
	}
}

// anySoftwireOf finds a softwire of the lwB4 outer on the address inner,
// whatever its ports.
func anySoftwireOf(t *softwire.Snapshot, inner [4]byte, outer [16]byte) (softwire.Match, bool) {
	for port := range 1 << 16 {
		if m, ok := t.Lookup(inner, uint16(port)); ok && *m.B4 == outer {
			return m, true
		}
	}
	return softwire.Match{}, false
}
