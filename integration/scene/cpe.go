package scene

import (
	"context"
	"fmt"
	"io"
	"net/netip"
	"path/filepath"
	"strings"
	"text/template"

	"github.com/lwaftr/lw4o6/plugin/control/api"
	"github.com/lwaftr/lw4o6/plugin/softwire"
)

// Provision is how CPEs get their softwires.
type Provision string

// The ways.
const (
	ProvisionStatic Provision = "static" // they and the lwAFTR are configured
	ProvisionPCP    Provision = "pcp"    // they ask the lwAFTR
	ProvisionDHCPv6 Provision = "dhcpv6" // they ask a server on the access router
	ProvisionBoth   Provision = "both"   // the first by PCP, the second by DHCPv6
)

// by is how one subscriber's CPE gets its softwire.
func (s *Scene) by(number int) Provision {
	switch {
	case s.options.Provision != ProvisionBoth:
		return s.options.Provision
	case number == 1:
		return ProvisionPCP
	}
	return ProvisionDHCPv6
}

// anyBy says whether any CPE gets its softwire in a way.
func (s *Scene) anyBy(p Provision) bool {
	for number := 1; number <= Subscribers; number++ {
		if s.by(number) == p {
			return true
		}
	}
	return false
}

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
forwards:
  - {protocol: tcp, port: {{.FilePort}}, to: "{{.Host}}:{{.HostFilePort}}"}
  - {protocol: udp, port: {{.EchoPort}}, to: "{{.Host}}:{{.HostEchoPort}}"}
{{- else}}
{{- if eq .Source "pcp"}}
pcp:
  b4-ipv6-addr: "{{.Softwire.B4}}"
  aftrs: [{{range .AFTRs}}"{{.}}", {{end}}]
  patience: 3s
  check: 1s
  max-port-sets: {{.PortSets}}
{{- else}}
dhcpv6:
  interface: {{.WAN}}
{{- end}}
recovery: {after: 1s}
state: {{.State}}
{{- end}}
lan:
  interface: {{.Interface}}
  prefix: {{.LAN}}
status:
  socket: {{.Status}}
`))

// StartCPE starts the CPE of a subscriber and returns when its softwire is up.
func (s *Scene) StartCPE(ctx context.Context, number int) error {
	sub := &s.Subscribers[number-1]
	aftrs := []netip.Addr{BR}
	if s.options.Second {
		aftrs = append(aftrs, SecondBR)
	}
	path, err := s.configure(fmt.Sprintf("lwb4-%d.yaml", number), cpeFile, map[string]any{
		"Source": string(s.by(number)), "AFTRs": aftrs, "PortSets": s.options.PortSets, "WAN": CPEWAN,
		"State": filepath.Join(s.folder, fmt.Sprintf("lwb4-%d.json", number)), "Status": s.statusSocket(number),
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
	if err != nil || s.by(number) == ProvisionStatic {
		return err
	}
	all, err := s.Holds(ctx, number)
	if err == nil && len(all) == 0 {
		err = fmt.Errorf("subscriber %d has a softwire that the lwAFTR does not know", number)
	}
	if err != nil {
		return err
	}
	sub.Softwire = all[0]
	return s.openServices(ctx, sub)
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

func (s *Scene) statusSocket(number int) string {
	return filepath.Join(s.folder, fmt.Sprintf("lwb4-%d.sock", number))
}

// WriteCPEs prints what the CPEs say of themselves.
func (s *Scene) WriteCPEs(_ context.Context, out io.Writer) error {
	for number := 1; number <= Subscribers; number++ {
		p, err := s.CPEs[number-1].Start(s.options.Binaries.Lwb4, "status", "-s", s.statusSocket(number))
		if err != nil {
			return err
		}
		if err := p.Wait(); err != nil {
			return fmt.Errorf("lwb4 status: %w\n%s", err, p.Output())
		}
		fmt.Fprintf(out, "cpe%d:\n", number)
		for line := range strings.Lines(p.Output()) {
			fmt.Fprintf(out, "  %s", line)
		}
	}
	return nil
}
