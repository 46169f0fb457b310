// Package reconcile owns the one loop that makes a data plane hold what the
// binding table says.
//
// The table is the wish and the data plane the fact. What differs is sent in
// batches, and each op has its own outcome: one that may succeed later is tried
// again with growing pauses, one that the data plane refuses waits until the
// object, its IPv4 address or the data plane changes. Removals go first: no port
// set is put while a removal of an overlapping one has not succeeded.
//
// Whenever the fact is in doubt (at the start, in a new incarnation, after a
// batch without an answer) it is read back and compared, and only differences
// are sent, so that softwires that are right already are never interrupted. A
// read back that had to mend something is followed by another one. What the data
// plane holds and the table does not is removed once the table was declared
// complete.
//
// Memory is bounded by what is not programmed yet: a first load streams from
// the table with a bit for each softwire.
package reconcile
