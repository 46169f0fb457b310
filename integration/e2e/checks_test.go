package e2e

import (
	"testing"

	"github.com/lwaftr/lw4o6/integration/scene"
	"github.com/lwaftr/lw4o6/plugin/portset"
)

func params(t *testing.T, a, k uint8) portset.Params {
	t.Helper()
	p, err := portset.NewParams(a, k)
	must(t, err)
	return p
}

// TestChecks tries all that the demonstration shows on both kinds of devices
// and with every way of splitting an address.
func TestChecks(t *testing.T) {
	for _, row := range []struct {
		name    string
		options scene.Options
	}{
		{"tun, contiguous ports", scene.Options{}},
		{"packet, contiguous ports", scene.Options{Devices: scene.DevicesPacket}},
		{"tun, scattered ports", scene.Options{Params: params(t, 6, 8)}},
		{"packet, whole addresses", scene.Options{Devices: scene.DevicesPacket, WholeAddresses: true}},
		{"tun, two queues", scene.Options{Queues: 2}},
	} {
		t.Run(row.name, func(t *testing.T) {
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
