package docs

import (
	"net/netip"
	"regexp"
	"strings"
	"testing"
)

// alike reports whether a command printed what a page shows. Numbers, times and
// durations may differ, addresses, names and the number of lines may not. A line
// "..." of the page stands for any lines.
func alike(page, printed string) bool {
	return linesAlike(split(page), split(printed))
}

func split(text string) []string { return strings.Split(strings.TrimSpace(text), "\n") }

func linesAlike(page, printed []string) bool {
	for len(page) > 0 && page[0] != "..." {
		if len(printed) == 0 || !lineAlike(page[0], printed[0]) {
			return false
		}
		page, printed = page[1:], printed[1:]
	}
	if len(page) == 0 {
		return len(printed) == 0
	}
	for skipped := range len(printed) + 1 {
		if linesAlike(page[1:], printed[skipped:]) {
			return true
		}
	}
	return false
}

func lineAlike(page, printed string) bool {
	a, b := strings.Fields(page), strings.Fields(printed)
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if shape(a[i]) != shape(b[i]) {
			return false
		}
	}
	return true
}

var (
	// number is what a run of the same command may print otherwise: digits with
	// what joins them in times and sizes, and a unit; or the beginning of a digest.
	number = regexp.MustCompile(`[0-9a-f]{8}…|[0-9][0-9.,:TZ+-]*[0-9Z]|[0-9]+`)
	unit   = regexp.MustCompile(`#(ns|µs|ms|s|m|h|B|KiB|MiB|GiB)+`)
)

// shape is a word without what may differ.
func shape(word string) string {
	bare := strings.Trim(word, `"',()[]{}`)
	host, _, _ := strings.Cut(bare, "/")
	if _, err := netip.ParseAddr(host); err == nil {
		return word
	}
	if _, err := netip.ParseAddrPort(bare); err == nil {
		return word
	}
	word = number.ReplaceAllString(word, "#")
	for unit.MatchString(word) {
		word = unit.ReplaceAllString(word, "#")
	}
	return strings.ReplaceAll(word, "##", "#")
}

func TestAlike(t *testing.T) {
	for _, tt := range []struct {
		name, page, printed string
		want                bool
	}{
		{"same", "a b\n", "a   b\n", true},
		{"number", "took 3 of 17", "took 12 of 1", true},
		{"time", "at 2026-11-22T02:59:46Z", "at 2027-01-02T12:00:00+01:00", true},
		{"duration", "in 1.5s", "in 120ms", true},
		{"long duration", "in 1m30s", "in 9s", true},
		{"digest", "sha256 b60923df…", "sha256 01234567…", true},
		{"address", "to 192.0.2.1", "to 192.0.2.2", false},
		{"prefix", "of 2001:db8:1::/56", "of 2001:db8:2::/56", false},
		{"word", "is up", "is down", false},
		{"more lines", "a", "a\nb", false},
		{"fewer lines", "a\nb", "a", false},
		{"any lines", "a\n...\nd", "a\nb\nc\nd", true},
		{"no lines", "a\n...\nd", "a\nd", true},
		{"not after any lines", "a\n...\nd", "a\nb\nc", false},
		{"number for a word", "1 left", "none left", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := alike(tt.page, tt.printed); got != tt.want {
				t.Errorf("alike(%q, %q) = %v", tt.page, tt.printed, got)
			}
		})
	}
}
