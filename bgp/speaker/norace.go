//go:build !race

package speaker

const memoryIsLimited = true
