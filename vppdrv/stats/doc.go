// Package stats owns the reading of VPP's statistics: the traffic of each MAP
// domain, why packets were dropped, how busy the workers are, and whether VPP is
// still the one that was read before.
//
// VPP keeps its counters in shared memory, and gives its descriptor to whoever
// connects to the stats socket. A Reader asks for it each time it reads, and
// reads it as a file: there is no mapping that could outlive VPP, no memory to
// be pointed wrong, and that VPP answers at all says that its main thread is
// alive. What it finds is checked like any other input.
//
// VPP counts for as long as it runs, but zeroes the counters of a domain that it
// makes. A Ledger carries on what was counted before.
package stats
