//go:build race

package speaker

// The race detector takes memory that no program could.
const memoryIsLimited = false
