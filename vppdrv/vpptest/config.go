package vpptest

import (
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Config is what may differ between private VPPs. The zero value is a small
// VPP without workers that sleeps between polls and has the plugins that the
// driver needs.
type Config struct {
	Workers int // packet-processing threads besides the main one

	// Sizes as VPP writes them ("1G"); the defaults suit tests.
	Heap      string
	Statistic string // the stats segment
	Buffers   int    // per NUMA node
	// HugePages puts the heap and the buffers into them. The kernel must have
	// set enough aside.
	HugePages bool

	// Plugins replaces the plugins that are loaded, by name without suffix.
	Plugins []string
	// NoPunt leaves out the punt socket.
	NoPunt bool
	// Busy makes VPP poll without pause and at normal priority, for
	// measurements. Otherwise it leaves the machine to others, but for the
	// priority if it has workers.
	Busy bool
	// Exec is a file with command lines that VPP runs when it starts, if it is
	// set.
	Exec string
	// Extra is appended to the configuration as it is.
	Extra string
}

// DefaultPlugins are those that the driver uses. Of these VPP loads what it has.
func DefaultPlugins() []string {
	return []string{"map", "af_packet", "ping", "mss_clamp", "policer", "tracedump"}
}

// Paths are the sockets of an instance.
type Paths struct {
	API, Stats, CLI, Punt string
	Log                   string
}

// PathsIn are those of an instance in a directory.
func PathsIn(dir string) Paths {
	return Paths{
		API: filepath.Join(dir, "api.sock"), Stats: filepath.Join(dir, "stats.sock"),
		CLI: filepath.Join(dir, "cli.sock"), Punt: filepath.Join(dir, "punt.sock"),
		Log: filepath.Join(dir, "vpp.log"),
	}
}

// Startup is the startup configuration for an instance in a directory.
func (c Config) Startup(dir string) string {
	p := PathsIn(dir)
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }

	pause := "poll-sleep-usec 100"
	if c.Busy {
		pause = ""
	}
	exec := ""
	if c.Exec != "" {
		exec = "exec " + c.Exec
	}
	line("unix { nodaemon nosyslog log %s cli-listen %s runtime-dir %s %s %s }", p.Log, p.CLI, dir, pause, exec)
	pages := "default"
	if c.HugePages {
		pages = "default-hugepage"
	}
	// Shared memory of the API is not used, but its name must not collide.
	line("api-segment { prefix %s }", filepath.Base(dir))
	line("socksvr { socket-name %s }", p.API)
	line("statseg { socket-name %s size %s page-size default }", p.Stats, cmp.Or(c.Statistic, "64M"))
	line("memory { main-heap-size %s main-heap-page-size %s }", cmp.Or(c.Heap, "512M"), pages)
	line("buffers { buffers-per-numa %d page-size %s default data-size 2048 }", cmp.Or(c.Buffers, 8192), pages)
	if !c.NoPunt {
		line("punt { socket %s }", p.Punt)
	}
	if c.Workers > 0 {
		line("cpu { workers %d }", c.Workers)
	}
	plugins := c.Plugins
	if plugins == nil {
		plugins = DefaultPlugins()
	}
	line("plugins {")
	if path := os.Getenv(envPlugins); path != "" {
		line("  path %s", path)
	}
	line("  plugin default { disable }")
	for _, name := range slices.Sorted(slices.Values(plugins)) {
		line("  plugin %s_plugin.so { enable }", name)
	}
	line("}")
	if c.Extra != "" {
		line("%s", c.Extra)
	}
	return b.String()
}
