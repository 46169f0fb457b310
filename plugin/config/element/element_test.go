package element

import (
	"errors"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func texts(err error) []string {
	var all []string
	for _, e := range Each(err) {
		all = append(all, e.Error())
	}
	return all
}

func TestAt(t *testing.T) {
	plain := errors.New("is wrong")
	tests := []struct {
		name string
		err  error
		want []string
	}{
		{"nothing", At("pools", nil), nil},
		{"plain", At("pools", plain), []string{"pools: is wrong"}},
		{"nested", At("pools", At(Item("", 2), At("name", plain))), []string{"pools[2].name: is wrong"}},
		{"empty path", At("", At("name", plain)), []string{"name: is wrong"}},
		{"joined", At("a", errors.Join(plain, At("b", plain), errors.Join(At("c", plain)))),
			[]string{"a: is wrong", "a.b: is wrong", "a.c: is wrong"}},
		{"wrapped with words keeps them", At("a", fmt.Errorf("reading: %w and %w", plain, plain)),
			[]string{"a: reading: is wrong and is wrong"}},
		{"path inside words stays there", At("a", fmt.Errorf("because %w", At("b", plain))),
			[]string{"a: because b: is wrong"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, texts(tt.err)); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
	if !errors.Is(At("a", At("b", plain)), plain) {
		t.Error("At hides the cause from errors.Is")
	}
}

func TestErrorf(t *testing.T) {
	cause := errors.New("cause")
	err := Errorf("mtu", "%d is too small: %w", 5, cause)
	if got, want := err.Error(), "mtu: 5 is too small: cause"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if !errors.Is(err, cause) {
		t.Error("Errorf does not wrap its cause")
	}
}
