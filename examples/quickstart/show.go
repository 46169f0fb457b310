package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/lwaftr/lw4o6/integration/netlab"
	"github.com/lwaftr/lw4o6/integration/scene"
	"github.com/lwaftr/lw4o6/plugin/portset"
	"github.com/lwaftr/lw4o6/vppdrv/vpptest"
)

// Exit codes.
const (
	exitOK     = 0
	exitFailed = 1 // the scene did not come up, or a check failed
	exitUsage  = 2 // the command line is wrong
)

// limit bounds the demonstration after the build.
const limit = 3 * time.Minute

// settings are the flags.
type settings struct {
	folder    string
	dataplane string
	devices   string
	split     string
	provision string
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	var s settings
	code := exitUsage
	cmd := &cobra.Command{
		Use:   "quickstart",
		Short: "Show the lwAFTR at work in network namespaces",
		Example: `  quickstart
  quickstart --bin build --devices packet --psid 6/8 --provision dhcpv6
  quickstart --dataplane vpp`,
		SilenceUsage: true, SilenceErrors: true,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			o, err := s.options()
			if err != nil {
				return err
			}
			code = exitFailed
			return show(cmd.Context(), s.folder, o, stdout)
		},
	}
	f := cmd.Flags()
	f.StringVar(&s.folder, "bin", beside(), "folder with lwaftr, lwb4 and coredhcp; without one they are built")
	f.StringVar(&s.dataplane, "dataplane", "forwarder", "what forwards: forwarder or vpp")
	f.StringVar(&s.devices, "devices", string(scene.DevicesTUN), "how the forwarder gets at packets: tun or packet")
	f.StringVar(&s.split, "psid", "0/6", "psid-offset/psid-len of the shared address; psid-len 0 for whole addresses")
	f.StringVar(&s.provision, "provision", string(scene.ProvisionBoth),
		"how the CPEs get their softwires: pcp, dhcpv6, both (one each) or static")
	cmd.SetArgs(args)
	cmd.SetOut(stdout)
	cmd.SetErr(stderr)
	if err := cmd.ExecuteContext(ctx); err != nil {
		fmt.Fprintln(stderr, "quickstart: "+err.Error())
		return code
	}
	return exitOK
}

// beside is the folder of this program if the others are there too.
func beside() string {
	self, err := os.Executable()
	if err != nil {
		return ""
	}
	folder := filepath.Dir(self)
	b := scene.In(folder)
	for _, path := range []string{b.Lwaftr, b.Lwb4, b.Coredhcp} {
		if _, err := os.Stat(path); err != nil {
			return ""
		}
	}
	return folder
}

func (s settings) options() (scene.Options, error) {
	var o scene.Options
	var err error
	switch s.dataplane {
	case "forwarder":
	case "vpp":
		if s.devices != string(scene.DevicesTUN) {
			return o, fmt.Errorf("--devices: %q is for the forwarder; VPP has interfaces of its own", s.devices)
		}
		if o.VPP, err = vpptest.Find(); err != nil {
			return o, fmt.Errorf("--dataplane vpp: %w (docs/vpp.md says how to get it)", err)
		}
	default:
		return o, fmt.Errorf("--dataplane: %q is neither forwarder nor vpp", s.dataplane)
	}
	switch o.Devices = scene.Devices(s.devices); o.Devices {
	case scene.DevicesTUN, scene.DevicesPacket:
	default:
		return o, fmt.Errorf("--devices: %q is neither tun nor packet", s.devices)
	}
	if o.Params, err = portset.ParseParams(s.split); err != nil {
		return o, fmt.Errorf("--psid: %w", err)
	}
	o.WholeAddresses = o.Params.Whole()
	switch o.Provision = scene.Provision(s.provision); o.Provision {
	case scene.ProvisionStatic, scene.ProvisionDHCPv6:
	case scene.ProvisionPCP, scene.ProvisionBoth:
		if o.WholeAddresses || o.Params.Offset() > 0 {
			return o, fmt.Errorf("--provision %s: PCP tells of ports that follow each other; with --psid %s use dhcpv6 or static", o.Provision, s.split)
		}
	default:
		return o, fmt.Errorf("--provision: %q is none of pcp, dhcpv6, both and static", s.provision)
	}
	return o, nil
}

var errChecks = errors.New("not every check passed")

// show runs the scene and prints what there is to see. The error is errChecks,
// or why there was nothing to check.
func show(ctx context.Context, folder string, o scene.Options, out io.Writer) (err error) {
	if err := netlab.Available(); err != nil {
		return err
	}
	if o.Binaries = scene.In(folder); folder == "" {
		if folder, err = os.MkdirTemp("", "lw4o6-quickstart-"); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, os.RemoveAll(folder)) }()
		fmt.Fprintln(out, "building lwaftr, lwb4 and coredhcp")
		if o.Binaries, err = scene.Build(ctx, folder); err != nil {
			return err
		}
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	o.Progress = func(format string, args ...any) { fmt.Fprintf(out, format+"\n", args...) }
	fmt.Fprint(out, picture)
	s, err := scene.Start(ctx, o)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	var results []scene.Result
	for _, check := range scene.Checks() {
		fmt.Fprintf(out, "checking: %s\n", check.Name)
		results = append(results, s.Run(ctx, check))
	}
	for _, part := range []struct {
		title string
		write func(context.Context, io.Writer) error
	}{
		{"What the CPEs say", s.WriteCPEs},
		{"Binding table", s.WriteTable},
		{"Capture of a ping of host1 and a datagram of host2", s.WriteCapture},
		{"Counters of the lwAFTR", s.WriteCounters},
	} {
		fmt.Fprintf(out, "\n%s\n", part.title)
		if err := part.write(ctx, out); err != nil {
			return err
		}
	}
	return conclude(results, out)
}

const picture = `
  host1 --- cpe1 \                                 IPv4 in the LANs: 192.168.1.0/24, 192.168.2.0/24
                  access --- aftr --- internet     IPv6 only: cpe1, cpe2, access
  host2 --- cpe2 /                                 IPv4 only: internet (203.0.113.1)

`

// conclude prints the table of checks.
func conclude(results []scene.Result, out io.Writer) error {
	fmt.Fprintf(out, "\nChecks\n")
	t := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	failed := 0
	for _, r := range results {
		verdict, seen := "pass", r.Evidence
		if r.Err != nil {
			verdict, seen = "FAIL", r.Err.Error()
			failed++
		}
		fmt.Fprintf(t, "%s\t%s\t%.1f s\t%s\n", verdict, r.Name, r.Took.Seconds(), seen)
	}
	if err := t.Flush(); err != nil {
		return err
	}
	fmt.Fprintf(out, "\n%d passed, %d failed\n", len(results)-failed, failed)
	if failed > 0 {
		return errChecks
	}
	return nil
}
