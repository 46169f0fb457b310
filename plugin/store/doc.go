// Package store owns what must outlast the process: the contract for keeping
// leases, small values of other parts, and the outbox of events for the history,
// and how these are encoded. The packages below it implement the contract: bolt
// in a file, memory for tests. Package conformance is the suite both pass.
//
// What is committed together becomes durable together or not at all. A store
// decides nothing: it is told by one writer (package provision), and can check
// for it that a port set is still in the hands it is thought to be in.
package store
