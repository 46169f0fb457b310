// Command chaos runs the store, the leases and their provisioning in a child
// process, asks it for random things, kills it at random moments, and lets its
// disk fail, lie half done and lose power. It keeps its own record of what was
// acknowledged, and is the data plane, which outlives the child. After all that
// it says what broke:
//
//   - I1: a port set had two owners;
//   - I2: a lease was acknowledged before it was programmed, or lost before it
//     ended;
//   - I3: a port set went to another subscriber before its hold-down had passed;
//   - I5: the history names somebody else, or nobody, for a time when a lease was
//     acknowledged.
//
// It exits with 1 if anything did.
package main
