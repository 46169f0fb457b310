package bgp

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/lwaftr/lw4o6/integration/netlab"
)

// frr is FRR's bgpd as the upstream; folder has its sockets.
type frr struct{ folder string }

// startFRR runs FRR with a configuration.
func startFRR(t *testing.T, in *netlab.Namespace, config string) frr {
	t.Helper()
	const bgpd = "/usr/lib/frr/bgpd"
	netlab.RequireProgram(t, bgpd, "frr")
	f := frr{t.TempDir()}
	path := filepath.Join(f.folder, "bgpd.conf")
	must(t, errors.Join(
		os.Chmod(f.folder, 0o777), // FRR drops its rights
		os.WriteFile(path, []byte(config), 0o644),
		os.WriteFile(filepath.Join(f.folder, "vtysh.conf"), nil, 0o644),
	))
	process, err := in.Start(bgpd, "-f", path, "-Z", "-S", "-P", "0", "--log", "stdout",
		"--vty_socket", f.folder, "-i", filepath.Join(f.folder, "pid"))
	must(t, err)
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("FRR wrote:\n%s", process.Output())
		}
	})
	return f
}

// path is FRR's only route to a prefix as a text: AS path, MED, communities, large
// communities, next hop, local preference if it has one. It is empty if there is no route.
func (f frr) path(prefix string) (string, error) {
	out, err := exec.Command("vtysh", "--vty_socket", f.folder, "--config_dir", f.folder, "-d", "bgpd", "-c", "show bgp "+prefix+" json").Output()
	if err != nil {
		return "", fmt.Errorf("vtysh: %w: %s", err, out)
	}
	type words struct{ String string }
	var got struct {
		Paths []struct {
			AS         words                 `json:"aspath"`
			Large      words                 `json:"largeCommunity"`
			NextHops   []struct{ IP string } `json:"nexthops"`
			Preference *int                  `json:"locPrf"`
			Metric     int
			Community  words
		}
	}
	if err := json.Unmarshal(out, &got); err != nil || len(got.Paths) == 0 {
		return "", err
	}
	p := got.Paths[0]
	if len(got.Paths) > 1 || len(p.NextHops) == 0 {
		return "", fmt.Errorf("FRR has %s", out)
	}
	text := fmt.Sprintf("%s %d [%s] [%s] %s", p.AS.String, p.Metric, p.Community.String, p.Large.String, p.NextHops[0].IP)
	if p.Preference != nil {
		text += fmt.Sprintf(" preference %d", *p.Preference)
	}
	return text, nil
}

// await waits until FRR has these paths.
func (f frr) await(t *testing.T, want map[string]string) {
	t.Helper()
	eventually(t, "FRR's routes", func() error {
		got := make(map[string]string)
		for prefix := range want {
			path, err := f.path(prefix)
			if err != nil {
				return err
			}
			got[prefix] = path
		}
		if diff := cmp.Diff(want, got); diff != "" {
			return errors.New("-want +got:\n" + diff)
		}
		return nil
	})
}

// TestFRR: FRR has the routes, with IPv6 next hops, and forgets them.
func TestFRR(t *testing.T) {
	t.Parallel()
	here, there := twoNodes(t)
	f := startFRR(t, there, `
router bgp 64501
 bgp router-id 198.51.100.2
 no bgp ebgp-requires-policy
 no bgp default ipv4-unicast
 neighbor 2001:db8:1::1 remote-as 64500
 neighbor 2001:db8:1::1 password secret
 neighbor 2001:db8:1::1 capability extended-nexthop
 address-family ipv4 unicast
  neighbor 2001:db8:1::1 activate
 exit-address-family
 address-family ipv6 unicast
  neighbor 2001:db8:1::1 activate
 exit-address-family
`)
	r := startRouter(t, here, upstream(64500, fmt.Sprintf(overIPv6, router6)))
	announceAll(t, r)
	f.await(t, map[string]string{
		"ipv4 unicast 192.0.2.0/24":         "64500 10 [64500:1] [64500:1:2] 2001:db8:1::1",
		"ipv4 unicast 203.0.113.0/24":       "64500 64500 64500 20 [64500:1 no-export] [64500:1:2] 2001:db8:1::1",
		"ipv6 unicast 2001:db8:ffff::1/128": "64500 10 [64500:1] [64500:1:2] 2001:db8:1::1",
	})
	if s := r.await(t, "upstream", established); !s.ExtendedNextHop || len(s.Withheld) > 0 {
		t.Errorf("got %+v", s)
	}
	r.announce(t)
	f.await(t, map[string]string{"ipv4 unicast 192.0.2.0/24": "", "ipv4 unicast 203.0.113.0/24": "", "ipv6 unicast 2001:db8:ffff::1/128": ""})
}
