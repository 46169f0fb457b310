package plugin

import (
	"context"
	"fmt"
	"net/netip"
	"runtime"
	"sync"
	"time"

	"github.com/sirupsen/logrus"

	"github.com/lwaftr/lw4o6/pcp"
	"github.com/lwaftr/lw4o6/pcp/datagram"
	"github.com/lwaftr/lw4o6/pcp/pcpmsg"
	"github.com/lwaftr/lw4o6/pcp/udp"
	"github.com/lwaftr/lw4o6/plugin/config/element"
	"github.com/lwaftr/lw4o6/plugin/dataplane"
)

// pcpTransports is all ways on which PCP comes and goes.
type pcpTransports struct {
	plane   *pcpPlane
	sockets []*udp.Socket
}

// maxPCPWorkers bounds those of one transport: what they share is busy with fewer.
const maxPCPWorkers = 8

// openPCP opens the sockets of the configuration. The error is a *ConfigError.
func (p *Plugin) openPCP(ctx context.Context) (*pcpTransports, error) {
	t := &pcpTransports{plane: newPCPPlane(p.dp, p.log.WithField("part", "pcp"))}
	for i, l := range p.config.PCP.Listen {
		s, err := udp.Listen(ctx, netip.AddrPortFrom(l.Address, pcpmsg.ServerPort), l.Interface)
		if err != nil {
			t.close()
			return nil, &ConfigError{element.At("pcp", element.At(element.Item("listen", i), err))}
		}
		t.sockets = append(t.sockets, s)
	}
	return t, nil
}

func (t *pcpTransports) close() {
	for _, s := range t.sockets {
		s.Close()
	}
}

// serve has r run a server on all of them.
func (t *pcpTransports) serve(ctx context.Context, r *runner, server *pcp.Server) {
	workers := min(runtime.GOMAXPROCS(0), maxPCPWorkers)
	r.run(ctx, "pcp", func(ctx context.Context) error { return server.Run(ctx, t.plane, workers) })
	for _, s := range t.sockets {
		r.run(ctx, fmt.Sprintf("pcp at %s", s.Local()), func(ctx context.Context) error { return server.Run(ctx, s, workers) })
	}
}

// addresses are those of the sockets.
func (t *pcpTransports) addresses() (all []netip.AddrPort) {
	for _, s := range t.sockets {
		all = append(all, s.Local())
	}
	return all
}

// Send implements pcp.Sender: from an address of the host by its socket, otherwise
// by the data plane.
func (t *pcpTransports) Send(ctx context.Context, out []datagram.Datagram) (sent int) {
	for i, d := range out {
		sent += t.of(d).Send(ctx, out[i:i+1])
	}
	return sent
}

func (t *pcpTransports) of(d datagram.Datagram) pcp.Sender {
	if !d.OuterFrom.IsValid() {
		for _, s := range t.sockets {
			if s.Local() == d.From {
				return s
			}
		}
	}
	return t.plane
}

// pcpPlane is a data plane's exceptions as the PCP server wants them.
type pcpPlane struct {
	port dataplane.ExceptionPort
	log  logrus.FieldLogger
	// memory has []dataplane.Exception.
	memory sync.Pool
}

var _ pcp.Transport = (*pcpPlane)(nil)

func newPCPPlane(port dataplane.ExceptionPort, log logrus.FieldLogger) *pcpPlane {
	return &pcpPlane{port: port, log: log, memory: sync.Pool{New: func() any { return new([]dataplane.Exception) }}}
}

// retryExceptions is the pause after a data plane could not be asked.
const retryExceptions = time.Second

// Receive is as pcp.Transport.Receive. A data plane that is away for a while is
// waited for.
func (c *pcpPlane) Receive(ctx context.Context, into []datagram.Datagram) (int, error) {
	exceptions := c.memory.Get().(*[]dataplane.Exception)
	defer c.memory.Put(exceptions)
	for len(*exceptions) < len(into) {
		*exceptions = append(*exceptions, dataplane.Exception{})
	}
	for {
		n, err := c.port.Exceptions(ctx, (*exceptions)[:len(into)])
		if err != nil {
			c.log.WithError(err).Debug("no packets from the data plane")
			select {
			case <-time.After(retryExceptions):
				continue
			case <-ctx.Done():
				return 0, ctx.Err()
			}
		}
		taken := 0
		for _, e := range (*exceptions)[:n] {
			if e.Reason == dataplane.ReasonPCP || e.Reason == dataplane.ReasonPCPSoftwire {
				into[taken] = pcpRequest(e.Packet)
				taken++
			}
		}
		if taken > 0 {
			return taken, nil
		}
	}
}

// pcpRequest is what a packet to a server holds, nothing if it is for somebody else
// or damaged.
func pcpRequest(packet []byte) datagram.Datagram {
	d, err := datagram.Parse(packet)
	if err != nil || d.To.Port() != pcpmsg.ServerPort {
		return datagram.Datagram{}
	}
	return d
}

// Send implements pcp.Sender.
func (c *pcpPlane) Send(ctx context.Context, out []datagram.Datagram) (sent int) {
	for _, d := range out {
		if err := c.port.Inject(ctx, dataplane.SideIPv6, d.Packet()); err == nil {
			sent++
		}
	}
	return sent
}
