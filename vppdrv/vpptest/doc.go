// Package vpptest owns private VPP instances for tests and measurements: it
// finds the binary, writes a configuration, starts VPP in a directory and a
// network namespace of its own, waits until the API answers, and stops it by
// process id. Nothing of it collides with a VPP of the machine.
//
// A test that has no VPP is skipped by name. With LW4O6_REQUIRE_VPP=1 in the
// environment it fails instead.
package vpptest
