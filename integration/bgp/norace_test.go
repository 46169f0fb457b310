//go:build !race

package bgp

// maxMemory is what a speaker may have, in MiB.
const maxMemory = 512
