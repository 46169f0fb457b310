package edge

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"net/netip"
	"os"
	"text/template"

	"github.com/lwaftr/lw4o6/vppdrv/vpptest"
)

// The addresses of the edge, with the lengths of their subnets.
const (
	router4, upstream4 = "198.51.100.1/24", "198.51.100.2/24"
	router6, upstream6 = "2001:db8:1::1/64", "2001:db8:1::2/64"
)

// Pool is what the router announces, besides its BR address.
var (
	Pool = netip.MustParsePrefix("100.64.0.0/16")
	br   = netip.MustParsePrefix("2001:db8:ffff::1/128")
)

// psidLen is that of the pool: so many bits of the ports tell softwires of an
// address apart.
const psidLen = 6

func prefix(text string) netip.Prefix { return netip.MustParsePrefix(text) }

// upstreamFile is BIRD's side of both sessions.
const upstreamFile = `
protocol bgp four {
	local 198.51.100.2 as 64501; neighbor 198.51.100.1 as 64500;
	ipv4 { import all; export none; };
}
protocol bgp six {
	local 2001:db8:1::2 as 64501; neighbor 2001:db8:1::1 as 64500;
	ipv6 { import all; export none; };
}
`

var routerFile = template.Must(template.New("lwaftr.yaml").Parse(`
pools:
  - {name: home, prefixes: [{{.Pool}}], psid-len: {{.PSIDLen}}, br-ipv6-addr: "{{.BR}}"{{if .Store}}, mechanisms: [static]{{end}}}
softwires:
  files: [{path: softwires.csv}]
dataplane:
{{- if .VPP}}
  type: vpp
  vpp:
    api-socket: {{.VPP.API}}
    stats-socket: {{.VPP.Stats}}
    punt-socket: {{.VPP.Punt}}
    retry-max: 200ms
{{- else}}
  type: forwarder
{{- end}}
bgp:
  router-id: 198.51.100.1
  as: 64500
  peers:
    - {name: four, address: 198.51.100.2, as: 64501, connect-retry: 1s, families: [ipv4], {{.Peers}}}
    - {name: six, address: "2001:db8:1::2", as: 64501, connect-retry: 1s, families: [ipv6], {{.Peers}}}
  announce: {state-file: {{.State}}, {{.Announce}}}
{{- if .Store}}
store:
  path: {{.Store}}
{{- end}}
control:
  socket: {{.Socket}}
`))

func (e *Edge) writeConfig() error {
	data := map[string]any{
		"Pool": Pool, "PSIDLen": psidLen, "BR": br.Addr(), "State": e.path("announce.json"),
		"Announce": e.options.Announce, "Peers": e.options.Peers, "Socket": e.path("control.sock"),
	}
	if e.options.Leases {
		data["Store"] = e.path("leases.db")
	}
	if e.options.VPP != "" {
		data["VPP"] = vpptest.PathsIn(e.folder)
	}
	var text bytes.Buffer
	if err := routerFile.Execute(&text, data); err != nil {
		return err
	}
	return os.WriteFile(e.path("lwaftr.yaml"), text.Bytes(), 0o600)
}

// writeSoftwires fills one address after the other.
func (e *Edge) writeSoftwires() error {
	var text bytes.Buffer
	fmt.Fprintln(&text, "binding-ipv4-addr,psid,binding-ipv6info")
	first := Pool.Addr().As4()
	b4 := netip.MustParseAddr("2001:db8:8000::1").As16()
	for i := range uint32(e.options.Softwires) {
		var ip [4]byte
		binary.BigEndian.PutUint32(ip[:], binary.BigEndian.Uint32(first[:])+i>>psidLen)
		binary.BigEndian.PutUint32(b4[6:], i)
		fmt.Fprintf(&text, "%s,%d,%s\n", netip.AddrFrom4(ip), i%(1<<psidLen), netip.AddrFrom16(b4))
	}
	return os.WriteFile(e.path("softwires.csv"), text.Bytes(), 0o600)
}
