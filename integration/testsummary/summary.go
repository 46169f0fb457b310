package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"
)

// maxOutput bounds what is kept of one test's output, in bytes.
const maxOutput = 256 << 10

// event is one line of `go test -json` (see `go doc test2json`).
type event struct {
	Action      string
	Package     string
	Test        string
	Elapsed     float64 // seconds
	Output      string
	ImportPath  string // of build-output and build-fail
	FailedBuild string // of a package's fail: the ImportPath that did not build
}

// failure is one thing that failed, with what it printed.
type failure struct{ name, output string }

// skip is one skipped test and why.
type skip struct{ pkg, test, reason string }

// summary collects the results of tests.
type summary struct {
	out      io.Writer
	passed   int
	failures []failure
	skips    []skip

	outputs  map[string]*strings.Builder // of tests and packages that run
	parents  map[string]bool             // tests that have subtests
	failedIn map[string]bool             // packages and tests with a failure inside
	builds   map[string]*strings.Builder // compiler output by ImportPath
}

func newSummary(out io.Writer) *summary {
	return &summary{
		out:      out,
		outputs:  map[string]*strings.Builder{},
		parents:  map[string]bool{},
		failedIn: map[string]bool{},
		builds:   map[string]*strings.Builder{},
	}
}

// read consumes the output of go test -json up to its end. Lines that are no
// events (a program may print past the test framework) are passed on.
func (s *summary) read(r io.Reader) error {
	lines := bufio.NewReader(r)
	for {
		line, err := lines.ReadBytes('\n')
		if len(line) > 0 {
			var e event
			if json.Unmarshal(line, &e) != nil || e.Action == "" {
				fmt.Fprintf(s.out, "%s", line)
			} else {
				s.event(e)
			}
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return fmt.Errorf("reading test results: %w", err)
		}
	}
}

func (s *summary) event(e event) {
	switch e.Action {
	case "build-output":
		keep(s.builds, e.ImportPath, e.Output)
	case "run":
		// A subtest's name is its parent's, a slash and its own.
		if i := strings.LastIndexByte(e.Test, '/'); i >= 0 {
			s.parents[id(e.Package, e.Test[:i])] = true
		}
	case "output":
		if !framing(e.Output) {
			keep(s.outputs, id(e.Package, e.Test), e.Output)
		}
	case "pass", "fail", "skip":
		if e.Test == "" {
			s.packageDone(e)
		} else {
			s.testDone(e)
		}
	}
}

// testDone counts a finished test, unless its subtests speak for it.
func (s *summary) testDone(e event) {
	name := id(e.Package, e.Test)
	output := s.take(name)
	switch {
	case e.Action == "fail":
		// The output of a failed parent is shown only if no subtest explains it.
		if !s.failedIn[name] {
			s.fail(name, output)
		}
		s.failedIn[e.Package] = true
		if i := strings.LastIndexByte(e.Test, '/'); i >= 0 {
			s.failedIn[id(e.Package, e.Test[:i])] = true
		}
	case e.Action == "skip":
		s.skips = append(s.skips, skip{e.Package, e.Test, reason(output)})
	case !s.parents[name]:
		s.passed++
	}
}

// packageDone prints the line of a finished package.
func (s *summary) packageDone(e event) {
	output := s.take(id(e.Package, ""))
	switch {
	case e.Action == "skip":
		return // no test files
	case e.Action == "pass":
		fmt.Fprintf(s.out, "ok    %6.1fs  %s\n", e.Elapsed, e.Package)
		return
	}
	fmt.Fprintf(s.out, "FAIL  %6.1fs  %s\n", e.Elapsed, e.Package)
	if !s.failedIn[e.Package] {
		if b := s.builds[e.FailedBuild]; e.FailedBuild != "" && b != nil {
			output = b.String() + output
		}
		// A test that was running when the process died has said the most.
		for _, running := range s.running(e.Package) {
			output += s.take(running)
		}
		s.fail(e.Package, output)
	}
}

// running lists the tests of a package that began and did not end.
func (s *summary) running(pkg string) []string {
	var names []string
	for name := range s.outputs {
		if strings.HasPrefix(name, pkg+".") {
			names = append(names, name)
		}
	}
	return names
}

// takeSkipped returns the tests that were skipped for a reason with text in it,
// and forgets that they were.
func (s *summary) takeSkipped(text string) []skip {
	var taken []skip
	s.skips = slices.DeleteFunc(s.skips, func(k skip) bool {
		if !strings.Contains(k.reason, text) {
			return false
		}
		taken = append(taken, k)
		return true
	})
	return taken
}

// pattern is the -run argument for one test or subtest.
func pattern(test string) string {
	parts := strings.Split(test, "/")
	for i, p := range parts {
		parts[i] = "^" + regexp.QuoteMeta(p) + "$"
	}
	return strings.Join(parts, "/")
}

func (s *summary) fail(name, output string) {
	s.failures = append(s.failures, failure{name, output})
}

// take returns the output kept under name and forgets it.
func (s *summary) take(name string) string {
	b := s.outputs[name]
	delete(s.outputs, name)
	if b == nil {
		return ""
	}
	return b.String()
}

// id names a test in its package, or the package for an empty test.
func id(pkg, test string) string {
	if test == "" {
		return pkg
	}
	return pkg + "." + test
}

func keep(m map[string]*strings.Builder, name, output string) {
	b := m[name]
	if b == nil {
		b = &strings.Builder{}
		m[name] = b
	}
	if b.Len() < maxOutput {
		b.WriteString(output)
	}
}
