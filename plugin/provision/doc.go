// Package provision owns every change of leases: it is the only writer of the
// store and of the leased part of the binding table. A lease is decided (package
// lease), made durable (store), programmed (reconcile) and only then granted. It
// ends the other way round: out of the data plane, then at rest for the hold-down,
// which is made durable, and then free.
//
// A request whose context ends early leaves its lease pending: the same request
// later gets the same lease. Requests share the cost of commits and of batches to
// the data plane, and wait for each other only where they are about one port set.
//
// While the store fails, nothing new is granted. What is granted goes on, also
// renewals, up to the horizon that was made durable for each lease.
package provision
