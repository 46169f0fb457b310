package vppdrv

import (
	"context"
	"time"

	"go.fd.io/govpp/binapi/memclnt"
	"go.fd.io/govpp/binapi/vpe"

	"github.com/lwaftr/lw4o6/plugin/dataplane"
	"github.com/lwaftr/lw4o6/vppdrv/ports"
	"github.com/lwaftr/lw4o6/vppdrv/stats"
)

// Inspection is how VPP is.
type Inspection struct {
	Version string
	PID     int
	Started time.Time     // when VPP began to keep statistics; zero in its first moments
	Answer  time.Duration // what VPP took to answer one call
	// Threads are the main one and then the workers, as of the last ten seconds
	// or so; Heap and Statistics are VPP's memory in octets.
	Threads          []stats.Thread
	Heap, Statistics stats.Memory
	Ports            []PortInspection
}

// PortInspection is how an interface of the configuration is, and what went
// through it since VPP was started, with link-layer headers.
type PortInspection struct {
	ports.State
	Received, Sent dataplane.Traffic
}

// inspectTimeout bounds an Inspect: whoever looks at a VPP that hangs wants to
// know that soon.
const inspectTimeout = 3 * time.Second

// Inspect asks VPP how it is. It does not wait for programming. The error wraps
// ErrNotConnected if there is no VPP.
func (d *Driver) Inspect(ctx context.Context) (Inspection, error) {
	s, err := d.current()
	if err != nil {
		return Inspection{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, inspectTimeout)
	defer cancel()
	version, err := vpe.NewServiceClient(s.conn).ShowVersion(ctx, &vpe.ShowVersion{})
	if err != nil {
		return Inspection{}, err
	}
	asked := time.Now()
	ping, err := memclnt.NewServiceClient(s.conn).ControlPing(ctx, &memclnt.ControlPing{})
	if err != nil {
		return Inspection{}, err
	}
	answer := time.Since(asked)
	reading, err := d.stats.Read(ctx)
	if err != nil {
		return Inspection{}, err
	}
	states, err := ports.States(ctx, s.conn, s.ports)
	if err != nil {
		return Inspection{}, err
	}
	i := Inspection{
		Version: version.Version, PID: int(ping.VpePID), Started: reading.Started, Answer: answer,
		Threads: reading.Threads, Heap: reading.Heap, Statistics: reading.Statistics,
	}
	for _, state := range states {
		p := PortInspection{State: state}
		if n := int(state.Index); n < len(reading.Interfaces) {
			p.Received, p.Sent = reading.Interfaces[n].Rx, reading.Interfaces[n].Tx
		}
		i.Ports = append(i.Ports, p)
	}
	return i, nil
}
