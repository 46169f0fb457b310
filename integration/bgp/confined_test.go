package bgp

import (
	"errors"
	"fmt"
	"net"
	"os"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestConfined: a speaker shows the password to nobody, writes no core, has a bound
// on its memory, and listens to nobody.
func TestConfined(t *testing.T) {
	t.Parallel()
	here, there := twoNodes(t)
	startBIRD(t, there, ebgp(upstream4, router4, `password "secret";`, channel4))
	r := startRouter(t, here, upstream(64500, `
      address: 198.51.100.2
      as: 64501
      families: [ipv4]
      password: secret`))
	r.announce(t, route(home, "home"))
	pid := r.await(t, "upstream", established).PID
	read := func(name string) string {
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/%s", pid, name))
		must(t, err)
		return string(text)
	}
	if command := strings.ReplaceAll(read("cmdline"), "\x00", " "); !strings.HasSuffix(command, " bgp-speaker upstream ") {
		t.Errorf("the command is %q", command)
	}
	if all := read("environ"); strings.Contains(all, "secret") || strings.Contains(all, "PATH=") {
		t.Errorf("the environment is %q", all)
	}
	limits := read("limits")
	for name, want := range map[string]string{"Max core file size": "0", "Max data size": maxData} {
		m := regexp.MustCompile(name + ` +(\S+) +(\S+)`).FindStringSubmatch(limits)
		if m == nil || m[1] != want || m[2] != want {
			t.Errorf("%s: got %q, want %s", name, m, want)
		}
	}
	must(t, there.Do(func() error {
		_, err := net.DialTimeout("tcp", router4+":179", 10*time.Second)
		if !errors.Is(err, syscall.ECONNREFUSED) {
			t.Errorf("a connection to the speaker: %v", err)
		}
		return nil
	}))
}
