package scene

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"

	"golang.org/x/sync/errgroup"

	"github.com/lwaftr/lw4o6/integration/netlab"
	"github.com/lwaftr/lw4o6/integration/probe"
	"github.com/lwaftr/lw4o6/plugin/control/api"
	"github.com/lwaftr/lw4o6/plugin/portset"
)

// Options vary the scene. The zero value but for Binaries is the usual one.
type Options struct {
	Binaries Binaries
	// Params split the shared address; unset, each subscriber has 1,024
	// contiguous ports. With WholeAddresses each has an address instead.
	Params         portset.Params
	WholeAddresses bool
	Devices        Devices // of the lwAFTR; DevicesTUN if empty
	Queues         int     // of the lwAFTR; 1 if 0
	// VPP is the path of the VPP that forwards. If it is empty the lwAFTR does so
	// itself, on its devices.
	VPP string
	// PCP has the lwAFTR serve PCP, to generic clients, too.
	PCP bool
	// Sections are more of the lwAFTR's configuration, each with its key, such as bgp:
	// the lwAFTR and the Internet's host are neighbours.
	Sections string
	// DHCPv6 has the lwAFTR lend by DHCPv6, and adds a node for a server, behind the
	// access router.
	DHCPv6 bool
	// Unbound leaves out the softwires and the lwb4s: CPEs have an uplink that
	// knows only IPv6, and have to ask.
	Unbound bool
	// Provision is how the CPEs get their softwires; ProvisionStatic if empty. With
	// others they get what the pool has, and hosts ask for the ports of their services.
	Provision Provision
	// PortSets is how many a CPE may have that asks for them; 1 if 0.
	PortSets int
	// Neighbour adds a second host to the first subscriber's LAN.
	Neighbour bool
	// Second adds a second lwAFTR with a pool of its own, which forwards by itself. It
	// is the CPEs' second choice.
	Second bool
	// Plain runs no lwAFTR and no CPE: the kernels route IPv4 all the way.
	Plain bool
	// Progress is told what is being done, if it is set.
	Progress func(format string, args ...any)
}

// Devices is how the lwAFTR gets at packets.
type Devices string

// The kinds of devices.
const (
	DevicesTUN    Devices = "tun"
	DevicesPacket Devices = "packet"
)

// Scene is the network while it runs.
type Scene struct {
	Nodes
	Subscribers [Subscribers]Subscriber

	options Options
	lab     *netlab.Lab
	folder  string // for configuration and control socket
	aftr    *netlab.Process
	second  *netlab.Process // nil without one
	vpp     *netlab.Process // nil without one
	cpes    [Subscribers]*netlab.Process
	client  *api.Client

	services errgroup.Group // of the hosts
	stop     context.CancelFunc
}

// Start builds the scene and returns when traffic can flow. The error is about
// what did not come up, with what it wrote. Close the scene in any case but
// that.
func Start(ctx context.Context, o Options) (*Scene, error) {
	if o.Params == (portset.Params{}) && !o.WholeAddresses {
		p, err := portset.NewParams(0, 6)
		if err != nil {
			return nil, err
		}
		o.Params = p
	}
	o.Devices = cmp.Or(o.Devices, DevicesTUN)
	o.Queues = cmp.Or(o.Queues, 1)
	o.Provision = cmp.Or(o.Provision, ProvisionStatic)
	o.PortSets = cmp.Or(o.PortSets, 1)
	o.PCP = o.PCP || o.Provision == ProvisionPCP || o.Provision == ProvisionBoth
	if o.Progress == nil {
		o.Progress = func(string, ...any) {}
	}
	s := &Scene{options: o, lab: netlab.New(), stop: func() {}}
	if err := s.start(ctx); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

func (s *Scene) start(ctx context.Context) error {
	var err error
	if s.folder, err = os.MkdirTemp("", "lw4o6-scene-"); err != nil {
		return err
	}
	s.client = api.NewClient(s.Socket())
	for i := range s.Subscribers {
		if s.Subscribers[i], err = subscriber(i+1, s.options.Params); err != nil {
			return err
		}
	}
	s.options.Progress("network namespaces: 2 LAN hosts, 2 CPEs, an IPv6-only access router, the AFTR, an Internet host")
	if err := s.build(); err != nil {
		return err
	}
	if err := s.serve(); err != nil {
		return err
	}
	if s.options.Plain {
		return nil
	}
	if s.options.VPP != "" {
		s.options.Progress("VPP in the place of the AFTR's kernel: %s", s.options.VPP)
		if err := s.StartVPP(ctx); err != nil {
			return err
		}
	}
	s.options.Progress("lwaftr: pool %s, psid-offset %d, psid-len %d, BR address %s",
		Pool, s.options.Params.Offset(), s.options.Params.Length(), BR)
	if err := s.StartRouter(ctx); err != nil {
		return err
	}
	if s.options.Unbound {
		return nil
	}
	if s.options.Second {
		if err := s.StartSecond(ctx); err != nil {
			return err
		}
	}
	if err := s.startDHCPv6(ctx); err != nil {
		return err
	}
	for number := 1; number <= Subscribers; number++ {
		if err := s.provisionCPE(ctx, number); err != nil {
			return err
		}
	}
	return nil
}

// Close ends everything and removes what it left on disk.
func (s *Scene) Close() error {
	s.stop()
	errs := []error{s.services.Wait()}
	if s.client != nil {
		s.client.Close()
	}
	errs = append(errs, s.lab.Close())
	if s.folder != "" {
		errs = append(errs, os.RemoveAll(s.folder))
	}
	return errors.Join(errs...)
}

// serve starts the services of all hosts. They end with the scene.
func (s *Scene) serve() error {
	ctx, stop := context.WithCancel(context.Background())
	s.stop = stop
	hosts := map[netip.Addr]*netlab.Namespace{ServerAddr: s.Internet}
	for i, sub := range s.Subscribers {
		hosts[sub.Host] = s.Hosts[i]
	}
	for addr, node := range hosts {
		l, err := probe.Listen(node, netip.AddrPortFrom(addr, filePort).String())
		if err != nil {
			return fmt.Errorf("%s: file server: %w", node, err)
		}
		s.services.Go(func() error { return probe.FileServer{Listener: l}.Run(ctx) })
		echo, err := probe.OpenDatagram(node, netip.AddrPortFrom(addr, echoPort))
		if err != nil {
			return fmt.Errorf("%s: echo: %w", node, err)
		}
		s.services.Go(func() error { return errors.Join(echo.Echo(ctx), echo.Close()) })
	}
	return nil
}

// Router is the control API of the lwAFTR.
func (s *Scene) Router() *api.Client { return s.client }

// Binaries are the commands that the scene runs.
func (s *Scene) Binaries() Binaries { return s.options.Binaries }

// Socket is the lwAFTR's control socket.
func (s *Scene) Socket() string { return filepath.Join(s.folder, "control.sock") }

// File is the address of the file server in the Internet.
func (s *Scene) File() string { return netip.AddrPortFrom(ServerAddr, filePort).String() }

// Echo is the address of the echo in the Internet.
func (s *Scene) Echo() netip.AddrPort { return netip.AddrPortFrom(ServerAddr, echoPort) }
