package main

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/lwaftr/lw4o6/integration/lwb4sim"
	"github.com/lwaftr/lw4o6/integration/netlab"
	"github.com/lwaftr/lw4o6/integration/scene"
	"github.com/lwaftr/lw4o6/pcp/datagram"
	"github.com/lwaftr/lw4o6/pcp/pcpmsg"
	"github.com/lwaftr/lw4o6/pcp/udp"
	"github.com/lwaftr/lw4o6/plugin/control/api"
)

// pcpRig is a machine with a PCP server, and one that is all of its clients.
type pcpRig struct {
	population      lwb4sim.Population
	server, clients *netlab.Namespace
	socket          *lwb4sim.Socket
	process         *netlab.Process // nil if the server is part of this process
	// lose has the server lose all it has, if it can.
	lose func(ctx context.Context) error
	stop func() error // nil if nothing is to be done
}

// pcpDevice is the link between them.
const pcpDevice = "lan"

var (
	pcpServerAddr  = netip.MustParsePrefix("2001:db8:0:1::1/64")
	pcpClientsAddr = netip.MustParsePrefix("2001:db8:0:1::2/64")
)

// open makes the network. The rig is to be closed in any case.
func (r *pcpRig) open(lab *netlab.Lab, p lwb4sim.Population) error {
	p.First, p.PrefixBits, p.BR = scene.FirstLwB4, scene.SimulatedBits, pcpServerAddr.Addr()
	p.Lifetime = time.Hour
	r.population = p
	var err error
	if r.server, err = lab.Namespace("server"); err != nil {
		return err
	}
	if r.clients, err = lab.Namespace("clients"); err != nil {
		return err
	}
	if err := lab.Connect(
		netlab.End{Node: r.server, Name: pcpDevice, Addrs: []netip.Prefix{pcpServerAddr, netip.MustParsePrefix("10.0.0.1/24")}},
		netlab.End{Node: r.clients, Name: pcpDevice, Addrs: []netip.Prefix{pcpClientsAddr}}); err != nil {
		return err
	}
	if err := errors.Join(r.clients.Own(scene.SimulatedLwB4s), r.server.Route(scene.SimulatedLwB4s, pcpClientsAddr.Addr())); err != nil {
		return err
	}
	return r.clients.Do(func() (err error) {
		r.socket, err = lwb4sim.OpenSocket(r.population)
		return err
	})
}

func (r *pcpRig) close() error {
	var errs []error
	if r.stop != nil {
		errs = append(errs, r.stop())
	}
	if r.socket != nil {
		errs = append(errs, r.socket.Close())
	}
	return errors.Join(errs...)
}

// startEcho starts a server that says yes without having looked.
func (r *pcpRig) startEcho() error {
	var s *udp.Socket
	ctx, cancel := context.WithCancel(context.Background())
	err := r.server.Do(func() (err error) {
		s, err = udp.Listen(ctx, netip.AddrPortFrom(pcpServerAddr.Addr(), pcpmsg.ServerPort), pcpDevice)
		return err
	})
	if err != nil {
		cancel()
		return err
	}
	var running sync.WaitGroup
	running.Go(func() {
		in := make([]datagram.Datagram, 64)
		for i := range in {
			in[i].Payload = make([]byte, 0, pcpmsg.MaxLength)
		}
		out := make([]datagram.Datagram, 0, len(in))
		for {
			n, err := s.Receive(ctx, in)
			if err != nil {
				return
			}
			out = out[:0]
			for _, d := range in[:n] {
				const response = 0x80
				d.Payload[1] |= response
				out = append(out, d.Reply(d.Payload))
			}
			s.Send(ctx, out)
		}
	})
	r.stop = func() error {
		cancel()
		running.Wait()
		s.Close()
		return nil
	}
	return nil
}

// startLwaftr starts the lwAFTR.
func (r *pcpRig) startLwaftr(ctx context.Context, binary, folder string) error {
	config, store, socket := filepath.Join(folder, "lwaftr.yaml"), filepath.Join(folder, "leases.db"), filepath.Join(folder, "c.sock")
	if err := os.WriteFile(config, fmt.Appendf(nil, `
pools:
  - {name: pcp, prefixes: [198.18.0.0/16], psid-len: 6, br-ipv6-addr: %q, mechanisms: [pcp]}
store: {path: %s}
pcp: {enabled: true, listen: [{address: %q, interface: %s}]}
control: {socket: %s}
`, scene.BR, store, pcpServerAddr.Addr(), pcpDevice, socket), 0o600); err != nil {
		return err
	}
	control := api.NewClient(socket)
	r.stop = func() error {
		control.Close()
		return nil
	}
	r.lose = func(ctx context.Context) error {
		if err := errors.Join(r.process.Stop(), os.Remove(store)); err != nil {
			return err
		}
		return r.run(ctx, control, binary, config)
	}
	return r.run(ctx, control, binary, config)
}

// run returns when the lwAFTR serves.
func (r *pcpRig) run(ctx context.Context, control *api.Client, binary, config string) (err error) {
	if r.process, err = r.server.Start(binary, "run", "-c", config); err != nil {
		return err
	}
	for {
		if status, err := control.Status(ctx); err == nil && status.Ready {
			return nil
		}
		select {
		case <-time.After(10 * time.Millisecond):
		case <-r.process.Done():
			return fmt.Errorf("lwaftr ended: %s", r.process.Output())
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// resident is what of the server is in memory, in octets.
func (r *pcpRig) resident() (float64, error) {
	if r.process == nil {
		return 0, nil
	}
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", r.process.ID()))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(status)) {
		if value, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			kib, err := strconv.ParseFloat(strings.Fields(value)[0], 64)
			return kib * 1024, err
		}
	}
	return 0, errors.New("a process without VmRSS")
}
