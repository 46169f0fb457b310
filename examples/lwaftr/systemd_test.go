package main

import (
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/lwaftr/lw4o6/plugin/dataplane/fake"
)

// serviceManager is what the process tells systemd.
type serviceManager struct {
	*testing.T
	conn *net.UnixConn
}

func newServiceManager(t *testing.T, watchdog time.Duration) *serviceManager {
	t.Helper()
	path := filepath.Join(folder(t), "notify")
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	if err := conn.SetReadDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	t.Setenv("NOTIFY_SOCKET", path)
	t.Setenv("WATCHDOG_USEC", strconv.FormatInt(watchdog.Microseconds(), 10))
	t.Setenv("WATCHDOG_PID", strconv.Itoa(os.Getpid()))
	return &serviceManager{t, conn}
}

// until reads until something begins with each of want, in this order.
func (s *serviceManager) until(want ...string) {
	s.Helper()
	b := make([]byte, 4096)
	for len(want) > 0 {
		n, err := s.conn.Read(b)
		if err != nil {
			s.Fatalf("waiting for %q: %v", want, err)
		}
		if strings.HasPrefix(string(b[:n]), want[0]) {
			want = want[1:]
		}
	}
}

// TestSystemd: the service manager is told of every turn in the life of the
// router, and that it lives.
func TestSystemd(t *testing.T) {
	systemd := newServiceManager(t, 30*time.Millisecond)
	dir := folder(t)
	path := configure(t, dir, "", "192.0.2.1,1,2001:db8::1")
	dp := fake.New()
	dp.Disconnect("not yet")
	r := begin(t, path, with(dp))
	systemd.until("READY=1", "STATUS=waiting for the data plane", "WATCHDOG=1")
	dp.Reconnect()
	systemd.until("STATUS=ready: 1 softwires are programmed", "WATCHDOG=1", "WATCHDOG=1")
	configure(t, dir, "nonsense: true\n")
	hangup(t)
	systemd.until("RELOADING=1\nMONOTONIC_USEC=", "READY=1")
	r.cancel()
	systemd.until("STOPPING=1")
	if code := r.wait(t); code != exitOK {
		t.Errorf("exit code %d", code)
	}
}
