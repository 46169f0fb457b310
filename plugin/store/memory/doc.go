// Package memory owns a store that forgets everything with the process, for the
// tests of what writes to a store. It keeps the contract of package store, and
// fails when a test says so.
package memory
