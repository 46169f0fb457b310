//go:build !race

package softwire

const raceEnabled = false
