package vpptest

import (
	"errors"
	"slices"
	"testing"
)

func TestScope(t *testing.T) {
	var s Scope
	var order []string
	s.Cleanup(func() { order = append(order, "first") })
	s.Cleanup(func() { s.Fatalf("in a cleanup") })
	s.Cleanup(func() { order = append(order, "last") })
	if err := s.Do(func() { order = append(order, "done") }); err != nil || s.Failed() {
		t.Errorf("nothing failed: %v", err)
	}
	cause := errors.New("cause")
	err := s.Do(func() {
		s.Errorf("wrapped: %w", cause)
		s.Skip(ErrNoVPP)
		order = append(order, "after Skip")
	})
	if !errors.Is(err, cause) || !errors.Is(err, ErrNoVPP) {
		t.Errorf("Do: %v", err)
	}
	if err := s.Close(); !errors.Is(err, cause) || err.Error() != "wrapped: cause\nno VPP\nin a cleanup" {
		t.Errorf("Close: %v", err)
	}
	if want := []string{"done", "last", "first"}; !slices.Equal(order, want) {
		t.Errorf("order %q, want %q", order, want)
	}
}
