// Package fake owns a data plane without packets for the tests of whatever
// programs one. It keeps what it is told, checks the caller's side of the
// contract, and fails, forgets, stalls and dies when a test says so.
//
// A fake keeps the contract of package dataplane. What a test makes it do wrong
// is what a real data plane may do: refuse an op, fail a batch after executing
// a part of it, lose its state, hold entries nobody remembers.
package fake
