package netlab

import (
	"fmt"
	"os"
	"os/exec"
)

// RequireVariable names the environment variable that turns missing namespaces
// from a skip into a failure when it is "1".
const RequireVariable = "LW4O6_REQUIRE_NETNS"

// Test is what Require and RequireProgram need of a *testing.T or *testing.B.
type Test interface {
	Helper()
	Skipf(format string, args ...any)
	Fatalf(format string, args ...any)
}

// Require ends the test where labs are unavailable: as skipped, with the
// reason, or as failed if RequireVariable asks for that.
func Require(t Test) {
	t.Helper()
	err := Available()
	switch {
	case err == nil:
	case os.Getenv(RequireVariable) == "1":
		t.Fatalf("%s is 1 but %v", RequireVariable, err)
	default:
		t.Skipf("%v", err)
	}
}

// Installed reports that a program of a Debian package is missing, or nil.
func Installed(program, pkg string) error {
	if _, err := exec.LookPath(program); err != nil {
		return fmt.Errorf("needs %s, of the package %s", program, pkg)
	}
	return nil
}

// RequireProgram ends the test as skipped where a program of a Debian package is
// missing.
func RequireProgram(t Test, program, pkg string) {
	t.Helper()
	if err := Installed(program, pkg); err != nil {
		t.Skipf("%v", err)
	}
}
