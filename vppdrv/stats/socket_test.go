package stats

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// server is a stats socket. answer is called with each connection.
func server(t *testing.T, answer func(*net.UnixConn)) (path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "stats.sock")
	l, err := net.ListenUnix("unixpacket", &net.UnixAddr{Net: "unixpacket", Name: path})
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	t.Cleanup(func() {
		l.Close()
		<-done
	})
	go func() {
		defer close(done)
		for {
			conn, err := l.AcceptUnix()
			if err != nil {
				return
			}
			answer(conn)
			conn.Close()
		}
	}()
	return path
}

// memoryOf is anonymous memory with content, as VPP's is.
func memoryOf(t *testing.T, content []byte) *os.File {
	t.Helper()
	fd, err := unix.MemfdCreate("stats", unix.MFD_CLOEXEC)
	if err != nil {
		t.Fatal(err)
	}
	f := os.NewFile(uintptr(fd), "stats")
	t.Cleanup(func() { f.Close() })
	if _, err := f.Write(content); err != nil {
		t.Fatal(err)
	}
	return f
}

// giving answers with descriptors, in an empty message as VPP does.
func giving(files ...*os.File) func(*net.UnixConn) {
	return func(conn *net.UnixConn) {
		var fds []int
		for _, f := range files {
			fds = append(fds, int(f.Fd()))
		}
		_, _, _ = conn.WriteMsgUnix(nil, unix.UnixRights(fds...), nil) // the test fails if nothing arrives
	}
}

func TestRead(t *testing.T) {
	f := memoryOf(t, sample())
	r := New(server(t, giving(f)))
	first, err := r.Read(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if len(first.Domains) != 2 || first.Incarnation == 0 {
		t.Errorf("reading: %+v", first)
	}
	second, err := r.Read(t.Context())
	if err != nil || second.Incarnation != first.Incarnation || second.serial <= first.serial {
		t.Errorf("again: %+v, %v", second, err)
	}
	if err := f.Truncate(100); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Read(t.Context()); !errors.Is(err, ErrSegment) {
		t.Errorf("reading memory that shrank: %v", err)
	}
}

// TestHangsUp: VPP is asked again that hangs up, but not for ever.
func TestHangsUp(t *testing.T) {
	f := memoryOf(t, sample())
	for silent, fails := range map[int]bool{1: false, attempts - 1: false, attempts: true} {
		asked := 0
		r := New(server(t, func(conn *net.UnixConn) {
			if asked++; asked > silent {
				giving(f)(conn)
			}
		}))
		if _, err := r.Read(t.Context()); errors.Is(err, io.EOF) != fails || !fails && err != nil {
			t.Errorf("after %d silent answers: %v", silent, err)
		}
	}
}

// TestIncarnation: another VPP at the same path has other memory, and its
// events start from zero.
func TestIncarnation(t *testing.T) {
	empty := newImage()
	errorVector := empty.entry("/node/errors", kindSimple, empty.counters(1, []uint64{1}))
	empty.symlink("/err/ip4-map/no_binding", errorVector, 0)
	memories := []*os.File{memoryOf(t, sample()), memoryOf(t, empty.finish())}
	turn := 0
	r := New(server(t, func(conn *net.UnixConn) {
		giving(memories[turn])(conn)
		turn++
	}))
	unbound := func(r *Reading) uint64 {
		for _, e := range r.Events {
			if e.Name == "drop-unbound-port" {
				return e.Packets
			}
		}
		return 0
	}
	first, err := r.Read(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	second, err := r.Read(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if first.Incarnation == second.Incarnation {
		t.Errorf("both VPPs are incarnation %d", first.Incarnation)
	}
	if unbound(first) != 33 || unbound(second) != 1 {
		t.Errorf("unbound ports: %d, then %d in another VPP", unbound(first), unbound(second))
	}
}

func TestBadServer(t *testing.T) {
	f := memoryOf(t, sample())
	pipe, other, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = errors.Join(pipe.Close(), other.Close()) }) // after the servers end
	for name, test := range map[string]struct {
		answer func(*net.UnixConn)
		text   string
	}{
		"hangs up":          {func(*net.UnixConn) {}, "EOF"},
		"says something":    {func(c *net.UnixConn) { _, _ = c.Write([]byte("hello")) }, "EOF"},
		"two descriptors":   {giving(f, f), "2 descriptors"},
		"many descriptors":  {giving(f, f, f, f, f, f, f, f), "descriptors"},
		"no memory, a pipe": {giving(pipe), "header"},
	} {
		r := New(server(t, test.answer))
		const repeats = 20
		before := descriptors(t)
		for range repeats {
			got, err := r.Read(t.Context())
			if err == nil || !strings.Contains(err.Error(), test.text) {
				t.Errorf("%s: %+v, %v", name, got, err)
			}
		}
		// One more connection may still be open at the server.
		if after := descriptors(t); after >= before+repeats {
			t.Errorf("%s: %d descriptors before, %d after", name, before, after)
		}
	}
}

// descriptors is how many files are open.
func descriptors(t *testing.T) int {
	t.Helper()
	all, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(all)
}

func TestNoServer(t *testing.T) {
	path := filepath.Join(t.TempDir(), "stats.sock")
	if _, err := New(path).Read(t.Context()); !errors.Is(err, os.ErrNotExist) || !strings.Contains(err.Error(), path) {
		t.Errorf("reading without VPP: %v", err)
	}
}

// TestSilentServer: a VPP that hangs holds nobody up beyond the context, also
// when its queue of connections is full.
func TestSilentServer(t *testing.T) {
	path := filepath.Join(t.TempDir(), "stats.sock")
	l, err := net.ListenUnix("unixpacket", &net.UnixAddr{Net: "unixpacket", Name: path})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	r := New(path)
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	if _, err := r.Read(ctx); !errors.Is(err, ErrNoAnswer) && !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("reading from a silent VPP: %v", err)
	}
	// Whoever waits for a turn goes with its own context.
	r.turn <- struct{}{}
	if _, err := r.Read(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("waiting for a turn: %v", err)
	}
}
