package portset

import (
	"errors"
	"testing"
)

func FuzzParsePortSet(f *testing.F) {
	for _, text := range []string{"6/8/52", "0/0/0", "16/0/0", "0/16/65535", "6/8/256", "9/8/0", "", "//", "1/2/03"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		s, err := ParsePortSet(text)
		checkParsed(t, s, err, ParsePortSet, text, s.Whole())
	})
}

func FuzzParseParams(f *testing.F) {
	for _, text := range []string{"6/8", "16/0", "0/16", "9/8", "", "/", "6/08"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		p, err := ParseParams(text)
		checkParsed(t, p, err, ParseParams, text, p.Whole())
	})
}

func FuzzParseRange(f *testing.F) {
	for _, text := range []string{"0-65535", "1024-2047", "80", "2-1", "", "-", "00-1"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		r, err := ParseRange(text)
		if err == nil && r.First > r.Last {
			t.Fatalf("%q read as the empty %v", text, r)
		}
		checkParsed(t, r, err, ParseRange, text, r.First == r.Last)
	})
}

// checkParsed checks that what was read is written such that it reads the same,
// as the same text unless the value has others, and that an error is a known one.
func checkParsed[T interface {
	comparable
	String() string
}](t *testing.T, v T, err error, parse func(string) (T, error), text string, otherTexts bool) {
	t.Helper()
	if err != nil {
		if !errors.Is(err, ErrSyntax) && !errors.Is(err, ErrParams) && !errors.Is(err, ErrPSID) {
			t.Fatalf("%q: unknown error %v", text, err)
		}
		return
	}
	if back, err := parse(v.String()); err != nil || back != v {
		t.Fatalf("%q read as %v, which reads as %v, %v", text, v, back, err)
	}
	if v.String() != text && !otherTexts {
		t.Fatalf("%q is written as %q", text, v)
	}
}
