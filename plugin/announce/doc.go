// Package announce owns when the network may have routes to pools and to BR
// addresses. It declares the Announcer that gives them to it.
//
// A pool is announced for the first time when the data plane forwards, was read
// back, and holds every softwire of the pool. Loss of forwarding, or of the
// softwires, takes it away at once; that more of its softwires are missing than
// a configured share takes it away after a configured time. A change that is
// late and a softwire that is refused are alarms. A pool that was lost comes back
// after the data plane was read back again and a hold-down that doubles; the
// third time in 15 minutes it waits for an operator.
//
// A route is announced while all pools that need it are: an aggregate may hold
// several, and a BR address is that of several. Routes to BR addresses go before
// those to pools, and come after them. A pool that was never announced takes no
// route away from others.
//
// When the router starts, the Announcer gets nil until the data plane has been
// verified, so that routes of the run before stay where nothing was lost.
package announce
