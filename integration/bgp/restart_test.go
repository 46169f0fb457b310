package bgp

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/lwaftr/lw4o6/bgp"
	"github.com/lwaftr/lw4o6/integration/netlab"
	"github.com/lwaftr/lw4o6/plugin/announce"
)

// promise is a row of the table in docs/bgp.md.
type promise struct{ sends, routes string }

// promises reads them, by what happens and whether graceful restart is on.
func promises(t *testing.T) map[[2]string]promise {
	t.Helper()
	page, err := os.ReadFile("../../docs/bgp.md")
	must(t, err)
	_, rest, found := strings.Cut(string(page), "| What happens |")
	if !found {
		t.Fatal("docs/bgp.md has no table of what happens")
	}
	all := make(map[[2]string]promise)
	_, rest, _ = strings.Cut(rest, "| --- |\n")
	for line := range strings.Lines(rest) {
		cells := strings.Split(line, "|")
		if len(cells) != 6 {
			break
		}
		for i := range cells {
			cells[i] = strings.TrimSpace(cells[i])
		}
		all[[2]string{cells[1], cells[2]}] = promise{cells[3], cells[4]}
	}
	return all
}

// pair is a router and BIRD with one route, and a capture of what they say.
type pair struct {
	t      *testing.T
	here   *netlab.Namespace
	bird   upstreamBIRD
	router *router
	yaml   string
	frames func() []netlab.Frame // captured so far; ends the capture
	struck time.Time             // when it happened
}

func newPair(t *testing.T, restart string) *pair {
	here, there := twoNodes(t)
	s := &pair{t: t, here: here, yaml: upstream(64500, `
      address: 198.51.100.2
      as: 64501
      families: [ipv4]
      graceful-restart: `+restart)}
	s.frames = capture(t, there, "down")
	s.bird = startBIRD(t, there, ebgp(upstream4, router4, "debug { routes };", channel4))
	s.start("/proc/self/exe", false)
	s.bird.awaitRoutes(t, homeRoute)
	return s
}

// start starts the router, or another one in its place.
func (s *pair) start(program string, preserved bool) {
	s.t.Helper()
	s.router = startProgram(s.t, s.here, program, s.yaml)
	_, err := s.router.call(call{Set: []announce.Announcement{route(home, "home")}, Preserved: preserved})
	must(s.t, err)
	s.router.await(s.t, "upstream", func(p bgp.PeerStats) error {
		if len(p.Announced) != 1 {
			return fmt.Errorf("announced are %v", p.Announced)
		}
		return nil
	})
}

// kill ends the router's process, with its speakers if they end with it.
func (s *pair) kill(by syscall.Signal) {
	s.t.Helper()
	speaker := s.router.await(s.t, "upstream", established).PID
	s.struck = time.Now()
	must(s.t, s.router.process.Signal(by))
	_ = s.router.process.Wait() // of a signal
	eventually(s.t, "the end of the speaker", func() error {
		if err := syscall.Kill(speaker, 0); err == nil {
			return errors.New("it is there")
		}
		return nil
	})
}

// signalSpeaker signals the speaker and waits for the one that follows.
func (s *pair) signalSpeaker(by syscall.Signal) {
	s.t.Helper()
	pid := s.router.await(s.t, "upstream", established).PID
	s.struck = time.Now()
	must(s.t, syscall.Kill(pid, by))
	s.router.await(s.t, "upstream", func(p bgp.PeerStats) error {
		if p.PID == pid || len(p.Announced) != 1 {
			return fmt.Errorf("the speaker is %d", p.PID)
		}
		return nil
	})
}

// newVersion is this program in another file. It is written while nothing else
// starts programs, which would keep it open for writing.
func newVersion(t *testing.T) string {
	t.Helper()
	program, err := os.ReadFile("/proc/self/exe")
	must(t, err)
	path := filepath.Join(t.TempDir(), "upgraded")
	must(t, os.WriteFile(path, program, 0o700))
	return path
}

// TestRestart: what leaves the router when processes end is exactly what the page
// promises, and the peer's routes are what it says.
func TestRestart(t *testing.T) {
	const on, off = "on", "off"
	upgraded := newVersion(t)
	t.Parallel()
	tests := []struct {
		what    string
		restart string
		do      func(s *pair)
	}{
		{"The router is killed", off, func(s *pair) { s.kill(syscall.SIGKILL) }},
		{"The router is stopped", off, func(s *pair) { s.kill(syscall.SIGTERM) }},
		{"The router is killed, and not there again in time", on, func(s *pair) { s.kill(syscall.SIGKILL) }},
		{"The router is stopped, and a new version started", on, func(s *pair) {
			s.kill(syscall.SIGTERM)
			s.start(upgraded, true)
		}},
		{"The router is killed, and a new version started", on, func(s *pair) {
			s.kill(syscall.SIGKILL)
			s.start(upgraded, true)
		}},
		{"The same, and packets were not forwarded meanwhile", on, func(s *pair) {
			s.kill(syscall.SIGKILL)
			s.start(upgraded, false)
		}},
		{"The speaker is killed", off, func(s *pair) { s.signalSpeaker(syscall.SIGKILL) }},
		{"The speaker is killed", on, func(s *pair) { s.signalSpeaker(syscall.SIGKILL) }},
		{"The speaker hangs", off, func(s *pair) { s.signalSpeaker(syscall.SIGSTOP) }},
		{"The routes are withdrawn, and the router is killed", on, func(s *pair) {
			s.router.announce(s.t)
			s.bird.awaitRoutes(s.t, table{})
			s.kill(syscall.SIGKILL)
		}},
	}
	promised := promises(t)
	if len(promised) != len(tests) {
		t.Errorf("docs/bgp.md has %d rows, and %d are looked at", len(promised), len(tests))
	}
	for _, tt := range tests {
		t.Run(tt.what+", "+tt.restart, func(t *testing.T) {
			t.Parallel()
			want, ok := promised[[2]string{tt.what, tt.restart}]
			if !ok {
				t.Fatal("docs/bgp.md has no such row")
			}
			restart := map[string]string{on: "120s", off: "0s"}[tt.restart]
			if strings.Contains(tt.what, "in time") {
				restart = "3s"
			}
			s := newPair(t, restart)
			tt.do(s)
			s.routesAre(want.routes)
			frames := s.frames()
			netlab.RequireProgram(t, "tshark", "tshark")
			said := dissect(t, frames)
			if got := said.by(router4); got != want.sends {
				t.Errorf("the router sends\n%s\nand docs/bgp.md says\n%s", got, want.sends)
			}
			for _, m := range said[router4] {
				if m.what == "close" || strings.HasPrefix(m.what, "NOTIFICATION") {
					t.Logf("%s %s after it happened", m.what, m.at.Sub(s.struck))
				}
			}
		})
	}
}

// routesAre waits until the peer has what the page says, and looks at the way
// there.
func (s *pair) routesAre(want string) {
	s.t.Helper()
	now, removals := homeRoute, 1
	switch want {
	case "kept":
		removals = 0
	case "gone", "gone after that time":
		now = table{}
	case "gone and back":
	case "may be gone for a moment":
		// BIRD removes them in the background, unless it has them again before.
		removals = -1
	default:
		s.t.Fatalf("docs/bgp.md: what is %q?", want)
	}
	s.bird.awaitRoutes(s.t, now)
	if len(now) > 0 {
		// BIRD drops what it was not sent again when it has End-of-RIB.
		eventually(s.t, "the end of the restart", func() error {
			out, err := s.bird.Show("protocols all lwaftr")
			if err == nil && (!strings.Contains(out, "Established") || strings.Contains(out, "Neighbor graceful restart active")) {
				err = fmt.Errorf("BIRD says %s", out)
			}
			return err
		})
	}
	if removals < 0 {
		return
	}
	eventually(s.t, "BIRD's log", func() error {
		if got := strings.Count(s.bird.Output(), "removed"); got != removals {
			return fmt.Errorf("%d removals, want %d", got, removals)
		}
		return nil
	})
}
