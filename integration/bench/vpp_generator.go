package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/lwaftr/lw4o6/plugin/softwire"
)

// The interfaces of VPP's packet generator.
const (
	// Where packets come in: the router's interfaces to the IPv4 Internet and to
	// the access network, and two on which the MAP plugin is enabled, with
	// nothing of ours.
	ours4, ours6 = "pg0", "pg1"
	bare4, bare6 = "pg2", "pg3"
	// Where they go out, and vanish. VPP sends nothing of its own there. The last
	// is for both ends of softwires that change.
	sink4, sink6, sinkChanged = "pg4", "pg5", "pg6"
)

var (
	// generatorMAC is the address of all of them: they take the same packets.
	generatorMAC = net.HardwareAddr{0x02, 0xfe, 0, 0, 0, 1}
	neighbourMAC = net.HardwareAddr{0x02, 0, 0, 0, 0, 2}

	// changedB4s is where the lwB4s are of softwires that change, and changedHost
	// whom they talk to.
	changedB4s  = netip.MustParsePrefix("2001:db8:8000::/33")
	changedHost = netip.MustParseAddrPort("203.0.113.7:443")
)

// operatorLines are what a router's operator does, and what the comparison
// needs.
func operatorLines() string {
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	for _, name := range []string{ours4, ours6, bare4, bare6, sink4, sink6, sinkChanged} {
		line("create packet-generator interface %s hw-addr %s", name, generatorMAC)
		line("set interface state %s up", name)
	}
	for i, name := range []string{ours4, ours6, bare4, bare6} {
		line("set interface ip address %s 198.18.%d.1/24", name, i)
		line("set interface ip address %s 2001:db9:%d::1/64", name, i)
	}
	route := func(prefix, via, name string) {
		line("set ip neighbor %s %s %s", name, via, neighbourMAC)
		line("ip route add %s via %s %s", prefix, via, name)
	}
	route("0.0.0.0/0", "198.18.255.2", sink4)
	route("2001:db8::/32", "2001:db9:ffff::2", sink6)
	route(changedB4s.String(), "2001:db9:ffff::3", sinkChanged)
	route(changedHost.Addr().String()+"/32", "198.18.255.3", sinkChanged)
	line("map interface %s", bare4)
	line("map interface %s", bare6)
	return b.String()
}

// stream is packets that VPP makes, over and over, as if they came in by an
// interface.
type stream struct {
	router *router
	name   string
	sink   int // VPP's number of the interface where they go out
}

// unlimited is more packets than any stream makes.
const unlimited = 1 << 60

// addStream makes a stream that VPP does not run yet. A pace of zero is as fast
// as it can.
func (r *router) addStream(name, from, sink, file string, pace int) *stream {
	r.vpp.CLI("packet-generator new name %s limit %d rate %d interface %s node ethernet-input pcap %s", name, unlimited, pace, from, file)
	return &stream{router: r, name: name, sink: r.index(sink)}
}

// enable lets VPP make the packets, or no more.
func (s *stream) enable(on bool) {
	verb := "enable"
	if !on {
		verb = "disable"
	}
	s.router.vpp.CLI("packet-generator %s-stream %s", verb, s.name)
}

// generate makes the streams of small packets of many softwires, which rate
// measures.
func (r *router) generate(all []softwire.Softwire, most int) error {
	random := rand.New(rand.NewPCG(3, 4))
	file4, file6, err := r.capture("rate", flows(all, min(most, len(all)), random), host)
	if err != nil {
		return err
	}
	streams := make(map[string]*stream)
	err = r.scope.Do(func() {
		for _, from := range []string{ours4, bare4} {
			streams[from] = r.addStream("rate-"+from, from, sink6, file4, 0)
		}
		for _, from := range []string{ours6, bare6} {
			streams[from] = r.addStream("rate-"+from, from, sink4, file6, 0)
		}
	})
	r.streams = streams
	return err
}

// capture writes files with a packet of each flow, one with those
// from a host to subscribers and one with the answers.
func (r *router) capture(name string, chosen []flow, host netip.AddrPort) (file4, file6 string, err error) {
	file4, file6 = filepath.Join(r.vpp.Dir(), name+"4.pcap"), filepath.Join(r.vpp.Dir(), name+"6.pcap")
	err = errors.Join(
		writeCapture(file4, len(chosen), func(i int) []byte {
			return udp4(host, chosen[i].own, smallPacket, uint16(i))
		}),
		writeCapture(file6, len(chosen), func(i int) []byte {
			f := chosen[i]
			return inSoftwire(f.softwire.B4, f.softwire.BR, udp4(f.own, host, smallPacket, uint16(i)))
		}),
	)
	return file4, file6, err
}

// rate measures millions of packets per second of the time that VPP's worker
// was running.
func (s *stream) rate(ctx context.Context, while time.Duration) (rate float64, err error) {
	failed := s.router.scope.Do(func() { rate, err = s.measure(ctx, while) })
	return rate, errors.Join(failed, err)
}

func (s *stream) measure(ctx context.Context, while time.Duration) (float64, error) {
	idle, err := s.look(ctx)
	if err != nil {
		return 0, err
	}
	s.enable(true)
	// At first caches are cold, and VPP's main thread is busy with the command.
	forward(while / 4)
	before, err := s.look(ctx)
	forward(while)
	after, err2 := s.look(ctx)
	s.enable(false)
	end, err3 := s.look(ctx)
	if err := errors.Join(err, err2, err3); err != nil {
		return 0, err
	}
	if made, went := end.made, end.went-idle.went; made != went || made == 0 {
		return 0, fmt.Errorf("of %d packets %d came out\n%s", made, went, s.router.vpp.CLI("show errors"))
	}
	return float64(after.went-before.went) / (after.busy - before.busy).Seconds() / 1e6, nil
}

// forward lets VPP forward for a while.
func forward(while time.Duration) { time.Sleep(while) }

// look is what a stream has done, and for how long the worker has been running.
type look struct {
	made uint64 // packets, since it was enabled
	went uint64 // packets by its sink, ever
	busy time.Duration
}

func (s *stream) look(ctx context.Context) (l look, err error) {
	if l.made, err = s.made(); err != nil {
		return look{}, err
	}
	// These two are for a rate: nothing comes between them.
	if l.busy, err = workerTime(s.router.vpp.PID()); err != nil {
		return look{}, err
	}
	reading, err := s.router.stats.Read(ctx)
	if err != nil {
		return look{}, err
	}
	if n := len(reading.Interfaces); s.sink >= n {
		return look{}, fmt.Errorf("VPP counts for %d interfaces", n)
	}
	l.went = reading.Interfaces[s.sink].Tx.Packets
	return l, nil
}

// made is how many packets VPP has made since it was last enabled. The counter of the interface where
// they come in is ahead: it has those, too, that are ready to be sent.
func (s *stream) made() (packets uint64, err error) {
	output, err := s.router.vpp.TryCLI("show packet-generator")
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(output) {
		var name, enabled string
		if n, _ := fmt.Sscan(line, &name, &enabled, &packets); n == 3 && name == s.name {
			return packets, nil
		}
	}
	return 0, fmt.Errorf("VPP has no stream %s:\n%s", s.name, output)
}

// workerTime is for how long the worker of the VPP with a process id has been
// running. It is never idle, so that what else the machine does counts little.
func workerTime(pid int) (time.Duration, error) {
	const worker = "vpp_wk_0"
	names, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/comm", pid))
	if err != nil {
		return 0, err
	}
	for _, name := range names {
		comm, err := os.ReadFile(name)
		if err != nil {
			return 0, err
		}
		if strings.TrimSpace(string(comm)) != worker {
			continue
		}
		data, err := os.ReadFile(filepath.Join(filepath.Dir(name), "schedstat"))
		if err != nil {
			return 0, err
		}
		var ns time.Duration
		if _, err := fmt.Sscan(string(data), &ns); err != nil {
			return 0, fmt.Errorf("schedstat of VPP's worker: %w", err)
		}
		return ns, nil
	}
	return 0, fmt.Errorf("VPP has no thread %s", worker)
}
