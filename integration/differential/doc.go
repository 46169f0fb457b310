// Package differential holds the forwarder against a reference that was written
// from the RFC texts by a different route: both get the same packets, and
// whatever one of them does and the other does not is a difference.
//
// A Scenario is a configuration, a binding table and a sequence of packets, all
// from one seed. Compared are the packets that come out (order and every octet,
// except what the RFCs leave open), the events and traffic that are counted, and
// the exceptions. A Scenario with a difference is shrunk before it is shown.
package differential
