package e2e

import (
	"testing"

	"github.com/lwaftr/lw4o6/integration/scene"
	"github.com/lwaftr/lw4o6/plugin/portset"
	"github.com/lwaftr/lw4o6/vppdrv/vpptest"
)

func params(t *testing.T, a, k uint8) portset.Params {
	t.Helper()
	p, err := portset.NewParams(a, k)
	must(t, err)
	return p
}

// TestChecks tries all that the demonstration shows on both data planes, on both
// kinds of devices and with every way of splitting an address.
func TestChecks(t *testing.T) {
	for _, row := range []struct {
		name    string
		options scene.Options
		onVPP   bool
	}{
		{name: "tun, contiguous ports"},
		{name: "packet, contiguous ports", options: scene.Options{Devices: scene.DevicesPacket}},
		{name: "tun, scattered ports", options: scene.Options{Params: params(t, 6, 8)}},
		{name: "packet, whole addresses", options: scene.Options{Devices: scene.DevicesPacket, WholeAddresses: true}},
		{name: "tun, two queues", options: scene.Options{Queues: 2}},
		{name: "VPP, contiguous ports", onVPP: true},
		{name: "VPP, scattered ports", options: scene.Options{Params: params(t, 6, 8)}, onVPP: true},
		{name: "VPP, whole addresses", options: scene.Options{WholeAddresses: true}, onVPP: true},
	} {
		t.Run(row.name, func(t *testing.T) {
			if row.onVPP {
				row.options.VPP = vpptest.Require(t)
			}
			ctx, s := start(t, row.options)
			for _, check := range scene.Checks() {
				t.Run(check.Name, func(t *testing.T) {
					r := s.Run(ctx, check)
					if r.Err != nil {
						t.Fatal(r.Err)
					}
					t.Log(r.Evidence)
				})
			}
		})
	}
}
