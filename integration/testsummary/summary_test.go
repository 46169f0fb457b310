package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// events writes what go test -json would for a few results.
func events(lines ...string) string { return strings.Join(lines, "\n") + "\n" }

func TestSummary(t *testing.T) {
	tests := []struct {
		name  string
		input string
		line  string
		ok    bool
		shows []string
	}{
		{
			name: "subtests count, their parents do not",
			input: events(
				`{"Action":"run","Package":"p","Test":"TestA"}`,
				`{"Action":"run","Package":"p","Test":"TestA/x"}`,
				`{"Action":"run","Package":"p","Test":"TestA/y"}`,
				`{"Action":"pass","Package":"p","Test":"TestA/x"}`,
				`{"Action":"pass","Package":"p","Test":"TestA/y"}`,
				`{"Action":"pass","Package":"p","Test":"TestA"}`,
				`{"Action":"pass","Package":"p","Elapsed":1.5}`),
			line: "2 passed, 0 failed, 0 skipped", ok: true,
			shows: []string{"ok       1.5s  p"},
		},
		{
			name: "a failed subtest is one failure, shown with its output",
			input: events(
				`{"Action":"run","Package":"p","Test":"TestA"}`,
				`{"Action":"run","Package":"p","Test":"TestA/x"}`,
				`{"Action":"output","Package":"p","Test":"TestA/x","Output":"    a_test.go:3: got 1\n"}`,
				`{"Action":"fail","Package":"p","Test":"TestA/x"}`,
				`{"Action":"fail","Package":"p","Test":"TestA"}`,
				`{"Action":"fail","Package":"p","Elapsed":0.1}`),
			line:  "0 passed, 1 failed, 0 skipped",
			shows: []string{"failed: p.TestA/x", "a_test.go:3: got 1", "FAIL     0.1s  p"},
		},
		{
			name: "a skipped test is named with its reason",
			input: events(
				`{"Action":"run","Package":"p","Test":"TestA"}`,
				`{"Action":"output","Package":"p","Test":"TestA","Output":"=== RUN   TestA\n"}`,
				`{"Action":"output","Package":"p","Test":"TestA","Output":"    a_test.go:3: no VPP here\n"}`,
				`{"Action":"output","Package":"p","Test":"TestA","Output":"--- SKIP: TestA (0.00s)\n"}`,
				`{"Action":"skip","Package":"p","Test":"TestA"}`,
				`{"Action":"run","Package":"p","Test":"TestB"}`,
				`{"Action":"pass","Package":"p","Test":"TestB"}`,
				`{"Action":"pass","Package":"p","Elapsed":0.1}`),
			line: "1 passed, 0 failed, 1 skipped", ok: true,
			shows: []string{"  p.TestA: no VPP here\n"},
		},
		{
			name: "a package that does not build is a failure with the compiler's words",
			input: events(
				`{"ImportPath":"p [p.test]","Action":"build-output","Output":"p/a.go:1:1: broken\n"}`,
				`{"ImportPath":"p [p.test]","Action":"build-fail"}`,
				`{"Action":"fail","Package":"p","Elapsed":0,"FailedBuild":"p [p.test]"}`),
			line:  "0 passed, 1 failed, 0 skipped",
			shows: []string{"failed: p\n", "p/a.go:1:1: broken"},
		},
		{
			name: "a process that dies in a test is a failure with what the test said",
			input: events(
				`{"Action":"run","Package":"p","Test":"TestA"}`,
				`{"Action":"output","Package":"p","Test":"TestA","Output":"fatal error: out of luck\n"}`,
				`{"Action":"fail","Package":"p","Elapsed":0.1}`),
			line:  "0 passed, 1 failed, 0 skipped",
			shows: []string{"out of luck"},
		},
		{
			name:  "nothing run is no success",
			input: events(`{"Action":"skip","Package":"p"}`),
			line:  "0 passed, 0 failed, 0 skipped",
		},
		{
			name:  "text between the events is passed on",
			input: "stray words\n" + events(`{"Action":"run","Package":"p","Test":"T"}`, `{"Action":"pass","Package":"p","Test":"T"}`),
			line:  "1 passed, 0 failed, 0 skipped", ok: true,
			shows: []string{"stray words\n"},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var out bytes.Buffer
			s := newSummary(&out)
			if err := s.read(strings.NewReader(tt.input)); err != nil {
				t.Fatal(err)
			}
			s.finish()
			if s.line() != tt.line || s.ok() != tt.ok {
				t.Errorf("got %q, ok %t; want %q, ok %t", s.line(), s.ok(), tt.line, tt.ok)
			}
			if !strings.HasSuffix(out.String(), tt.line+"\n") {
				t.Errorf("the last line is not %q:\n%s", tt.line, &out)
			}
			for _, want := range tt.shows {
				if !strings.Contains(out.String(), want) {
					t.Errorf("output lacks %q:\n%s", want, &out)
				}
			}
		})
	}
}

// TestRun runs real commands and looks at the exit code.
func TestRun(t *testing.T) {
	for _, name := range []string{"true", "false", "echo", "printf"} {
		if _, err := exec.LookPath(name); err != nil {
			t.Skipf("no %s command", name)
		}
	}
	pass := `{"Action":"pass","Package":"p","Test":"T"}`
	skipped := `{"Action":"output","Package":"p","Test":"S/a_b","Output":"s_test.go:1: no VPP\n"}` + "\n" +
		`{"Action":"skip","Package":"p","Test":"S/a_b"}`
	tests := []struct {
		name string
		args []string
		code int
		line string
	}{
		{"passing", []string{"--", "echo", pass}, 0, "1 passed, 0 failed, 0 skipped"},
		{"passing check", []string{"-check", "lint=true", "--", "echo", pass}, 0, "2 passed, 0 failed, 0 skipped"},
		{"failing check", []string{"-check", "lint=false", "--", "echo", pass}, 1, "1 passed, 1 failed, 0 skipped"},
		{"command fails unexplained", []string{"--", "false"}, 1, "0 passed, 1 failed, 0 skipped"},
		{"no such command", []string{"--", "./no-such-command"}, 1, "0 passed, 1 failed, 0 skipped"},
		{"again", []string{"-again", `no VPP=printf ` + pass + `\n`, "--", "echo", skipped}, 0, "1 passed, 0 failed, 0 skipped"},
		{"again for another reason", []string{"-again", `no root=printf ` + pass + `\n`, "--", "echo", skipped, "\n", pass}, 0, "1 passed, 0 failed, 1 skipped"},
		{"again and failing", []string{"-again", "no VPP=false", "--", "echo", skipped}, 1, "0 passed, 1 failed, 0 skipped"},
		{"also", []string{"-also", "echo " + pass, "-also", "echo " + pass, "--", "echo", pass}, 0, "3 passed, 0 failed, 0 skipped"},
		{"also fails", []string{"-also", "false", "--", "echo", pass}, 1, "1 passed, 1 failed, 0 skipped"},
		{"nothing to run", nil, 2, ""},
		{"check without a command", []string{"-check", "lint", "--", "echo", pass}, 2, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var out, errs bytes.Buffer
			file := filepath.Join(t.TempDir(), "summary")
			code, _ := run(append([]string{"-o", file}, tt.args...), &out, &errs)
			if code != tt.code {
				t.Errorf("exit code %d, want %d\n%s%s", code, tt.code, &out, &errs)
			}
			got, _ := os.ReadFile(file)
			if strings.TrimSpace(string(got)) != tt.line {
				t.Errorf("file holds %q, want %q", got, tt.line)
			}
		})
	}
}

func TestPattern(t *testing.T) {
	if got, want := pattern("TestA/x+y/z"), `^TestA$/^x\+y$/^z$`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

// TestRequireAll: what is missing on this machine becomes a failure, what a data
// plane cannot do stays a skip.
func TestRequireAll(t *testing.T) {
	s := newSummary(&bytes.Buffer{})
	s.passed = 1
	s.skips = []skip{
		{"p", "TestA", "needs tshark"},
		{"p", "TestB", "vpp cannot do this: it has one BR address"},
		{"p", "TestC", "SKIP 60 bad checksum deviates as documented: docs"},
	}
	s.requireAll()
	if s.line() != "1 passed, 1 failed, 2 skipped" || s.ok() {
		t.Errorf("%s, ok %t", s.line(), s.ok())
	}
	if f := s.failures[0]; f.name != "p.TestA" || !strings.Contains(f.output, "needs tshark") {
		t.Errorf("failed: %+v", f)
	}
}
