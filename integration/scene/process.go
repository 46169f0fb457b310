package scene

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"text/template"
	"time"

	"github.com/lwaftr/lw4o6/integration/netlab"
	"github.com/lwaftr/lw4o6/vppdrv/vpptest"
)

// routerFile is the configuration of the lwAFTR.
var routerFile = template.Must(template.New("lwaftr.yaml").Parse(`
pools:
  - name: shared
    prefixes: [{{.Pool}}]
    psid-offset: {{.Params.Offset}}
    psid-len: {{.Params.Length}}
    br-ipv6-addr: {{.BR}}
{{- if .Store}}
    mechanisms: [static{{if .PCP}}, pcp{{end}}{{if .DHCPv6}}, dhcpv6{{end}}]
    lifetime: {min: 1s}
{{- end}}
{{- if .Lent}}
    quota: 4
    hold-down: 1s
{{- end}}
softwires:
  static:
{{- range .Softwires}}
    - {binding-ipv4-addr: {{.IPv4}}, binding-ipv6info: "{{.B4}}", psid: {{.PortSet.PSID}}}
{{- end}}
dataplane:
{{- if .VPP}}
  type: vpp
  vpp:
    api-socket: {{.VPP.API}}
    stats-socket: {{.VPP.Stats}}
    punt-socket: {{.VPP.Punt}}
    ipv4-address: {{.Router}}
    retry-max: 200ms
    interfaces:
      ipv4:
        - {name: host-{{.IPv4Name}}, addresses: [{{.IPv4Addr}}], next-hop: {{.IPv4Hop}}}
      ipv6:
        - {name: host-{{.IPv6Name}}, addresses: ["{{.IPv6Addr}}"], next-hop: "{{.IPv6Hop}}"}
{{- else}}
  forwarder:
    ipv4-address: {{.Router}}
    io:
{{- if eq .Devices "packet"}}
      ipv4: {type: packet, name: {{.IPv4Name}}, next-hop: {{.IPv4Hop}}}
      ipv6: {type: packet, name: {{.IPv6Name}}, next-hop: "{{.IPv6Hop}}"}
{{- end}}
      queues: {{.Queues}}
{{- end}}
{{- if .Store}}
store:
  path: {{.Store}}
{{- end}}
{{- if .PCP}}
pcp:
  enabled: true
  any-protocol: true
  third-parties: ["{{.Operator}}/128"]
{{- end}}
{{.Sections}}
control:
  socket: {{.Socket}}
`))

// configure writes a file into the scene's folder and returns its path.
func (s *Scene) configure(name string, t *template.Template, data any) (string, error) {
	var text bytes.Buffer
	if err := t.Execute(&text, data); err != nil {
		return "", err
	}
	path := filepath.Join(s.folder, name)
	return path, os.WriteFile(path, text.Bytes(), 0o600)
}

// ConfigureRouter writes the lwAFTR's configuration with the softwires of some
// subscribers, for its next start or reload, and returns its path.
func (s *Scene) ConfigureRouter(numbers ...int) (string, error) {
	data := map[string]any{
		"Pool": Pool, "Params": s.options.Params, "BR": BR, "Router": RouterAddr,
		"Sections": s.options.Sections, "Devices": string(s.options.Devices), "Queues": s.options.Queues, "Socket": s.Socket(),
		"IPv4Name": AFTRInternet, "IPv4Addr": on(internetLink, 1), "IPv4Hop": on(internetLink, 2).Addr(),
		"IPv6Name": AFTRAccess, "IPv6Addr": on(aftrLink, 2), "IPv6Hop": on(aftrLink, 1).Addr(),
	}
	dhcpv6 := s.options.DHCPv6 || s.anyBy(ProvisionDHCPv6)
	if data["PCP"], data["DHCPv6"] = s.options.PCP, dhcpv6; s.options.PCP || dhcpv6 {
		data["Store"], data["Operator"] = s.Store(), OperatorAddr
	}
	if s.options.VPP != "" {
		data["VPP"] = vpptest.PathsIn(s.folder)
	}
	softwires := []any{}
	data["Lent"] = s.options.Provision != ProvisionStatic
	for _, number := range numbers {
		softwires = append(softwires, s.Subscribers[number-1].Softwire)
	}
	data["Softwires"] = softwires
	return s.configure("lwaftr.yaml", routerFile, data)
}

// StartRouter starts the lwAFTR with the softwires of all subscribers, unless
// they are unbound, and returns when all of them are programmed.
func (s *Scene) StartRouter(ctx context.Context) error {
	numbers := []int{1, 2}
	if s.options.Unbound || s.options.Provision != ProvisionStatic {
		numbers = nil
	}
	path, err := s.ConfigureRouter(numbers...)
	if err != nil {
		return err
	}
	if s.aftr, err = s.AFTR.Start(s.options.Binaries.Lwaftr, "run", "-c", path); err != nil {
		return err
	}
	return await(ctx, "lwaftr", s.aftr, func() bool {
		status, err := s.client.Status(ctx)
		return err == nil && status.Ready
	})
}

// Store is the file of the lwAFTR's leases.
func (s *Scene) Store() string { return filepath.Join(s.folder, "leases.db") }

// RouterProcess is the running lwAFTR.
func (s *Scene) RouterProcess() *netlab.Process { return s.aftr }

// CPEProcess is the running CPE of a subscriber.
func (s *Scene) CPEProcess(number int) *netlab.Process { return s.cpes[number-1] }

// await returns when a process is ready. It fails when the process or ctx ends
// before that.
func await(ctx context.Context, name string, p *netlab.Process, ready func() bool) error {
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !ready() {
		select {
		case <-tick.C:
		case <-p.Done():
			return fmt.Errorf("%s ended: %w\n%s", name, p.Wait(), p.Output())
		case <-ctx.Done():
			return fmt.Errorf("%s is not ready: %w\n%s", name, ctx.Err(), p.Output())
		}
	}
	return nil
}
