package main

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// finish prints the failures, the skipped tests and the last line.
func (s *summary) finish() {
	for _, f := range s.failures {
		fmt.Fprintf(s.out, "\nfailed: %s\n%s", f.name, indent(f.output))
	}
	if len(s.skips) > 0 {
		slices.SortFunc(s.skips, func(a, b skip) int { return cmp.Or(cmp.Compare(a.pkg, b.pkg), cmp.Compare(a.test, b.test)) })
		fmt.Fprintln(s.out, "\nskipped:")
		for _, k := range s.skips {
			fmt.Fprintf(s.out, "  %s: %s\n", id(k.pkg, k.test), k.reason)
		}
	}
	fmt.Fprintf(s.out, "\n%s\n", s.line())
}

// requireAll makes failures of the skipped tests, but of those that name what a
// data plane cannot do, on no machine.
func (s *summary) requireAll() {
	var left []skip
	for _, k := range s.skips {
		if strings.Contains(k.reason, " cannot do this: ") || strings.Contains(k.reason, " deviates as documented: ") {
			left = append(left, k)
			continue
		}
		s.fail(id(k.pkg, k.test), requireVariable+"=1, and it was skipped: "+k.reason+"\n")
	}
	s.skips = left
}

// line is the last line, for programs.
func (s *summary) line() string {
	return fmt.Sprintf("%d passed, %d failed, %d skipped", s.passed, len(s.failures), len(s.skips))
}

// ok reports whether the run proves anything and nothing failed.
func (s *summary) ok() bool { return len(s.failures) == 0 && s.passed > 0 }

// framing reports whether a line of output is the test framework's own.
func framing(line string) bool {
	line = strings.TrimLeft(line, " ")
	for _, prefix := range []string{"=== RUN ", "=== PAUSE ", "=== CONT ", "=== NAME ", "--- PASS: ", "--- SKIP: ", "PASS\n", "ok  \t"} {
		if strings.HasPrefix(line, prefix) {
			return true
		}
	}
	return false
}

// reason is what a skipped test said, on one line, without the file and line
// that the framework puts first.
func reason(output string) string {
	text := strings.Join(strings.Fields(output), " ")
	if place, rest, ok := strings.Cut(text, ": "); ok && strings.Contains(place, ".go:") && !strings.Contains(place, " ") {
		text = rest
	}
	if text == "" {
		return "no reason given"
	}
	return text
}

func indent(text string) string {
	text = strings.TrimRight(text, "\n")
	if text == "" {
		return ""
	}
	return "    " + strings.ReplaceAll(text, "\n", "\n    ") + "\n"
}
