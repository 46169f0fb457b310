// Package dataplane owns the contract between the control logic and whatever
// moves packets: a small declarative interface, its types, and (in
// dataplane/conformance) the suite that every implementation passes.
//
// The contract is idempotent. Putting a softwire that is there already and
// removing one that is not are successes, so a caller that lost an answer asks
// again. A data plane reports the loss of its state by a new incarnation, and
// the caller then reads back and puts everything.
package dataplane
