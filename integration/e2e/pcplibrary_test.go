package e2e

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/lwaftr/lw4o6/integration/netlab"
	"github.com/lwaftr/lw4o6/integration/scene"
)

// libraryVariable names the folder where libpcpnatpmp was built with CMake.
const libraryVariable = "LW4O6_LIBPCPNATPMP"

// TestLibpcpnatpmp: somebody else's client, which knows nothing of port sets,
// obtains a mapping, renews it and deletes it, where pcp.any-protocol allows it.
func TestLibpcpnatpmp(t *testing.T) {
	folder := os.Getenv(libraryVariable)
	if folder == "" {
		t.Skipf("needs libpcpnatpmp: set %s to where it was built", libraryVariable)
	}
	keep := filepath.Join(t.TempDir(), "keep")
	build := exec.CommandContext(t.Context(), "cc", "-I", filepath.Join(folder, "lib/include"), "-o", keep,
		"testdata/keep.c", filepath.Join(folder, "build/lib/libpcpnatpmp.a"))
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	ctx, s := start(t, scene.Options{PCP: true, Unbound: true})
	h := household{newEndpoint(t, s, 1), plainIPv6, s}
	client, err := h.node.Start(keep, scene.BR.String(), h.b4.String())
	must(t, err)
	first := h.granted(ctx, client, 1)
	again := h.granted(ctx, client, 2)
	if again.at != first.at || again.ends <= first.ends {
		t.Errorf("granted %+v, and then %+v", first, again)
	}
	leases := h.leases(ctx)
	if len(leases) != 1 || leases[0].IPv4 != first.at.Addr() || leases[0].B4 != h.b4 {
		t.Errorf("%+v was granted, the leases are %+v", first, leases)
	}
	must(t, client.Stop())
	for len(h.leases(ctx)) > 0 {
		if time.Now().Unix() >= again.ends {
			t.Fatal("the mapping was not deleted before it ended by itself")
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// libraryGrant is a line that keep wrote.
type libraryGrant struct {
	at   netip.AddrPort
	ends int64
}

// granted waits for the n-th line of keep.
func (h *household) granted(ctx context.Context, keep *netlab.Process, n int) (g libraryGrant) {
	h.Helper()
	for {
		if lines := strings.Split(keep.Output(), "\n"); len(lines) > n {
			var address string
			var port uint16
			if _, err := fmt.Sscan(lines[n-1], &address, &port, &g.ends); err != nil {
				h.Fatalf("%v in\n%s", err, keep.Output())
			}
			g.at = netip.AddrPortFrom(netip.MustParseAddr(address).Unmap(), port)
			return g
		}
		select {
		case <-time.After(10 * time.Millisecond):
		case <-keep.Done():
			h.Fatalf("keep ended: %v\n%s", keep.Wait(), keep.Output())
		case <-ctx.Done():
			h.Fatalf("no grant number %d:\n%s", n, keep.Output())
		}
	}
}
