// Package conformance owns the suite that every implementation of package store
// passes.
package conformance
