package bgp

import (
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/lwaftr/lw4o6/integration/netlab"
)

// The two ends of the link between a router and its upstream.
const (
	router4, router6     = "198.51.100.1", "2001:db8:1::1"
	upstream4, upstream6 = "198.51.100.2", "2001:db8:1::2"
)

// newLab is a lab with a node for a router.
func newLab(t *testing.T) (*netlab.Lab, *netlab.Namespace) {
	t.Helper()
	netlab.Require(t)
	lab := netlab.New()
	t.Cleanup(func() {
		if err := lab.Close(); err != nil {
			t.Error(err)
		}
	})
	here, err := lab.Namespace("router")
	must(t, err)
	return lab, here
}

// twoNodes are a router and its upstream.
func twoNodes(t *testing.T) (here, there *netlab.Namespace) {
	t.Helper()
	lab, here := newLab(t)
	there, err := lab.Namespace("upstream")
	must(t, err)
	must(t, lab.Connect(end(here, "up", router4+"/24", router6+"/64"), end(there, "down", upstream4+"/24", upstream6+"/64")))
	return here, there
}

func end(node *netlab.Namespace, name string, addrs ...string) netlab.End {
	return netlab.End{Node: node, Name: name, Addrs: addresses(addrs...)}
}

func addresses(texts ...string) []netip.Prefix {
	var all []netip.Prefix
	for _, text := range texts {
		all = append(all, netip.MustParsePrefix(text))
	}
	return all
}

// bird is BIRD 2 as the upstream.
type bird struct {
	process        *netlab.Process
	socket, config string
}

// startBIRD runs BIRD with protocols as given.
func startBIRD(t *testing.T, in *netlab.Namespace, protocols string) *bird {
	t.Helper()
	requireProgram(t, "bird")
	folder := t.TempDir()
	b := &bird{socket: filepath.Join(folder, "s"), config: filepath.Join(folder, "bird.conf")}
	b.write(t, protocols)
	var err error
	b.process, err = in.Start("bird", "-f", "-c", b.config, "-s", b.socket, "-P", filepath.Join(folder, "pid"))
	must(t, err)
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("BIRD wrote:\n%s", b.process.Output())
		}
	})
	eventually(t, "BIRD", func() error {
		_, err := b.command("show status")
		return err
	})
	return b
}

// write makes the configuration.
func (b *bird) write(t *testing.T, protocols string) {
	t.Helper()
	text := "log stderr all;\nrouter id 198.51.100.2;\nprotocol device {}\n" + protocols
	must(t, os.WriteFile(b.config, []byte(text), 0o600))
}

// requireProgram skips a test without a program.
func requireProgram(t *testing.T, name string) {
	t.Helper()
	if _, err := exec.LookPath(name); err != nil {
		t.Skipf("%s is not installed", name)
	}
}

// command is one of BIRD's.
func (b *bird) command(line string) (string, error) {
	out, err := exec.Command("birdc", append([]string{"-s", b.socket}, strings.Fields(line)...)...).CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("%s: %w: %s", line, err, out)
	}
	return string(out), nil
}

var (
	routeLine = regexp.MustCompile(`^([0-9a-f.:]+/\d+) +unicast`)
	attribute = regexp.MustCompile(`^\tBGP\.([a-z_0-9]+): ?(.*)$`)
)

// routes are BIRD's routes by prefix, each with its attributes by name.
func (b *bird) routes() (map[string]map[string]string, error) {
	out, err := b.command("show route all")
	if err != nil {
		return nil, err
	}
	all := make(map[string]map[string]string)
	var last map[string]string
	for _, line := range strings.Split(out, "\n") {
		if m := routeLine.FindStringSubmatch(line); m != nil {
			last = make(map[string]string)
			all[m[1]] = last
		} else if m := attribute.FindStringSubmatch(line); m != nil && last != nil {
			last[m[1]] = m[2]
		}
	}
	return all, nil
}
