package bgp

import (
	"context"
	"errors"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/lwaftr/lw4o6/integration/netlab"
)

// sent is something that one side sent.
type sent struct {
	what string
	at   time.Time
}

// talk is what the two sides of BGP sessions sent, by their addresses, without
// KEEPALIVEs.
type talk map[string][]sent

// capture listens on an interface until what it returns is called.
func capture(t *testing.T, in *netlab.Namespace, iface string) func() []netlab.Frame {
	t.Helper()
	c, err := in.Capture(iface)
	must(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan []netlab.Frame, 1)
	go func() {
		var all []netlab.Frame
		for {
			f, err := c.Next(ctx)
			if err != nil {
				done <- all
				return
			}
			all = append(all, f)
		}
	}()
	return func() []netlab.Frame {
		cancel()
		all := <-done
		rest, err := c.Drain()
		must(t, errors.Join(err, c.Close()))
		return append(all, rest...)
	}
}

// dissect has tshark read frames.
func dissect(t *testing.T, frames []netlab.Frame) talk {
	t.Helper()
	path := filepath.Join(t.TempDir(), "session.pcap")
	must(t, netlab.WriteFrames(path, frames))
	// Not what the upstream tries besides: nobody listens at the router.
	const sessions = "ip.src == " + router4 + " && tcp.dstport == 179 || ip.dst == " + router4 + " && tcp.srcport == 179"
	args := []string{"-r", path, "-Y", sessions, "-T", "fields", "-E", "separator=;"}
	for _, field := range []string{
		"frame.time_epoch", "ip.src", "tcp.flags.fin", "tcp.flags.reset", "bgp.type", "bgp.update.withdrawn_routes.length",
		"bgp.update.path_attributes.length", "bgp.notify.major_error", "bgp.notify.minor_error_cease",
		"bgp.cap.gr.timers.restart_flag", "bgp.cap.gr.flag.pfs", "_ws.malformed",
	} {
		args = append(args, "-e", field)
	}
	out, err := exec.CommandContext(t.Context(), "tshark", args...).Output()
	if err != nil {
		t.Fatalf("tshark: %v", err)
	}
	all := make(talk)
	for line := range strings.Lines(string(out)) {
		f := strings.Split(strings.TrimRight(line, "\n"), ";")
		if f[11] != "" {
			t.Errorf("tshark: malformed: %s", line)
		}
		epoch, err := strconv.ParseFloat(f[0], 64)
		must(t, err)
		add := func(what string) {
			own := all[f[1]]
			// A side that has closed may reset besides.
			if what == "close" && len(own) > 0 && own[len(own)-1].what == what {
				return
			}
			all[f[1]] = append(own, sent{what, time.UnixMicro(int64(epoch * 1e6))})
		}
		updates := 0
		for _, kind := range strings.FieldsFunc(f[4], isComma) {
			switch kind {
			case "1":
				what := "OPEN"
				if yes(f[9]) {
					what += " restarted"
				}
				if yes(f[10]) {
					what += " forwarding"
				}
				add(what)
			case "2":
				withdrawn, attributes := strings.Split(f[5], ",")[updates], strings.Split(f[6], ",")[updates]
				updates++
				switch {
				case withdrawn != "0":
					add("withdrawal")
				case attributes != "0":
					add("route")
				default:
					add("End-of-RIB")
				}
			case "3":
				add("NOTIFICATION " + f[7] + "/" + f[8])
			}
		}
		if yes(f[2]) || yes(f[3]) {
			add("close")
		}
	}
	return all
}

func isComma(r rune) bool { return r == ',' }

// yes says whether a flag is set in a packet.
func yes(field string) bool {
	return strings.Contains(field, "1") || strings.Contains(field, "True")
}

// by is what one side sent, as a text.
func (k talk) by(address string) string {
	var all []string
	for _, s := range k[address] {
		all = append(all, s.what)
	}
	return strings.Join(all, ", ")
}
