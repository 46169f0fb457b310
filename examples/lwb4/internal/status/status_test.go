package status

import (
	"bytes"
	"context"
	"errors"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func full() Status {
	return Status{
		Source: "pcp", State: "up", LwB4: netip.MustParseAddr("2001:db8:1::1"), BR: netip.MustParseAddr("2001:db8:ffff::1"),
		IPv4: netip.MustParseAddr("192.0.2.1"), Until: time.Unix(1_000_000, 0).UTC(), Error: "out of order", Flows: 7,
		Sets: []PortSet{{Set: "0/6/5", Ports: 1024, InUse: 12}, {Set: "0/6/7", Ports: 1024, Closed: true}},
		NAT:  Counts{Dropped: 1, Exhausted: 2, Unassigned: 3},
		In:   map[string]uint64{"passed": 4, "malformed": 5}, Out: map[string]uint64{"passed": 6},
		Mappings: []Mapping{{Protocol: "tcp", Host: netip.MustParseAddrPort("192.168.1.2:80"), Port: 5180,
			Peer: netip.MustParseAddrPort("203.0.113.9:9")}},
	}
}

func serve(t *testing.T, path string, ask func(context.Context) (Status, error)) {
	t.Helper()
	s, err := Listen(path, ask)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

func TestReadWhatIsServed(t *testing.T) {
	path := filepath.Join(t.TempDir(), "new", "lwb4.sock")
	serve(t, path, func(context.Context) (Status, error) { return full(), nil })
	got, err := Read(t.Context(), path)
	if err != nil || !reflect.DeepEqual(got, full()) {
		t.Errorf("%+v, %v", got, err)
	}
	if _, err := Listen(path, nil); err == nil {
		t.Error("a second one took the socket of the first")
	}
}

func TestNobodyThere(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lwb4.sock")
	if _, err := Read(t.Context(), path); !errors.Is(err, ErrNotRunning) {
		t.Errorf("%v", err)
	}
	// One that was killed leaves its socket.
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path})
	if err != nil {
		t.Fatal(err)
	}
	l.SetUnlinkOnClose(false)
	l.Close()
	serve(t, path, func(context.Context) (Status, error) { return Status{State: "asking"}, nil })
	if got, err := Read(t.Context(), path); err != nil || got.State != "asking" {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestOtherFilesAreLeftAlone(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Listen(path, nil); err == nil {
		t.Error("a file was taken for a socket")
	}
	if b, err := os.ReadFile(path); err != nil || string(b) != "precious" {
		t.Errorf("%q, %v", b, err)
	}
}

func TestNoAnswer(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lwb4.sock")
	serve(t, path, func(context.Context) (Status, error) { return Status{}, errors.New("stopping") })
	if _, err := Read(t.Context(), path); err == nil {
		t.Error("an empty answer is a status")
	}
}

func TestPrint(t *testing.T) {
	var out bytes.Buffer
	if err := full().Print(&out, time.Unix(1_000_000-90, 0)); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"up, by pcp", "out of order", "2001:db8:1::1 to 2001:db8:ffff::1", "0/6/5, 12 of 1024 ports in use\n",
		"0/6/7, 0 of 1024 ports in use, closed", "1970-01-12T13:46:40Z, in 1m30s", "1 dropped, 2 exhausted, 3 unassigned",
		"5 malformed, 4 passed", "tcp 5180 to 192.168.1.2:80 for 203.0.113.9:9",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is not in\n%s", want, &out)
		}
	}
}
