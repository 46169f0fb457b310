//go:build race

package bgp

// maxMemory is what a speaker may have, in MiB. The race detector takes some
// times of that.
const maxMemory = 4096
