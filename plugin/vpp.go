package plugin

import (
	"context"
	"fmt"
	"reflect"
	"slices"
	"time"

	"github.com/sirupsen/logrus"

	"github.com/lwaftr/lw4o6/plugin/config"
	"github.com/lwaftr/lw4o6/plugin/control/api"
	"github.com/lwaftr/lw4o6/plugin/dataplane"
	"github.com/lwaftr/lw4o6/vppdrv"
)

// onVPP is the data plane on VPP.
type onVPP struct{ *vppdrv.Driver }

var (
	_ dataplane.Dataplane = onVPP{}
	_ Tuner               = onVPP{}
	_ packetTracer        = onVPP{}
	_ deviceCounter       = onVPP{}
	_ softwireCounter     = onVPP{}
	_ inspector           = onVPP{}
	_ tearer              = onVPP{}
)

func newOnVPP(c VPPConfig, log logrus.FieldLogger) (onVPP, error) {
	d, err := vppdrv.New(c.driver(), log)
	return onVPP{d}, err
}

// Tune implements Tuner.
func (v onVPP) Tune(c DataplaneConfig) error { return v.Driver.Tune(c.VPP.forwarding()) }

// tunable are the keys of VPPConfig that Tune takes.
func tunable() []string {
	return []string{"icmpv4.too-big", "icmpv4.rate.total", "icmpv4.rate.per-destination", "icmpv6.relay"}
}

// Fixed implements Tuner: all the rest VPP was given when it was connected.
func (onVPP) Fixed() []string {
	var all []string
	for _, key := range config.Keys(reflect.TypeFor[VPPConfig]()) {
		section := key.Type.Kind() == reflect.Struct && !key.Leaf
		if !section && !slices.Contains(tunable(), key.Path) {
			all = append(all, "vpp."+key.Path)
		}
	}
	return all
}

// TracePacket implements packetTracer. It is what the softwires that VPP has
// and RFC 7596 make of the packet.
func (v onVPP) TracePacket(now time.Time, side dataplane.Side, packet []byte) api.Trace {
	return traceOf(v.Trace(now, side, packet))
}

// Devices implements deviceCounter.
func (v onVPP) Devices(ctx context.Context) ([]api.Device, error) {
	i, err := v.Driver.Inspect(ctx)
	if err != nil {
		return nil, err
	}
	var all []api.Device
	for _, p := range i.Ports {
		all = append(all, api.Device{Name: p.Name, Received: traffic(p.Received), Sent: traffic(p.Sent)})
	}
	return all, nil
}

// Inspect implements inspector.
func (v onVPP) Inspect(ctx context.Context) (*api.VPP, []string, error) {
	i, err := v.Driver.Inspect(ctx)
	if err != nil {
		return nil, nil, err
	}
	all := &api.VPP{
		Version: i.Version, PID: i.PID, AnswerSeconds: i.Answer.Seconds(),
		Heap:       api.Memory{Total: i.Heap.Total, Used: i.Heap.Used},
		Statistics: api.Memory{Total: i.Statistics.Total, Used: i.Statistics.Used},
	}
	if !i.Started.IsZero() {
		all.Started = &i.Started
	}
	for _, t := range i.Threads {
		all.Threads = append(all.Threads, api.Thread{VectorRate: t.VectorRate, LoopsPerSecond: t.LoopsPerSecond})
	}
	var problems []string
	for _, p := range i.Ports {
		all.Interfaces = append(all.Interfaces, api.Interface{Name: p.Name, Side: p.Side.String(), Enabled: p.Admin, Link: p.Link})
		switch {
		case !p.Admin:
			problems = append(problems, fmt.Sprintf("interface %s of the %s side is switched off in VPP", p.Name, p.Side))
		case !p.Link:
			problems = append(problems, fmt.Sprintf("interface %s of the %s side has no link", p.Name, p.Side))
		}
	}
	return all, problems, nil
}
