package imports

// rule says what a package of this module may import.
type rule struct {
	// pkg is the package, relative to the module; "dir/..." is dir and all
	// below it. The first rule that matches a package counts.
	pkg string
	// may lists what it may import of this module, written like pkg. Its tests
	// may import more, but nothing above them (see checkTests).
	may []string
	// stdOnly forbids packages of other modules.
	stdOnly bool
	// core forbids VPP, BGP, DHCP and PCP, also through other packages.
	core bool
	// without lists further prefixes of import paths that it never depends on,
	// also through other packages.
	without []string
}

// rules is the one place that says which way imports point: down. A package
// that no rule matches fails the test, so a new package states its place here.
var rules = []rule{
	{pkg: "plugin/portset", stdOnly: true, core: true},
	{pkg: "plugin/softwire", may: list("plugin/portset"), stdOnly: true, core: true},
	{pkg: "plugin/dataplane", may: list("plugin/softwire", "plugin/portset"), core: true},
	{pkg: "plugin/dataplane/...", may: list("plugin/dataplane", "plugin/softwire", "plugin/portset"), core: true},
	{pkg: "plugin/config/element", stdOnly: true, core: true},
	{pkg: "plugin/limiter", stdOnly: true, core: true},
	{pkg: "plugin/histogram", stdOnly: true, core: true},
	{pkg: "plugin/rcvbuf", core: true},
	{pkg: "plugin/crew", stdOnly: true, core: true},
	{pkg: "plugin/pool", may: list("plugin/softwire", "plugin/portset"), core: true},
	{pkg: "plugin/config/...", may: list("plugin/config/...", "plugin/pool", "plugin/softwire", "plugin/portset"), core: true},

	// Cutting and reassembly are bytes in, bytes out; netio moves packets and
	// does not know what becomes of them.
	{pkg: "plugin/forwarder/checksum", stdOnly: true, core: true},
	{pkg: "plugin/forwarder/fragment", may: list("plugin/forwarder/checksum"), stdOnly: true, core: true},
	{pkg: "plugin/forwarder/reassembly", may: list("plugin/forwarder/checksum"), stdOnly: true, core: true},
	{pkg: "plugin/forwarder/netio/...", may: list("plugin/forwarder/netio/...", "plugin/dataplane", "plugin/forwarder/checksum"), core: true},
	{pkg: "plugin/forwarder", may: list("plugin/forwarder/...", "plugin/dataplane", "plugin/softwire", "plugin/portset"), core: true},

	{pkg: "plugin/reconcile", may: list("plugin/dataplane", "plugin/pool", "plugin/softwire", "plugin/portset"), core: true},
	{pkg: "plugin/lease", may: list("plugin/pool", "plugin/softwire", "plugin/portset"), core: true},
	{pkg: "plugin/store/history/blockfile", stdOnly: true, core: true},
	{pkg: "plugin/store/history/journal", stdOnly: true, core: true},
	{pkg: "plugin/store/history/eventlog", may: list("plugin/store/history", "plugin/lease", "plugin/softwire", "plugin/portset"), core: true},
	{pkg: "plugin/store/history", may: list("plugin/store/history/blockfile", "plugin/store/history/journal", "plugin/store", "plugin/lease", "plugin/pool", "plugin/softwire", "plugin/portset"), core: true},
	{pkg: "plugin/store/...", may: list("plugin/store", "plugin/lease", "plugin/pool", "plugin/softwire", "plugin/portset"), core: true},
	{pkg: "plugin/provision/clock", stdOnly: true, core: true},
	{pkg: "plugin/provision", may: list("plugin/provision/clock", "plugin/lease", "plugin/store", "plugin/store/history", "plugin/reconcile", "plugin/pool", "plugin/softwire", "plugin/portset"), core: true},
	{pkg: "plugin/announce", may: list("plugin/reconcile", "plugin/dataplane", "plugin/pool", "plugin/softwire", "plugin/portset"), core: true},
	{pkg: "plugin/control/api", may: list("plugin/pool", "plugin/softwire", "plugin/portset"), core: true},
	{pkg: "plugin/control/stream", may: list("plugin/control/api", "plugin/crew", "plugin/lease", "plugin/pool", "plugin/softwire", "plugin/portset"), core: true},
	{pkg: "plugin/control", may: list("plugin/control/api", "plugin/control/stream", "plugin/provision", "plugin/lease", "plugin/store/history", "plugin/announce", "plugin/dataplane", "plugin/pool", "plugin/softwire", "plugin/portset"), core: true},
	{pkg: "plugin/metrics", may: list("plugin/dataplane", "plugin/reconcile", "plugin/lease", "plugin/provision", "plugin/provision/clock", "plugin/announce", "plugin/store", "plugin/store/history", "plugin/pool", "plugin/softwire", "plugin/portset"), core: true},

	// The composition root takes everything, and so is not core.
	{pkg: "plugin", may: list("plugin/...", "vppdrv", "pcp/...", "bgp", "bgp/feed", "coredhcp-plugin/..."), without: list("github.com/osrg/gobgp", "github.com/coredhcp")},

	{pkg: "vppdrv/...", may: list("vppdrv/...", "plugin/forwarder/...", "plugin/dataplane", "plugin/softwire", "plugin/portset")},
	{pkg: "pcp/pcpmsg"},
	{pkg: "pcp/datagram", may: list("plugin/forwarder/checksum")},
	{pkg: "pcp/datagram/datagramtest", may: list("pcp/datagram")},
	{pkg: "pcp/udp", may: list("plugin/rcvbuf", "pcp/datagram")},
	{pkg: "pcp/client", may: list("pcp/pcpmsg", "plugin/portset")},
	{pkg: "pcp", may: list("pcp/pcpmsg", "pcp/datagram", "plugin/limiter", "plugin/portset")},
	// GoBGP is in the speaker's process only.
	{pkg: "bgp/feed", stdOnly: true},
	{pkg: "bgp/speaker", may: list("bgp/feed")},
	{pkg: "bgp", may: list("bgp/feed", "plugin/announce", "plugin/pool"), without: list("github.com/osrg/gobgp")},
	{pkg: "coredhcp-plugin/s46", may: list("plugin/portset")},
	{pkg: "coredhcp-plugin/delegation", may: list("plugin/provision/clock", "plugin/store", "plugin/softwire", "plugin/portset")},
	{pkg: "coredhcp-plugin/server", may: list("coredhcp-plugin/delegation", "coredhcp-plugin/s46", "plugin/limiter", "plugin/pool", "plugin/store", "plugin/softwire", "plugin/portset"), without: list("github.com/coredhcp")},
	{pkg: "coredhcp-plugin/listen", may: list("plugin/crew", "plugin/rcvbuf")},
	{pkg: "coredhcp-plugin/source", may: list("coredhcp-plugin/server", "coredhcp-plugin/s46", "plugin/provision", "plugin/lease", "plugin/pool", "plugin/store", "plugin/control/api", "plugin/control/stream", "pcp/client", "pcp/pcpmsg", "plugin/softwire", "plugin/portset"), without: list("github.com/coredhcp")},
	{pkg: "coredhcp-plugin/lw4o6", may: list("coredhcp-plugin/delegation", "coredhcp-plugin/server", "coredhcp-plugin/source", "pcp/client", "pcp/pcpmsg", "plugin/config", "plugin/control/api", "plugin/store", "plugin/store/bolt")},

	{pkg: "examples/...", may: list("...")},
	{pkg: "integration/...", may: list("...")},
}

// leaves are packages of ours that every package may import but those that use
// the standard library only.
var leaves = list("plugin/config/element", "plugin/histogram")

// tops are the folders that nothing outside them imports, tests included.
var tops = list("examples/...", "integration/...")

// outsideCore is what core packages never depend on, as prefixes of import
// paths: VPP, BGP, DHCP and PCP, ours and other people's.
var outsideCore = list(
	"go.fd.io/govpp",
	"github.com/osrg/gobgp",
	"github.com/coredhcp",
	"github.com/insomniacslk/dhcp",
	module+"/vppdrv",
	module+"/bgp",
	module+"/pcp",
	module+"/coredhcp-plugin",
)

func list(s ...string) []string { return s }
