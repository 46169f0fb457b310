// Package announce decides which routes to pools and BR addresses the network
// may have now, and declares the Announcer that gives them to it.
package announce
