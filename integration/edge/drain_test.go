package edge

import (
	"encoding/json"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/lwaftr/lw4o6/integration/bird"
	"github.com/lwaftr/lw4o6/integration/netlab"
)

func contains(text, word string) bool { return strings.Contains(text, word) }

// leadsTo reports whether what BIRD says of a prefix has a route over next.
func leadsTo(text string, next netip.Addr) bool { return contains(text, "via "+next.String()+" ") }

// TestDrainMovesTraffic: of two lwAFTRs that announce the same, one is drained
// under load. Its traffic goes to the other, no connection notices, and then its
// routes are gone. Undrained, it has the traffic again.
func TestDrainMovesTraffic(t *testing.T) {
	t.Parallel()
	netlab.RequireProgram(t, "iperf3", "iperf3")
	p := newPair(t)
	load := p.load()

	// BIRD prefers the lower router ID.
	used, other := p.aftrs[0], p.aftrs[1]
	p.moves(used)
	begin := time.Now()
	drain, err := used.in.Start(binaries.Lwaftr, "drain", "--socket", used.socket, "-o", "csv")
	must(t, err)
	if err := drain.Wait(); err != nil {
		t.Fatalf("drain: %v\n%s", err, drain.Output())
	}
	if took := time.Since(begin); took > 35*time.Second {
		t.Errorf("drained after %s, as if traffic had not gone", took)
	}
	if lines := drain.Output(); !contains(lines, "home,draining") || !contains(lines, "home,drained") {
		t.Errorf("drain printed\n%s", lines)
	}
	p.moves(other)
	left := p.carried(used)
	for b, route := range map[*bird.BIRD]netip.Prefix{p.upstream: pool4, p.down: poolBR} {
		routes, err := b.Routes()
		must(t, err)
		if strings.Count(routes[route], "via ") != 1 {
			t.Errorf("routes to %s after the drain:\n%s", route, routes[route])
		}
	}
	p.moves(other)
	if now := p.carried(used); now != left {
		t.Errorf("%d packets came after the drain", now-left)
	}

	must(t, used.client.Undrain(t.Context()))
	p.moves(used)
	p.judge(load)
}

// moves waits until a lwAFTR carries traffic.
func (p *pair) moves(n *node) {
	p.Helper()
	late := time.Now().Add(patience)
	for before := p.carried(n); p.carried(n) < before+100; {
		if time.Now().After(late) {
			p.Fatal("no traffic")
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// loadTime is how long there is traffic: longer than everything else takes.
const loadTime = "18"

// load begins TCP both ways between the host and the server.
func (p *pair) load() *netlab.Process {
	p.Helper()
	s, err := p.internet.Start("iperf3", "--server", "--one-off", "--forceflush")
	must(p.T, err)
	must(p.T, await(within(p.T), s, "iperf3 server", func() bool { return contains(s.Output(), "listening") }))
	c, err := p.host.Start("iperf3", "--client", server, "--json", "--time", loadTime, "--bidir", "--parallel", "2", "--bitrate", "2M", "--connect-timeout", "10000")
	must(p.T, err)
	return c
}

// judge requires that every connection of a load went on to its end.
func (p *pair) judge(load *netlab.Process) {
	p.Helper()
	if err := load.Wait(); err != nil {
		p.Fatalf("iperf3: %v\n%s", err, load.Output())
	}
	var result struct {
		Error string `json:"error"`
		End   struct {
			Streams []struct {
				Sender struct {
					Bytes       float64 `json:"bytes"`
					Retransmits int     `json:"retransmits"`
				} `json:"sender"`
				Receiver struct {
					Seconds float64 `json:"seconds"`
					Bytes   float64 `json:"bytes"`
				} `json:"receiver"`
			} `json:"streams"`
		} `json:"end"`
	}
	must(p.T, json.Unmarshal([]byte(load.Output()), &result))
	if result.Error != "" || len(result.End.Streams) != 4 {
		p.Fatalf("iperf3: %s, %d streams", result.Error, len(result.End.Streams))
	}
	for i, s := range result.End.Streams {
		p.Logf("connection %d: %.1f of %.1f MB arrived, %d segments were sent again", i, s.Receiver.Bytes/1e6, s.Sender.Bytes/1e6, s.Sender.Retransmits)
		if s.Receiver.Bytes < s.Sender.Bytes/2 {
			p.Errorf("connection %d lost most of its data", i)
		}
	}
}
