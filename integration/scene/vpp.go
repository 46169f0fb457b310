package scene

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/lwaftr/lw4o6/integration/netlab"
	"github.com/lwaftr/lw4o6/vppdrv/vpptest"
)

// StartVPP starts the VPP that forwards, with the AFTR's interfaces and nothing
// else, and returns when it takes calls. After a crash it starts it again.
func (s *Scene) StartVPP(ctx context.Context) error {
	exec := filepath.Join(s.folder, "interfaces.vpp")
	lines := fmt.Sprintf("create host-interface name %s\ncreate host-interface name %s\n", AFTRInternet, AFTRAccess)
	if err := os.WriteFile(exec, []byte(lines), 0o600); err != nil {
		return err
	}
	startup := filepath.Join(s.folder, "startup.conf")
	if err := os.WriteFile(startup, []byte(vpptest.Config{Exec: exec}.Startup(s.folder)), 0o600); err != nil {
		return err
	}
	api := vpptest.PathsIn(s.folder).API
	// One that was killed leaves its socket.
	if err := os.RemoveAll(api); err != nil {
		return err
	}
	var err error
	if s.vpp, err = s.AFTR.Start(s.options.VPP, "-c", startup); err != nil {
		return err
	}
	return await(ctx, "VPP", s.vpp, func() bool {
		_, err := os.Stat(api)
		return err == nil
	})
}

// VPPProcess is the running VPP, nil if the scene has none.
func (s *Scene) VPPProcess() *netlab.Process { return s.vpp }
