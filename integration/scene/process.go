package scene

import (
	"bytes"
	"context"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"text/template"
	"time"

	"github.com/lwaftr/lw4o6/integration/netlab"
	"github.com/lwaftr/lw4o6/plugin/control/api"
	"github.com/lwaftr/lw4o6/plugin/softwire"
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
control:
  socket: {{.Socket}}
`))

// cpeFile is the configuration of a CPE.
var cpeFile = template.Must(template.New("lwb4.yaml").Parse(`
source: {{.Source}}
{{- if eq .Source "static"}}
softwire:
  b4-ipv6-addr: "{{.Softwire.B4}}"
  br-ipv6-addr: "{{.Softwire.BR}}"
  ipv4-addr: {{.Softwire.IPv4}}
  psid-offset: {{.Softwire.PortSet.Params.Offset}}
  psid-len: {{.Softwire.PortSet.Params.Length}}
  psid: {{.Softwire.PortSet.PSID}}
{{- else}}
pcp:
  b4-ipv6-addr: "{{.Softwire.B4}}"
  aftrs: [{{range .AFTRs}}"{{.}}", {{end}}]
  transport: {{.Transport}}
  patience: 5s
  check: 2s
  max-port-sets: {{.PortSets}}
recovery: {after: 1s}
state: {{.State}}
{{- end}}
lan:
  interface: {{.Interface}}
  prefix: {{.LAN}}
{{- if eq .Source "static"}}
forwards:
  - {protocol: tcp, port: {{.FilePort}}, to: "{{.Host}}:{{.HostFilePort}}"}
  - {protocol: udp, port: {{.EchoPort}}, to: "{{.Host}}:{{.HostEchoPort}}"}
{{- end}}
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
		"Devices": string(s.options.Devices), "Queues": s.options.Queues, "Socket": s.Socket(),
		"IPv4Name": AFTRInternet, "IPv4Addr": on(internetLink, 1), "IPv4Hop": on(internetLink, 2).Addr(),
		"IPv6Name": AFTRAccess, "IPv6Addr": on(aftrLink, 2), "IPv6Hop": on(aftrLink, 1).Addr(),
	}
	if data["PCP"], data["DHCPv6"] = s.options.PCP, s.options.DHCPv6; s.options.PCP || s.options.DHCPv6 {
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

// StartCPE starts the CPE of a subscriber and returns when its softwire is up.
func (s *Scene) StartCPE(ctx context.Context, number int) error {
	sub := &s.Subscribers[number-1]
	aftrs := []netip.Addr{BR}
	if s.options.Second {
		aftrs = append(aftrs, SecondBR)
	}
	path, err := s.configure(fmt.Sprintf("lwb4-%d.yaml", number), cpeFile, map[string]any{
		"Source": string(s.options.Provision), "AFTRs": aftrs, "Transport": "softwire", "PortSets": s.options.PortSets,
		"State":    filepath.Join(s.folder, fmt.Sprintf("lwb4-%d.json", number)),
		"Softwire": sub.Softwire, "Interface": CPELAN, "LAN": sub.LAN, "Host": sub.Host,
		"FilePort": sub.FilePort, "EchoPort": sub.EchoPort, "HostFilePort": filePort, "HostEchoPort": echoPort,
	})
	if err != nil {
		return err
	}
	p, err := s.CPEs[number-1].Start(s.options.Binaries.Lwb4, "run", "-c", path)
	if err != nil {
		return err
	}
	s.cpes[number-1] = p
	err = await(ctx, fmt.Sprintf("lwb4 of subscriber %d", number), p, func() bool {
		return strings.Contains(p.Output(), "softwire is up")
	})
	if err != nil || s.options.Provision == ProvisionStatic {
		return err
	}
	all, err := s.Holds(ctx, number)
	if err == nil && len(all) == 0 {
		err = fmt.Errorf("subscriber %d has a softwire that the lwAFTR does not know", number)
	}
	if err == nil {
		sub.Softwire = all[0]
	}
	return err
}

// Holds is the softwires that the lwAFTR has for a subscriber.
func (s *Scene) Holds(ctx context.Context, number int) (all []softwire.Softwire, err error) {
	for row, err := range s.client.Softwires(ctx, api.SoftwireFilter{}) {
		if err != nil {
			return nil, err
		}
		w, err := row.Softwire()
		if err != nil {
			return nil, err
		}
		if s.Subscribers[number-1].Prefix.Contains(w.B4) {
			all = append(all, w)
		}
	}
	return all, nil
}

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
