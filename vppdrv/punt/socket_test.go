package punt

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// fakeVPP is VPP's end of the punt socket.
func fakeVPP(t *testing.T, path string) *net.UnixConn {
	t.Helper()
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	vpp, err := net.ListenUnixgram("unixgram", address(path))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { vpp.Close() })
	return vpp
}

func open(t *testing.T, path, server string) *Socket {
	t.Helper()
	s, err := Listen(path, server)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// TestOnlyVPP: what somebody else sends is refused.
func TestOnlyVPP(t *testing.T) {
	dir := t.TempDir()
	ours, theirs := filepath.Join(dir, "ours"), filepath.Join(dir, "theirs")
	vpp := fakeVPP(t, theirs)
	s := open(t, ours, theirs)
	stranger := fakeVPP(t, filepath.Join(dir, "stranger"))
	if _, err := stranger.WriteToUnix(punted(1, 0, packet6(60), 0), address(ours)); !errors.Is(err, unix.EPERM) {
		t.Errorf("a stranger sends: %v", err)
	}
	if _, err := vpp.WriteToUnix(punted(2, 0, packet6(61), 0), address(ours)); err != nil {
		t.Fatal(err)
	}
	if index, packet, err := s.Receive(t.Context()); index != 2 || !bytes.Equal(packet, packet6(61)) || err != nil {
		t.Errorf("received %d, %x, %v", index, packet, err)
	}
}

// TestQueue: packets wait as long as VPP has room for them in its send buffer.
func TestQueue(t *testing.T) {
	dir := t.TempDir()
	ours, theirs := filepath.Join(dir, "ours"), filepath.Join(dir, "theirs")
	vpp := fakeVPP(t, theirs)
	const buffer = 0x10000 // as punt.c sets
	if err := vpp.SetWriteBuffer(buffer); err != nil {
		t.Fatal(err)
	}
	s := open(t, ours, theirs)
	waiting := 0
	for {
		if err := vpp.SetWriteDeadline(time.Now().Add(10 * time.Millisecond)); err != nil {
			t.Fatal(err)
		}
		_, err := vpp.WriteToUnix(punted(1, 0, packet6(60), 0), address(ours))
		if errors.Is(err, os.ErrDeadlineExceeded) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		waiting++
	}
	const least = 100
	if waiting < least {
		t.Errorf("%d packets wait at most, want %d", waiting, least)
	}
	for range waiting {
		if _, _, err := s.Receive(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("%d packets waited", waiting)
}

func TestListenRefuses(t *testing.T) {
	dir := t.TempDir()
	theirs := filepath.Join(dir, "theirs")
	fakeVPP(t, theirs)
	file, used, idle := filepath.Join(dir, "file"), filepath.Join(dir, "used"), filepath.Join(dir, "idle")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	open(t, used, theirs)
	fakeVPP(t, idle) // open, and connected to nobody
	for name, test := range map[string]struct {
		path, server string
		want         error // or nil
		text         string
	}{
		"a file":       {file, theirs, nil, "something else has that name"},
		"in use":       {used, theirs, ErrInUse, used},
		"in use, idle": {idle, theirs, ErrInUse, idle},
		"long path":    {filepath.Join(dir, strings.Repeat("x", MaxPath)), theirs, nil, fmt.Sprint(MaxPath)},
		"no directory": {filepath.Join(dir, "no", "such"), theirs, os.ErrNotExist, "such"},
		"no VPP":       {filepath.Join(dir, "new"), filepath.Join(dir, "nobody"), os.ErrNotExist, "punt { socket"},
	} {
		s, err := Listen(test.path, test.server)
		if err == nil {
			s.Close()
			t.Errorf("%s: no error", name)
			continue
		}
		if test.want != nil && !errors.Is(err, test.want) || !strings.Contains(err.Error(), test.text) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := os.Stat(file); err != nil {
		t.Errorf("the file: %v", err)
	}
	if _, err := os.Lstat(filepath.Join(dir, "new")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the socket without a VPP: %v", err)
	}
}

// TestOtherVPP: what is sent never reaches a VPP that was started since.
func TestOtherVPP(t *testing.T) {
	dir := t.TempDir()
	ours, theirs := filepath.Join(dir, "ours"), filepath.Join(dir, "theirs")
	first := fakeVPP(t, theirs)
	s := open(t, ours, theirs)
	if err := s.Send(t.Context(), 1, packet6(60)); err != nil {
		t.Fatal(err)
	}
	first.Close()
	second := fakeVPP(t, theirs)
	for range 3 {
		if err := s.Send(t.Context(), 1, packet6(60)); err == nil {
			t.Error("sent to a VPP that is gone")
		}
	}
	if err := second.SetReadDeadline(time.Unix(1, 0)); err != nil {
		t.Fatal(err)
	}
	got := make([]byte, 100)
	if n, err := second.Read(got); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("the other VPP received %x, %v", got[:n], err)
	}
	s.Close()
	if err := open(t, ours, theirs).Send(t.Context(), 1, packet6(60)); err != nil {
		t.Errorf("sending after opening anew: %v", err)
	}
}

// TestSendWaits: senders whose packets do not fit wait until VPP has read, and
// one that gives up does not disturb the others.
func TestSendWaits(t *testing.T) {
	dir := t.TempDir()
	theirs := filepath.Join(dir, "theirs")
	vpp := fakeVPP(t, theirs)
	s := open(t, filepath.Join(dir, "ours"), theirs)
	const senders, each = 8, 50
	var sending sync.WaitGroup
	for range senders {
		sending.Go(func() {
			for sent := 0; sent < each; {
				err := s.Send(t.Context(), 1, packet6(60))
				switch {
				case err == nil:
					sent++
				case !errors.Is(err, os.ErrDeadlineExceeded): // which a slow machine causes
					t.Error(err)
					return
				}
			}
		})
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.Send(ended, 1, packet6(60)); !errors.Is(err, context.Canceled) {
		t.Errorf("sending with a context that ended: %v", err)
	}
	got := make([]byte, 100)
	for range senders * each {
		if _, err := vpp.Read(got); err != nil {
			t.Fatal(err)
		}
	}
	sending.Wait()
}

// TestReceiveIsCalledOff: a call that was called off leaves nothing behind that
// would end the next one, or keep it from ending.
func TestReceiveIsCalledOff(t *testing.T) {
	dir := t.TempDir()
	ours, theirs := filepath.Join(dir, "ours"), filepath.Join(dir, "theirs")
	vpp := fakeVPP(t, theirs)
	s := open(t, ours, theirs)
	for i := range 200 {
		ctx, cancel := context.WithCancel(t.Context())
		go cancel()
		if _, _, err := s.Receive(ctx); !errors.Is(err, context.Canceled) {
			t.Fatalf("call %d: %v", i, err)
		}
	}
	if _, err := vpp.WriteToUnix(punted(2, 0, packet6(61), 0), address(ours)); err != nil {
		t.Fatal(err)
	}
	if _, packet, err := s.Receive(t.Context()); err != nil || len(packet) != 61 {
		t.Errorf("received %x, %v", packet, err)
	}
}
