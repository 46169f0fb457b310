package scene

import (
	"context"
	"net/netip"
	"path/filepath"
	"text/template"

	"github.com/lwaftr/lw4o6/plugin/control/api"
)

// What the second lwAFTR has.
var (
	// SecondBR is its tunnel endpoint.
	SecondBR = netip.MustParseAddr("2001:db8:ffff:2::1")
	// SecondPool is its shared addresses.
	SecondPool = netip.MustParsePrefix("198.18.0.0/24")
)

const (
	secondAccess   = "2001:db8:0:fd::/64" // access 1, aftr2 2
	secondInternet = "198.51.99.0/24"     // aftr2 1, internet 2
)

// secondFile is the configuration of the second lwAFTR.
var secondFile = template.Must(template.New("lwaftr2.yaml").Parse(`
pools:
  - {name: second, prefixes: [{{.Pool}}], psid-len: 6, br-ipv6-addr: "{{.BR}}", mechanisms: [pcp], quota: 4, hold-down: 1s}
store: {path: {{.Folder}}/leases2.db}
history: {path: {{.Folder}}/history2}
pcp: {enabled: true}
dataplane: {forwarder: {ipv4-address: {{.Router}}}}
control: {socket: {{.Socket}}}
`))

// buildSecond adds the second lwAFTR's node, which shares nothing with the first.
func (s *Scene) buildSecond(w *wiring) {
	s.Second = w.node("aftr2")
	w.router(s.Second)
	w.link(s.Access, "aftr2", s.Second, AFTRAccess, secondAccess)
	w.link(s.Second, AFTRInternet, s.Internet, "eth1", secondInternet)
	w.route(s.Access, netip.PrefixFrom(SecondBR, 128), on(secondAccess, 2))
	w.route(s.Second, anyIPv6, on(secondAccess, 1))
	w.route(s.Second, anyIPv4, on(secondInternet, 2))
	w.route(s.Internet, SecondPool, on(secondInternet, 1))
}

// StartSecond starts the second lwAFTR and returns when it is ready.
func (s *Scene) StartSecond(ctx context.Context) error {
	socket := filepath.Join(s.folder, "control2.sock")
	path, err := s.configure("lwaftr2.yaml", secondFile, map[string]any{
		"Pool": SecondPool, "BR": SecondBR, "Router": RouterAddr, "Socket": socket,
		"Folder": s.folder,
	})
	if err != nil {
		return err
	}
	if s.second, err = s.Nodes.Second.Start(s.options.Binaries.Lwaftr, "run", "-c", path); err != nil {
		return err
	}
	control := api.NewClient(socket)
	defer control.Close()
	return await(ctx, "the second lwaftr", s.second, func() bool {
		status, err := control.Status(ctx)
		return err == nil && status.Ready
	})
}
