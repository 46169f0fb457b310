//go:build !race

package bgp

// What a speaker may have: in MiB, and as its limit.
const (
	maxMemory = 512
	maxData   = "536870912"
)
