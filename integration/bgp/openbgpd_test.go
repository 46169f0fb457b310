package bgp

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/lwaftr/lw4o6/integration/netlab"
)

// announceAll has a router with everything that can be configured announce to the
// upstream, IPv4 routes over IPv6 among it.
func announceAll(t *testing.T, r *router) {
	t.Helper()
	r.announce(t, route("192.0.2.0/24", "home"), route("203.0.113.0/24", "work"), route("2001:db8:ffff::1/128", "home"))
}

// overIPv6 is a peer for everybody's IPv4 and IPv6 routes.
const overIPv6 = `
      address: 2001:db8:1::2
      as: 64501
      next-hop-ipv4: %s
      communities: ["64500:1"]
      large-communities: ["64500:1:2"]
      med: 10
      password: secret
      graceful-restart: 120s
  pools:
    - {pool: work, med: 20, prepend: 2, communities: [no-export]}`

// TestOpenBGPD: OpenBGPD, which knows no IPv6 next hops of IPv4 routes, has the
// routes with IPv4 ones.
func TestOpenBGPD(t *testing.T) {
	netlab.RequireProgram(t, "bgpctl", "openbgpd")
	t.Parallel()
	here, there := twoNodes(t)
	folder := t.TempDir()
	config, socket := filepath.Join(folder, "bgpd.conf"), filepath.Join(folder, "s")
	must(t, os.WriteFile(config, []byte(`
AS 64501
router-id 198.51.100.2
socket "`+socket+`"
fib-update no
neighbor 2001:db8:1::1 {
	remote-as 64500
	tcp md5sig password secret
	announce IPv4 unicast
	announce IPv6 unicast
}
allow from any
`), 0o600))
	// It locks itself up there.
	const home = "/run/openbgpd"
	if os.Mkdir(home, 0o755) == nil {
		t.Cleanup(func() { _ = os.Remove(home) })
	}
	openbgpd, err := there.Start("/usr/sbin/bgpd", "-d", "-v", "-f", config)
	must(t, err)
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("OpenBGPD wrote:\n%s", openbgpd.Output())
		}
	})
	r := startRouter(t, here, upstream(64500, fmt.Sprintf(overIPv6, router4)))
	announceAll(t, r)
	rib := func() ([]string, error) {
		out, err := exec.Command("bgpctl", "-s", socket, "-j", "show", "rib", "detail").Output()
		if err != nil {
			return nil, fmt.Errorf("bgpctl: %w: %s", err, out)
		}
		var got struct {
			RIB []struct {
				Prefix      string
				ASPath      string `json:"aspath"`
				Next        string `json:"exit_nexthop"`
				Metric      int
				Communities []string
				Large       []string `json:"large_communities"`
			} `json:"rib"`
		}
		if err := json.Unmarshal(out, &got); err != nil {
			return nil, err
		}
		all := []string{}
		for _, r := range got.RIB {
			all = append(all, fmt.Sprintf("%s %s %s %d %v %v", r.Prefix, r.Next, r.ASPath, r.Metric, r.Communities, r.Large))
		}
		slices.Sort(all)
		return all, nil
	}
	await := func(want ...string) {
		t.Helper()
		eventually(t, "OpenBGPD's routes", func() error {
			got, err := rib()
			if err != nil {
				return err
			}
			if diff := cmp.Diff(append([]string{}, want...), got); diff != "" {
				return errors.New("-want +got:\n" + diff)
			}
			return nil
		})
	}
	await(
		"192.0.2.0/24 198.51.100.1 64500 10 [64500:1] [64500:1:2]",
		"2001:db8:ffff::1/128 2001:db8:1::1 64500 10 [64500:1] [64500:1:2]",
		"203.0.113.0/24 198.51.100.1 64500 64500 64500 20 [64500:1 NO_EXPORT] [64500:1:2]",
	)
	r.announce(t)
	await()
}
