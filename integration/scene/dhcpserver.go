package scene

import (
	"context"
	"path/filepath"
	"strings"
	"text/template"
)

// The configurations of coredhcp and of its plugin.
var (
	coredhcpFile = template.Must(template.New("coredhcp.yaml").Parse(`
server6:
  listen:
{{- range .Links}}
    - "[ff02::1:2%{{.}}]:547"
{{- end}}
  plugins:
    - server_id: LL 02:00:5e:10:00:01
    - lw4o6: {{.Plugin}}
`))
	pluginFile = template.Must(template.New("lw4o6.yaml").Parse(`
store: {{.Store}}
router: {socket: {{.Socket}}}
dhcpv6:
  patience: 3s
  retry: 1s
  pools:
    - {name: access, prefixes: ["{{.Prefix}}"], delegated-len: {{.Prefix.Bits}}}
`))
)

// startDHCPv6 starts a DHCPv6 server for each CPE that asks one: on its link, with the
// one prefix that is routed to it, since nobody tells the access router of routes.
func (s *Scene) startDHCPv6(ctx context.Context) error {
	for _, sub := range s.Subscribers {
		if s.by(sub.Number) != ProvisionDHCPv6 {
			continue
		}
		link := AccessCPE(sub.Number)
		plugin, err := s.configure("lw4o6-"+link+".yaml", pluginFile, map[string]any{
			"Store": filepath.Join(s.folder, "delegations-"+link+".db"), "Socket": s.Socket(), "Prefix": sub.Prefix,
		})
		if err != nil {
			return err
		}
		path, err := s.configure("coredhcp-"+link+".yaml", coredhcpFile, map[string]any{"Links": []string{link}, "Plugin": plugin})
		if err != nil {
			return err
		}
		p, err := s.Access.Start(s.options.Binaries.Coredhcp, "-c", path)
		if err != nil {
			return err
		}
		err = await(ctx, "coredhcp on "+link, p, func() bool { return strings.Contains(p.Output(), "Starting DHCPv6 server") })
		if err != nil {
			return err
		}
	}
	return nil
}
