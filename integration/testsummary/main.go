// Command testsummary runs `go test -json`, shows what people want to see of it
// (a line per package, the whole output of what failed, at the end each skipped
// test with its reason) and ends with one line for programs:
//
//	N passed, N failed, N skipped
//
// A test with subtests is not counted beside them. A package that does not
// build, or fails with no test of it failing, counts as one failed test, and so
// does each failed -check. With -again TEXT=COMMAND, tests that were skipped for
// a reason with TEXT in it are run once more by that go test command, and that
// result counts: some cannot do their work under the race detector. With -also
// COMMAND the tests of another go test command, in another module for example,
// are run and counted too. The exit code is 0 only if nothing failed and something
// passed.
//
// With LW4O6_REQUIRE_ALL=1 a skipped test counts as failed, unless its reason says
// that what it is about can be done nowhere.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
)

// requireVariable is the environment variable that turns skips into failures.
const requireVariable = "LW4O6_REQUIRE_ALL"

func main() {
	code, err := run(os.Args[1:], os.Stdout, os.Stderr)
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "testsummary:", err)
	}
	os.Exit(code)
}

// run is main without the process around it; it returns the exit code, and
// what went wrong apart from tests.
func run(args []string, stdout, stderr io.Writer) (int, error) {
	flags := flag.NewFlagSet("testsummary", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.Usage = func() {
		fmt.Fprintln(stderr, "usage: testsummary [-o FILE] [-check NAME=COMMAND ...] [-again TEXT=COMMAND] [-also COMMAND ...] -- go test -json ...")
		flags.PrintDefaults()
	}
	file := flags.String("o", "", "also write the last line to this file")
	var checks, again []check
	flags.Func("check", "NAME=COMMAND: run it first and count it as one test (repeatable)", appendTo(&checks))
	flags.Func("again", "TEXT=COMMAND: run tests skipped for TEXT again (repeatable)", appendTo(&again))
	var also [][]string
	flags.Func("also", "COMMAND: another go test -json command (repeatable)", func(s string) error {
		also = append(also, strings.Fields(s))
		return nil
	})
	if err := flags.Parse(args); err != nil {
		return 2, err
	}
	if flags.NArg() == 0 {
		return 2, errors.New("give the go test command after --")
	}

	s := newSummary(stdout)
	for _, c := range checks {
		c.run(s, stdout, stderr)
	}
	for _, command := range append([][]string{flags.Args()}, also...) {
		if err := runTests(s, command, stderr); err != nil {
			s.fail(strings.Join(command, " "), err.Error()+"\n")
		}
	}
	for _, a := range again {
		for _, k := range s.takeSkipped(a.name) {
			if err := runTests(s, append(a.command, "-run", pattern(k.test), k.pkg), stderr); err != nil {
				s.fail(id(k.pkg, k.test), err.Error()+"\n")
			}
		}
	}
	if os.Getenv(requireVariable) == "1" {
		s.requireAll()
	}
	s.finish()
	if *file != "" {
		if err := os.WriteFile(*file, []byte(s.line()+"\n"), 0o644); err != nil {
			return 1, err
		}
	}
	if !s.ok() {
		return 1, nil
	}
	return 0, nil
}

// check is a named command.
type check struct {
	name    string
	command []string
}

// appendTo parses NAME=COMMAND onto list.
func appendTo(list *[]check) func(string) error {
	return func(s string) error {
		name, command, ok := strings.Cut(s, "=")
		if !ok || name == "" || strings.TrimSpace(command) == "" {
			return errors.New("want a name, = and a command")
		}
		*list = append(*list, check{name, strings.Fields(command)})
		return nil
	}
}

// run executes the command as one test and tells s how it went.
func (c check) run(s *summary, stdout, stderr io.Writer) {
	cmd := exec.Command(c.command[0], c.command[1:]...)
	cmd.Stdout, cmd.Stderr = stdout, stderr
	if err := cmd.Run(); err != nil {
		s.fail(c.name, err.Error()+"\n")
		return
	}
	s.passed++
}

// runTests runs a go test command and feeds what it reports to s. The error
// says that the command failed though no failed test explains it.
func runTests(s *summary, command []string, stderr io.Writer) error {
	cmd := exec.Command(command[0], command[1:]...)
	cmd.Stderr = stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	failedBefore := len(s.failures)
	readErr := s.read(out)
	// What was not read would block the command for ever.
	_, drainErr := io.Copy(io.Discard, out)
	err = cmd.Wait()
	if len(s.failures) > failedBefore {
		err = nil
	}
	return errors.Join(readErr, drainErr, err)
}
