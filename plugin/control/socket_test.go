package control

import (
	"bytes"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/sirupsen/logrus"

	"github.com/lwaftr/lw4o6/plugin/config/element"
)

func quiet() logrus.FieldLogger {
	l := logrus.New()
	l.SetOutput(io.Discard)
	return l
}

// recorder is an http.ResponseWriter in memory.
type recorder struct {
	header http.Header
	status int
	body   bytes.Buffer
}

func (r *recorder) Header() http.Header         { return r.header }
func (r *recorder) WriteHeader(status int)      { r.status = status }
func (r *recorder) Write(b []byte) (int, error) { return r.body.Write(b) }

func socketPath(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "lw4o6")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return filepath.Join(dir, "made", "control.sock")
}

func TestListenPermissions(t *testing.T) {
	path := socketPath(t)
	gid := os.Getgid()
	group := ""
	if os.Geteuid() == 0 {
		gid, group = 12345, "12345"
	}
	l, err := ListenSocket(t.Context(), Config{Socket: path, Group: group})
	if err != nil {
		t.Fatal(err)
	}
	info, err := os.Lstat(path)
	if err != nil {
		t.Fatal(err)
	}
	if got := info.Mode(); got != os.ModeSocket|0o660 {
		t.Errorf("mode %s, want srw-rw----", got)
	}
	if got := info.Sys().(*syscall.Stat_t).Gid; got != uint32(gid) {
		t.Errorf("group %d, want %d", got, gid)
	}
	if err := l.Close(); err != nil {
		t.Error(err)
	}
	if left, err := os.ReadDir(filepath.Dir(path)); err != nil || len(left) != 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

func TestListenReplacesStaleSocket(t *testing.T) {
	path := socketPath(t)
	if err := os.Mkdir(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{path, path + newSuffix} {
		old, err := net.Listen("unix", name)
		if err != nil {
			t.Fatal(err)
		}
		old.(*net.UnixListener).SetUnlinkOnClose(false)
		old.Close()
	}
	l, err := ListenSocket(t.Context(), Config{Socket: path})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	conn, err := net.Dial("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	conn.Close()
}

func TestListenRefuses(t *testing.T) {
	path := socketPath(t)
	l, err := ListenSocket(t.Context(), Config{Socket: path})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if _, err := ListenSocket(t.Context(), Config{Socket: path}); !errors.Is(err, ErrInUse) {
		t.Errorf("a second listener: %v", err)
	}
	if conn, err := net.Dial("unix", path); err != nil {
		t.Errorf("the first listener is gone: %v", err)
	} else {
		conn.Close()
	}
	file := filepath.Join(filepath.Dir(path), "file")
	if err := os.WriteFile(file, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := ListenSocket(t.Context(), Config{Socket: file}); err == nil || !strings.Contains(err.Error(), "is not a socket") {
		t.Errorf("on a file: %v", err)
	}
	if b, err := os.ReadFile(file); err != nil || string(b) != "precious" {
		t.Errorf("the file is now %q, %v", b, err)
	}
	if _, err := ListenSocket(t.Context(), Config{Socket: path + "2", Group: "no such group"}); err == nil || !strings.Contains(err.Error(), `there is no group "no such group"`) {
		t.Errorf("with an unknown group: %v", err)
	}
	if _, err := ListenSocket(t.Context(), Config{Socket: file + "/x.sock"}); err == nil {
		t.Error("below a file: accepted")
	}
}

// TestCloseLeavesSuccessor: a router that stops late does not take away the
// socket of the one that took over.
func TestCloseLeavesSuccessor(t *testing.T) {
	path := socketPath(t)
	first, err := ListenSocket(t.Context(), Config{Socket: path})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	second, err := ListenSocket(t.Context(), Config{Socket: path})
	if err != nil {
		t.Fatal(err)
	}
	defer second.Close()
	if err := first.Close(); err != nil {
		t.Error(err)
	}
	if _, err := os.Lstat(path); err != nil {
		t.Errorf("the second socket is gone: %v", err)
	}
}

func TestConfigValidate(t *testing.T) {
	for _, tt := range []struct {
		name string
		c    Config
		want []string
	}{
		{"default", DefaultConfig(), nil},
		{"none", Config{Rate: 1}, nil},
		{"group without socket", Config{Group: "x", Rate: 1}, []string{"group"}},
		{"relative", Config{Socket: "control.sock", Rate: 1}, []string{"socket"}},
		{"not clean", Config{Socket: "/run/../control.sock", Rate: 1}, []string{"socket"}},
		{"too long", Config{Socket: "/" + strings.Repeat("x", 103), Rate: 1}, []string{"socket"}},
		{"longest", Config{Socket: "/" + strings.Repeat("x", 102), Rate: 1}, nil},
		{"rate", Config{}, []string{"rate"}},
		{"TCP", Config{Rate: 1, Listen: &TLSConfig{}}, []string{"listen.address", "listen.certificate", "listen.client-ca", "listen.key"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			errs := element.Each(tt.c.Validate())
			if len(errs) != len(tt.want) {
				t.Fatalf("got %v", errs)
			}
			for i, err := range errs {
				var e *element.Error
				if !errors.As(err, &e) || e.Path != tt.want[i] {
					t.Errorf("got %v, want it about %s", err, tt.want[i])
				}
			}
		})
	}
}

func TestRunReportsBrokenListener(t *testing.T) {
	l, err := ListenSocket(t.Context(), Config{Socket: socketPath(t)})
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	if err := New(newFake(t, 1).router(), 1000, quiet()).Run(t.Context(), l); err == nil {
		t.Error("Run on a closed listener returns nil")
	}
}
