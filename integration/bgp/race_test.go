//go:build race

package bgp

// What a speaker may have when the race detector takes some times of that: in
// MiB, and as its limit.
const (
	maxMemory = 4096
	maxData   = "unlimited"
)
