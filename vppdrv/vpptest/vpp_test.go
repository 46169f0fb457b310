package vpptest

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestStartup(t *testing.T) {
	text := Config{Workers: 2, Heap: "1G", Plugins: []string{"ping", "map"}, NoPunt: true, Extra: "l3fib { }"}.Startup("/d/x")
	for _, want := range []string{
		"socket-name /d/x/api.sock", "main-heap-size 1G ", "cpu { workers 2 }", "poll-sleep-usec 100",
		"plugin map_plugin.so { enable }\n  plugin ping_plugin.so { enable }", "l3fib { }\n",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
	for _, unwanted := range []string{"punt", "hugepage"} {
		if strings.Contains(text, unwanted) {
			t.Errorf("%q in\n%s", unwanted, text)
		}
	}
	if busy := (Config{Busy: true}).Startup("/d/x"); strings.Contains(busy, "poll-sleep") {
		t.Errorf("a busy VPP sleeps:\n%s", busy)
	}
}

func TestFind(t *testing.T) {
	file := filepath.Join(t.TempDir(), "vpp")
	t.Setenv(envBinary, file)
	if _, err := Find(); !errors.Is(err, ErrNoVPP) || !strings.Contains(err.Error(), file) {
		t.Errorf("Find with a missing %s: %v", envBinary, err)
	}
	if err := os.WriteFile(file, []byte("#!/bin/sh\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	if got, err := Find(); got != file || err != nil {
		t.Errorf("Find = %q, %v, want %q", got, err, file)
	}
}

func TestStart(t *testing.T) {
	v := Start(t, Config{})
	if got := v.CLI("show version"); !strings.HasPrefix(got, "vpp v") {
		t.Errorf("show version: %q", got)
	}
	if _, err := v.TryCLI("set interface state nosuch up"); err == nil || !strings.Contains(err.Error(), "nosuch") {
		t.Errorf("a wrong command: %v", err)
	}
	if _, err := os.Stat(v.Punt); err != nil {
		t.Errorf("punt socket: %v", err)
	}
}

// TestPort pings VPP from the far end of a port, also after a crash.
func TestPort(t *testing.T) {
	v := Start(t, Config{})
	p := v.AddPort()
	address := func() {
		v.Lines(`
			set interface ip address ` + p.Interface + ` 192.0.2.1/24
			set ip neighbor ` + p.Interface + ` 192.0.2.2 ` + p.MAC.String())
	}
	address()
	ping(t, p)

	first := v.PID()
	v.Kill()
	v.Restart()
	if v.PID() == first {
		t.Errorf("the same process %d after a restart", first)
	}
	v.Reattach(p)
	address()
	ping(t, p)
}

func ping(t *testing.T, p *Port) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	if err := p.Send(echoRequest()); err != nil {
		t.Fatal(err)
	}
	got, err := p.Receive(ctx)
	if err != nil {
		t.Fatalf("no answer to the ping: %v", err)
	}
	const typeAt, echoReply = 20, 0
	if !bytes.Equal(got[12:20], []byte{192, 0, 2, 1, 192, 0, 2, 2}) || got[typeAt] != echoReply {
		t.Errorf("answer to the ping: %x", got)
	}
}

// echoRequest is from 192.0.2.2 to 192.0.2.1.
func echoRequest() []byte {
	p := []byte{
		0x45, 0, 0, 28, 0, 1, 0, 0, 64, 1, 0, 0, 192, 0, 2, 2, 192, 0, 2, 1,
		8, 0, 0, 0, 0x12, 0x34, 0, 1,
	}
	binary.BigEndian.PutUint16(p[10:], checksum(p[:20]))
	binary.BigEndian.PutUint16(p[22:], checksum(p[20:]))
	return p
}

func checksum(b []byte) uint16 {
	sum := uint32(0)
	for ; len(b) > 1; b = b[2:] {
		sum += uint32(binary.BigEndian.Uint16(b))
	}
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	return ^uint16(sum)
}

func TestReceiveEndsWithContext(t *testing.T) {
	v := Start(t, Config{})
	p := v.AddPort()
	for range 2 {
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		if got, err := p.Receive(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Receive = %x, %v", got, err)
		}
		cancel()
	}
}

func TestIPOf(t *testing.T) {
	ip4 := echoRequest()
	frame := func(kind uint16, dst byte, packet []byte) []byte {
		f := make([]byte, 12, 64)
		f[0] = dst
		return append(binary.BigEndian.AppendUint16(f, kind), packet...)
	}
	ip6 := make([]byte, 48)
	ip6[0], ip6[5], ip6[6], ip6[40] = 0x60, 8, 58, 128
	solicitation := bytes.Clone(ip6)
	solicitation[40] = 135
	for name, test := range map[string]struct{ frame, want []byte }{
		"short":        {[]byte{1, 2, 3}, nil},
		"arp":          {frame(0x0806, 2, make([]byte, 28)), nil},
		"multicast":    {frame(0x0800, 1, ip4), nil},
		"ipv4 padded":  {frame(0x0800, 2, append(bytes.Clone(ip4), make([]byte, 18)...)), ip4},
		"ipv4 cut":     {frame(0x0800, 2, ip4[:12]), ip4[:12]},
		"ipv6":         {frame(0x86dd, 2, append(bytes.Clone(ip6), 0)), ip6},
		"solicitation": {frame(0x86dd, 2, solicitation), nil},
	} {
		if got := ipOf(test.frame); !bytes.Equal(got, test.want) {
			t.Errorf("%s: %x, want %x", name, got, test.want)
		}
	}
}
