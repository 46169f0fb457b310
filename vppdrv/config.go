package vppdrv

import (
	"errors"
	"fmt"
	"net/netip"
	"path/filepath"
	"time"

	"github.com/lwaftr/lw4o6/plugin/config/element"
	"github.com/lwaftr/lw4o6/plugin/dataplane"
	"github.com/lwaftr/lw4o6/plugin/forwarder"
	"github.com/lwaftr/lw4o6/vppdrv/ports"
	"github.com/lwaftr/lw4o6/vppdrv/topology"
)

// Config is how the driver reaches VPP and what it makes in it.
type Config struct {
	// API, Stats and Punt are the paths of VPP's sockets: those of the socksvr,
	// statseg and punt sections of its startup configuration.
	API   string `yaml:"api-socket"`
	Stats string `yaml:"stats-socket"`
	Punt  string `yaml:"punt-socket"`
	// Exceptions is the path of our own socket, to which VPP writes packets. It
	// must stay the same over restarts. If it is empty it is next to API.
	Exceptions string `yaml:"exception-socket"`
	// Instance tells lwAFTRs on one VPP apart. It stands in the tags of
	// everything that is ours.
	Instance string `yaml:"instance"`

	// Interfaces are those by which packets come in and leave. What they list
	// is made in VPP, and made again when VPP was restarted.
	Interfaces Interfaces `yaml:"interfaces"`

	// IPv4Table and IPv6Table are the FIB tables (VRFs) of the IPv4 Internet and
	// of the access network.
	IPv4Table uint32 `yaml:"ipv4-table"`
	IPv6Table uint32 `yaml:"ipv6-table"`
	// Tables is the first FIB table number that nobody else uses.
	Tables uint32 `yaml:"own-tables"`

	// Fill is the longest psid-len of addresses whose free PSIDs are answered
	// with ICMPv4 errors, at the price of a rule each.
	Fill uint8 `yaml:"answer-psid-len"`
	// ScriptLines is how many changes VPP makes at most before it turns to
	// something else: to other API calls, and without workers to packets. A
	// change takes it about a microsecond.
	ScriptLines int `yaml:"script-lines"`

	// ExceptionRate is how many packets per second VPP hands to the control logic
	// at most, of each kind: PCP, ICMPv6, packets for nobody and others. It takes
	// VPP's plugin policer; without it, and with 0, only VPP's punt socket limits
	// them.
	ExceptionRate int `yaml:"exception-rate"`

	// CallTimeout bounds the wait for VPP's answer to one call.
	CallTimeout time.Duration `yaml:"call-timeout"`
	// PingInterval is how often VPP is asked whether it is there, and
	// Unresponsive how long it may leave that without an answer.
	PingInterval time.Duration `yaml:"ping-interval"`
	Unresponsive time.Duration `yaml:"unresponsive"`
	// ProbeTimeout is how long VPP may leave packets that were sent through it,
	// and questions, without an answer before it counts as not forwarding.
	ProbeTimeout time.Duration `yaml:"probe-timeout"`
	// RetryMin is the pause before the second attempt to connect; it doubles
	// with each, up to RetryMax.
	RetryMin time.Duration `yaml:"retry-min"`
	RetryMax time.Duration `yaml:"retry-max"`

	// Forwarding is what VPP and the slow path do with packets. Of Reassembly,
	// VPP takes the number of packets, of fragments and the timeout; HopLimit
	// and Filters do not reach it. So it is no section of a file: whoever reads
	// one decides which keys there are.
	Forwarding forwarder.Config `yaml:"-"`
}

// Interfaces are the interfaces of each side. A side without any is the
// operator's business altogether.
type Interfaces struct {
	IPv4 []ports.Config `yaml:"ipv4"` // towards the Internet
	IPv6 []ports.Config `yaml:"ipv6"` // towards the lwB4s
}

// DefaultConfig suits a VPP from FD.io packages with a punt section in its
// startup configuration.
func DefaultConfig() Config {
	return Config{
		API: "/run/vpp/api.sock", Stats: "/run/vpp/stats.sock", Punt: "/run/vpp/punt.sock",
		Instance: "default",
		Tables:   0x6c770000, // "lw"
		Fill:     10, ScriptLines: 256, ExceptionRate: 10_000,
		CallTimeout:  10 * time.Second,
		PingInterval: time.Second, Unresponsive: 15 * time.Second, ProbeTimeout: 3 * time.Second,
		RetryMin: 100 * time.Millisecond, RetryMax: 5 * time.Second,
		Forwarding: forwarder.DefaultConfig(),
	}
}

// Limits of a Config.
const (
	maxInstance    = 20 // of octets: VPP keeps 63 of a tag
	maxPath        = 107
	maxScriptLines = 1 << 16
	maxFill        = 12

	minExceptionRate, maxExceptionRate = 100, 10_000_000 // unless it is 0
)

// Validate reports every value that cannot work, each as an element.Error.
func (c Config) Validate() error {
	var errs []error
	check := func(ok bool, key, format string, args ...any) {
		if !ok {
			errs = append(errs, element.Errorf(key, format, args...))
		}
	}
	socket := func(key, path string) bool {
		ok := filepath.IsAbs(path) && len(path) <= maxPath
		check(ok, key, "%q is not an absolute path of at most %d octets", path, maxPath)
		return ok
	}
	socket("stats-socket", c.Stats)
	socket("punt-socket", c.Punt)
	if socket("api-socket", c.API) || c.Exceptions != "" {
		socket("exception-socket", c.exceptions())
	}
	check(validInstance(c.Instance), "instance", "%q is not 1 to %d letters, digits and hyphens", c.Instance, maxInstance)
	for _, side := range c.sides() {
		for i, port := range side.Interfaces {
			errs = append(errs, element.At(fmt.Sprintf("interfaces.%s[%d]", side.Side, i), port.Validate(side.Side)))
		}
	}
	overlaps := func(table uint32) bool { return table >= c.Tables && table-c.Tables < topology.TableCount }
	check(!overlaps(c.IPv4Table), "ipv4-table", "%d is one of own-tables", c.IPv4Table)
	check(!overlaps(c.IPv6Table), "ipv6-table", "%d is one of own-tables", c.IPv6Table)
	check(c.Tables > 0 && c.Tables <= ^uint32(0)-topology.TableCount, "own-tables", "%d: there must be %d from it on, above 0", c.Tables, topology.TableCount)
	check(c.Fill <= maxFill, "answer-psid-len", "%d is more than %d", c.Fill, maxFill)
	check(c.ScriptLines >= 1 && c.ScriptLines <= maxScriptLines, "script-lines", "%d is not between 1 and %d", c.ScriptLines, maxScriptLines)
	check(c.ExceptionRate == 0 || c.ExceptionRate >= minExceptionRate && c.ExceptionRate <= maxExceptionRate,
		"exception-rate", "%d is neither 0 nor between %d and %d", c.ExceptionRate, minExceptionRate, maxExceptionRate)
	for _, d := range []struct {
		key   string
		value time.Duration
	}{
		{"call-timeout", c.CallTimeout}, {"ping-interval", c.PingInterval}, {"unresponsive", c.Unresponsive},
		{"probe-timeout", c.ProbeTimeout},
		{"retry-min", c.RetryMin}, {"retry-max", c.RetryMax},
	} {
		check(d.value >= time.Millisecond && d.value <= time.Hour, d.key, "%s is not between 1ms and 1h", d.value)
	}
	check(c.RetryMin <= c.RetryMax, "retry-min", "%s is more than retry-max (%s)", c.RetryMin, c.RetryMax)
	if err := c.Forwarding.Validate(); err != nil {
		errs = append(errs, element.At("forwarding", err))
	}
	return errors.Join(errs...)
}

func validInstance(s string) bool {
	if len(s) < 1 || len(s) > maxInstance {
		return false
	}
	for _, r := range s {
		if !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '-') {
			return false
		}
	}
	return true
}

func (c Config) exceptions() string {
	if c.Exceptions != "" {
		return c.Exceptions
	}
	return filepath.Join(filepath.Dir(c.API), "lw4o6-"+c.Instance+".sock")
}

func (c Config) tag() string { return "lw4o6:" + c.Instance }

// sides are the interfaces with what they are to be.
func (c Config) sides() []ports.Side {
	return []ports.Side{
		{Side: dataplane.SideIPv4, Table: c.IPv4Table, MTU: c.Forwarding.IPv4MTU, Interfaces: c.Interfaces.IPv4},
		{Side: dataplane.SideIPv6, Table: c.IPv6Table, MTU: c.Forwarding.TunnelMTU, Interfaces: c.Interfaces.IPv6},
	}
}

// The headers of a TCP segment that an MTU must have room for besides its MSS.
const (
	ip4Header  = 20
	ip6Header  = 40
	tcpHeaders = ip4Header + 20
)

// topology is the part of c that the topology is made for.
func (c Config) topology() topology.Config {
	f := c.Forwarding
	t := topology.Config{
		Tag: c.tag(), Tables: c.Tables, IPv4Table: c.IPv4Table, IPv6Table: c.IPv6Table,
		Own4: f.IPv4Address, TunnelMTU: uint16(f.TunnelMTU), IgnoreDF: f.IgnoreDF,
		ICMPFromIPv4: f.ICMPv4.FromIPv4, ICMPFromB4: f.ICMPv4.FromB4,
		Hairpin: f.Hairpin, PolicyError: f.ICMPv6.Policy, Fill: c.fill(), ExceptionRate: uint32(c.ExceptionRate),
		Reassembly4: reassembly(f.Reassembly.IPv4), Reassembly6: reassembly(f.Reassembly.IPv6),
	}
	if f.ClampMSS {
		t.MSS = uint16(min(f.TunnelMTU-ip6Header, f.IPv4MTU) - tcpHeaders)
	}
	return t
}

func reassembly(c forwarder.ReassemblyConfig) topology.Reassembly {
	return topology.Reassembly{
		Packets: uint32(c.MaxPackets), Fragments: uint32(c.MaxFragments), Timeout: uint32(c.Timeout.Milliseconds()),
	}
}

// fill is the longest psid-len whose free PSIDs are answered.
func (c Config) fill() uint8 {
	if !c.Forwarding.ICMPv4.Unreachable {
		return 0
	}
	return c.Fill
}

// inside reports whether an address is in one of prefixes.
func inside(prefixes []netip.Prefix, a netip.Addr) bool {
	for _, p := range prefixes {
		if p.Contains(a) {
			return true
		}
	}
	return false
}
