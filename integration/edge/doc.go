// Package edge owns a lwAFTR at the edge of a network: a router that announces
// its pool and BR address to an upstream router, BIRD, over a link of its own,
// with a data plane that can be killed. Tests and measurements share it. No
// packets of subscribers go here: what counts is which routes the upstream has.
package edge
