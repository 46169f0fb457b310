package vppdrv

import (
	"context"
	"testing"

	"github.com/lwaftr/lw4o6/plugin/dataplane"
	"github.com/lwaftr/lw4o6/plugin/dataplane/conformance"
)

func TestConformance(t *testing.T) {
	b := newBench(t, nil)
	b.up(t)
	conformance.Run(t, func(t conformance.T) *conformance.Rig {
		return &conformance.Rig{
			Dataplane: b, Send: b.send,
			Receive: func(ctx context.Context, side dataplane.Side) ([]byte, error) {
				return b.ports[side].Receive(ctx)
			},
			Lose: func(context.Context) error {
				b.vpp.Kill()
				b.vpp.Restart()
				b.restarted()
				return nil
			},
			ExceptionLimit: b.config.Forwarding.ExceptionQueue,
			Unsupported:    unsupported(),
		}
	})
}

// unsupported are the cases that this data plane cannot do, and why.
func unsupported() map[string]string {
	return map[string]string{
		"counters/rows": "VPP counts what comes from whole addresses in the total only: it does not go through the MAP plugin",
		"batch/several-br-addresses-on-one-address": "a MAP domain is an IPv4 address and has one BR address",
	}
}
