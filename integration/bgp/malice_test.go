package bgp

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"golang.org/x/sync/errgroup"

	"github.com/lwaftr/lw4o6/integration/netlab"
)

// attack is a peer that breaks the rules for a number of connections.
type attack struct {
	name  string
	times int
	// falls: a speaker with this GoBGP does not survive it.
	falls bool
	on    func(conn net.Conn) error
}

// attacks are the cases, those of GoBGP's advisories among them.
func attacks(seed uint64) []attack {
	ipv4, as4 := capabilities()
	fine := openMessage(slices.Concat(ipv4, as4)...)
	// first sends b before there is a session, and then b when there is one.
	first := func(b []byte) func(net.Conn) error {
		return func(conn net.Conn) error {
			if _, err := conn.Write(b); err != nil {
				return err
			}
			return linger(conn)
		}
	}
	then := func(messages ...[]byte) func(net.Conn) error {
		return func(conn net.Conn) error {
			if err := handshake(conn, fine); err != nil {
				return err
			}
			return first(slices.Concat(messages...))(conn)
		}
	}
	routes := func(attributes []byte) []byte { return update(nil, attributes, nlri()) }
	random := rand.New(rand.NewPCG(seed, 0))
	garbage := make([]byte, 4096)
	for i := range garbage {
		garbage[i] = byte(random.Uint32())
	}
	return []attack{
		{"an unknown type before OPEN", 1, true, first(message(99, nil))},
		{"an unknown type in a session", 1, true, then(message(99, nil))},
		{"garbage", 1, false, first(garbage)},
		{"garbage behind a marker", 1, false, first(message(typeOpen, garbage[:200]))},
		{"KEEPALIVE before OPEN", 1, false, first(message(typeKeepalive, nil))},
		{"UPDATE before OPEN", 1, false, first(routes(usual()))},
		{"OPEN with a capability that is longer than it", 1, false, first(openMessage(1, 200, 0, 1))},
		{"NEXT_HOP of 16 octets", 1, false, then(routes(slices.Concat(usual()[:17], attr(0x40, 3, make([]byte, 16)...))))},
		{"NEXT_HOP of no octets", 1, false, then(routes(slices.Concat(usual()[:17], attr(0x40, 3))))},
		{"an unrecognised well-known attribute", 1, false, then(routes(slices.Concat(usual(), attr(0x40, 200, 1, 2, 3))))},
		{"AS4_PATH before AS_PATH", 1, true, func(conn net.Conn) error {
			if err := handshake(conn, openMessage(ipv4...)); err != nil {
				return err
			}
			return first(routes(slices.Concat(attr(0x40, 1, 0), attr(0x40, 3, 198, 51, 100, 77),
				attr(0xc0, 17, 2, 1, 0, 0, 0xfb, 0xf5), attr(0x40, 2, 2, 1, 0xfb, 0xf5))))(conn)
		}},
		{"routes of a family that was not agreed on", 1, false, then(update(nil, slices.Concat(usual(),
			attr(0x80, 14, slices.Concat([]byte{0, 2, 1, 16}, make([]byte, 17), []byte{16, 0x20, 0x01})...)), nil),
			update(nil, attr(0x80, 15, 0, 2, 1, 16, 0x20, 0x01), nil))},
		{"an IPv6 extended community that is too short", 1, false, then(routes(slices.Concat(usual(), attr(0xc0, 25, make([]byte, 8)...))))},
		{"withdrawn routes that are longer than their length", 1, false, then(message(typeUpdate, []byte{0, 1, 32, 10, 0, 0, 1, 0, 0}))},
		{"an attribute that is longer than all of them", 1, false, then(message(typeUpdate, []byte{0, 0, 0, 4, 0x40, 1, 200, 0, 0, 0}))},
		{"an unknown SRv6 sub-TLV", 1, true, then(routes(slices.Concat(usual(), attr(0xc0, 40, 5, 0, 8, 0, 9, 0, 1, 0, 9, 0, 0))))},
		{"a million routes", 1, true, func(conn net.Conn) error {
			if err := handshake(conn, fine); err != nil {
				return err
			}
			return million(conn)
		}},
		{"flaps", 2, false, func(conn net.Conn) error { return handshake(conn, fine) }},
		{"messages with random changes", 2, false, func(conn net.Conn) error {
			if err := handshake(conn, fine); err != nil {
				return err
			}
			for range 200 {
				m := routes(slices.Concat(usual(), attr(0xc0, 8, 0xfb, 0xf5, 0, 1), attr(0xc0, 16, make([]byte, 8)...)))
				for range 1 + random.IntN(3) {
					m[19+random.IntN(len(m)-19)] = byte(random.Uint32())
				}
				if _, err := conn.Write(m); err != nil {
					return nil
				}
			}
			return linger(conn)
		}},
	}
}

// million sends a million routes, 1,000 in a message.
func million(conn net.Conn) error {
	for i := range uint32(1000) {
		var all []byte
		for j := range uint32(1000) {
			all = append(all, 24)
			all = append(all, binary.BigEndian.AppendUint32(nil, (0x100000+i*1000+j)<<8)[:3]...)
		}
		if _, err := conn.Write(update(nil, usual(), all)); err != nil {
			return nil
		}
	}
	return linger(conn)
}

// TestMalice: one peer for each way to break the rules, and beside them BIRD. The
// router and the session with BIRD go on as if nothing was; and when such a peer
// behaves again, it gets its routes again.
func TestMalice(t *testing.T) {
	t.Parallel()
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	here, there := twoNodes(t)
	all := attacks(seed)
	yaml := upstream(64500, "\n      address: 198.51.100.2\n      as: 64501\n      families: [ipv4]")
	var group errgroup.Group
	ctx, cancel := context.WithCancel(t.Context())
	t.Cleanup(func() {
		cancel()
		if err := group.Wait(); err != nil {
			t.Error(err)
		}
	})
	good := make([]atomic.Bool, len(all))
	for i, a := range all {
		address := fmt.Sprintf("198.51.100.%d", 10+i)
		must(t, there.Address("down", netip.MustParsePrefix(address+"/24")))
		yaml += fmt.Sprintf("    - {name: evil%d, address: %s, as: 64501, port: 1790, families: [ipv4], connect-retry: 1s}\n", i, address)
		group.Go(func() error { return a.run(ctx, there, address+":1790", &good[i]) })
	}
	b := startBIRD(t, there, ebgp(upstream4, router4, "debug { routes };", channel4))
	r := startRouter(t, here, yaml)
	r.announce(t, route(home, "home"))
	b.awaitRoutes(t, homeRoute)
	before := r.await(t, "upstream", established)

	var largest int
	eventually(t, "the peers' routes", func() error {
		stats, err := r.call(call{})
		var waiting []string
		for i := range all {
			largest = max(largest, memoryOf(t, stats[i+1].PID))
			if !good[i].Load() {
				waiting = append(waiting, fmt.Sprintf("%q (%s: %s)", all[i].name, stats[i+1].State, stats[i+1].Error))
			}
		}
		if err == nil && len(waiting) > 0 {
			err = fmt.Errorf("these have none: %s", strings.Join(waiting, ", "))
		}
		return err
	})
	after, err := r.call(call{})
	must(t, err)
	if s := after[0]; s.PID != before.PID || s.Sessions != 1 || s.Flaps != 0 || !s.Established() {
		t.Errorf("the other session was %+v and is %+v", before, s)
	}
	if strings.Contains(b.Output(), "removed") {
		t.Errorf("BIRD has lost a route:\n%s", b.Output())
	}
	log := r.process.Output()
	for i, a := range all {
		s := after[i+1]
		t.Logf("%s: %d speakers, %d sessions; last error: %s", a.name, s.Starts, s.Sessions, s.Error)
		if a.falls && s.Starts == 1 {
			t.Errorf("%s: the speaker has survived it", a.name)
		}
		if s.Starts > 1 && !strings.Contains(log, "peer="+s.Name) {
			t.Errorf("%s: the log does not name the peer", a.name)
		}
	}
	t.Logf("the largest speaker had %d MiB", largest)
	if largest > maxMemory {
		t.Errorf("a speaker had %d MiB, more than %d", largest, maxMemory)
	}
}

// run has the attack's peer listen until ctx ends. When it has attacked, it is an
// honest peer, and good becomes true when that has its route.
func (a attack) run(ctx context.Context, in *netlab.Namespace, address string, good *atomic.Bool) error {
	var listener net.Listener
	err := in.Do(func() (err error) {
		listener, err = net.Listen("tcp", address)
		return err
	})
	if err != nil {
		return err
	}
	defer context.AfterFunc(ctx, func() { _ = listener.Close() })()
	defer listener.Close()
	for n := 0; ; n++ {
		conn, err := listener.Accept()
		if err != nil {
			return nil
		}
		stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
		if n < a.times {
			err = a.on(conn)
		} else if err = honest(conn); err == nil {
			good.Store(true)
			<-ctx.Done()
		}
		stop()
		_ = conn.Close()
		if err != nil && ctx.Err() == nil && !errors.Is(err, net.ErrClosed) && n < a.times {
			return fmt.Errorf("%s: %w", a.name, err)
		}
	}
}

var peakMemory = regexp.MustCompile(`VmHWM:\s+(\d+) kB`)

// memoryOf is the most memory that a process has had, in MiB, or 0 if there is
// none.
func memoryOf(t *testing.T, pid int) int {
	t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	m := peakMemory.FindSubmatch(status)
	if pid == 0 || err != nil || m == nil {
		return 0
	}
	kib, err := strconv.Atoi(string(bytes.TrimSpace(m[1])))
	must(t, err)
	return kib >> 10
}
